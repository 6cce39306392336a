package compat

import (
	"net"

	"github.com/pires/go-proxyproto"
)

// notes:
// - The connection embeds `net.Conn`, so `Get` and `Enable` accept it.

func init() {
	register(library{
		name:   "pires/go-proxyproto",
		module: "github.com/pires/go-proxyproto",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "server", server: piresServer},
		},
	})
}

func piresServer(r *run) {
	listen := r.listen
	// recipe: Server
	ln := &proxyproto.Listener{Listener: listen()} // ListenConfig
	// end recipe
	go acceptLoop(ln, func(conn net.Conn) { serveConn(r, conn) })
	r.plainConn(ln.Addr().String()).Write([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"))
	r.awaitAccepted()
}
