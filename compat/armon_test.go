package compat

import (
	"net"

	"github.com/armon/go-proxyproto"
)

// notes:
// - `Get` and `Enable` cannot find the socket, because the type hides the connection in a field
//   (`protocol.go:60`). So use `ListenConfig` or `Listener` below it.
// - The type has no other way to its connection. pires/go-proxyproto has one.

func init() {
	register(library{
		name:   "armon/go-proxyproto",
		module: "github.com/armon/go-proxyproto",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "server", server: armonServer},
		},
	})
}

func armonServer(r *run) {
	listen := r.listen
	// recipe: Server
	ln := &proxyproto.Listener{Listener: listen()} // ListenConfig
	// end recipe
	go acceptLoop(ln, func(conn net.Conn) { serveConn(r, conn) })
	r.plainConn(ln.Addr().String()).Write([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"))
	r.awaitAccepted()
}
