package compat

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xtaci/smux"
)

// notes:
// - Streams return the error of the connection. A stream that writes can get EPIPE. With KeepError it
//   gets ETIMEDOUT.
// - A defect of smux: an accepted stream has a finalizer that closes it (`session.go:239`). The
//   garbage collector runs it even while Read waits, if the program does not use the stream
//   afterwards. Read then returns `io.ErrClosedPipe`. Call `runtime.KeepAlive(stream)` after the loop
//   that reads.

func init() {
	register(library{
		name:   "smux",
		module: "github.com/xtaci/smux",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: smuxClient},
			{name: "server", server: smuxServer, varies: raced},
		},
	})
}

func smuxClient(r *run) session {
	r.setServer(r.once("smux", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) {
			s, err := smux.Server(conn, nil)
			if err != nil {
				return
			}
			for {
				stream, err := s.AcceptStream()
				if err != nil {
					return
				}
				go func() {
					io.Copy(stream, stream)
					runtime.KeepAlive(stream) // see notes
				}()
			}
		})
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	conn, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	mux, err := smux.Client(conn, nil)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { mux.Close() })
	stream, err := mux.OpenStream()
	require.NoError(r, err)
	return echoSession(stream)
}

func smuxServer(r *run) {
	ln := r.listen()
	go acceptLoop(ln, func(conn net.Conn) {
		s, err := smux.Server(conn, nil)
		if err != nil {
			return
		}
		stream, err := s.AcceptStream()
		if err != nil {
			return
		}
		r.accepted(conn)
		if r.busy {
			r.report(keepWriting(context.Background(), stream, nil))
		} else {
			_, err = io.Copy(io.Discard, stream)
			r.report(err)
		}
		runtime.KeepAlive(stream) // see notes
	})
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	mux, err := smux.Client(conn, nil)
	require.NoError(r, err)
	r.Cleanup(func() { mux.Close() })
	stream, err := mux.OpenStream()
	require.NoError(r, err)
	_, err = stream.Write(make([]byte, 1))
	require.NoError(r, err)
	r.awaitAccepted()
}
