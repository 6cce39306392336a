package compat

import (
	"context"
	"net"
	"time"

	"github.com/inetaf/tcpproxy"
	"github.com/stretchr/testify/require"
)

// notes:
// - `DialProxy` sets an idle time of 1m on both connections, unless `KeepAlivePeriod` is negative
//   (`tcpproxy.go:404`). It does that only for a `*net.TCPConn`, so connections in
//   KeepError keep their options.
// - The proxy does not report errors. When one side is dead, it closes the other, which gets
//   `io.EOF`. KeepError's function has the error.

func init() {
	register(library{
		name:   "tcpproxy",
		module: "github.com/inetaf/tcpproxy",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "to a dead server", client: func(r *run) session { return tcpproxyClient(r, false) }},
			{name: "to a dead server, KeepAlivePeriod -1", client: func(r *run) session { return tcpproxyClient(r, true) }},
			{name: "to a dead client", server: tcpproxyServer},
		},
	})
}

// tcpproxyClient returns what the client of the proxy gets. The proxy does not report errors.
func tcpproxyClient(r *run, recipe bool) session {
	r.setServer(r.echo())
	dial, addr := r.dial, r.addr
	target := &tcpproxy.DialProxy{Addr: addr, DialContext: dial}
	if recipe {
		// recipe: To the server
		target = &tcpproxy.DialProxy{Addr: addr, DialContext: dial, KeepAlivePeriod: -1}
		// end recipe
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	var proxy tcpproxy.Proxy
	proxy.ListenFunc = func(string, string) (net.Listener, error) { return ln, nil }
	proxy.AddRoute("", target)
	require.NoError(r, proxy.Start())
	r.Cleanup(func() { proxy.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	return echoSession(conn)
}

func tcpproxyServer(r *run) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	r.Cleanup(func() { backend.Close() })
	served := make(chan struct{})
	go acceptLoop(backend, func(conn net.Conn) {
		conn.Read(make([]byte, 1)) // the client's x
		close(served)
		if r.busy {
			r.report(keepWriting(context.Background(), conn, nil))
			return
		}
		_, err := conn.Read(make([]byte, 1))
		r.report(err)
	})
	listen := r.listen
	var proxy tcpproxy.Proxy
	// recipe: To clients
	ln := listen() // ListenConfig
	proxy.ListenFunc = func(network, addr string) (net.Listener, error) { return ln, nil }
	// end recipe
	proxy.AddRoute("", tcpproxy.To(backend.Addr().String()))
	require.NoError(r, proxy.Start())
	r.Cleanup(func() { proxy.Close() })
	conn := r.plainConn(ln.Addr().String())
	conn.Write([]byte("x"))
	select {
	case <-served:
	case <-time.After(patience):
		r.Fatal("the proxy did not dial")
	}
}
