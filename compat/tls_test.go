package compat

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// notes:
// - All calls return ETIMEDOUT. Use KeepError below TLS, as here.
// - `tls.Dialer` takes a `*net.Dialer`. To use KeepError, call `tls.Client`.

func init() {
	register(library{
		name:   "crypto/tls",
		module: "std",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: tlsClient},
			{name: "server", server: tlsServer, varies: raced},
		},
	})
}

// tlsConfigs returns the configuration of a server, and that of a client.
func tlsConfigs() (server, client *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS, &tls.Config{InsecureSkipVerify: true}
}

func tlsClient(r *run) session {
	serverConfig, config := tlsConfigs()
	r.setServer(r.once("tls", func(t testing.TB) string {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig)
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) { io.Copy(conn, conn) })
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	raw, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	conn := tls.Client(raw, config)
	// end recipe
	r.Cleanup(func() { raw.Close() })
	return echoSession(conn)
}

func tlsServer(r *run) {
	serverConfig, config := tlsConfigs()
	listen := r.listen
	// recipe: Server
	ln := tls.NewListener(listen(), serverConfig) // ListenConfig
	// end recipe
	go acceptLoop(ln, func(conn net.Conn) {
		if err := conn.(*tls.Conn).Handshake(); err == nil {
			serveConn(r, conn)
		}
	})
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	client := tls.Client(conn, config)
	go func() {
		client.Write(make([]byte, 1))
		io.Copy(io.Discard, client)
	}()
	r.awaitAccepted()
}
