package compat

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/hashicorp/yamux"
	"github.com/stretchr/testify/require"
)

// notes:
// - A stream returns `io.EOF` for a dead peer, as if the peer had closed it (`stream.go:111`). When it
//   writes, the error depends on the time: "stream closed", "session shutdown", or ETIMEDOUT.
//   KeepError does not change that, but KeepError's function gets the error. The session writes it to
//   its log.
// - yamux sends a ping every 30s and waits 10s for the answer (`EnableKeepAlive`). Its pings are data
//   in flight, so the user timeout limits them.

func init() {
	register(library{
		name:   "yamux",
		module: "github.com/hashicorp/yamux",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: yamuxClient},
			{name: "server", server: yamuxServer, varies: []string{"“stream closed” (unknown)", "“session shutdown” (unknown)", "`ETIMEDOUT` (dead)"}},
		},
	})
}

func yamuxConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	return config
}

func yamuxClient(r *run) session {
	r.setServer(r.once("yamux", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) {
			s, err := yamux.Server(conn, yamuxConfig())
			if err != nil {
				return
			}
			acceptLoop(s, func(stream net.Conn) { io.Copy(stream, stream) })
		})
		return ln.Addr().String()
	}))
	ctx, dial, addr, config := r.Context(), r.dial, r.addr, yamuxConfig()
	// recipe: Client
	conn, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	mux, err := yamux.Client(conn, config)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { mux.Close() })
	stream, err := mux.Open()
	require.NoError(r, err)
	return echoSession(stream)
}

func yamuxServer(r *run) {
	ln := r.listen()
	go acceptLoop(ln, func(conn net.Conn) {
		r.accepted(conn)
		s, err := yamux.Server(conn, yamuxConfig())
		if err != nil {
			return
		}
		stream, err := s.Accept()
		if err != nil {
			return
		}
		if !r.busy {
			stream.Write(make([]byte, 1))
			io.ReadFull(stream, make([]byte, 1))
			_, err = stream.Read(make([]byte, 1))
			r.report(err)
			return
		}
		r.report(keepWriting(context.Background(), stream, nil))
	})
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	mux, err := yamux.Client(conn, yamuxConfig())
	require.NoError(r, err)
	r.Cleanup(func() { mux.Close() })
	stream, err := mux.Open()
	require.NoError(r, err)
	_, err = stream.Write(make([]byte, 1))
	require.NoError(r, err)
	_, err = io.ReadFull(stream, make([]byte, 1))
	require.NoError(r, err)
}
