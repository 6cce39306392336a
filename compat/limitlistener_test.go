package compat

import (
	"net"

	"golang.org/x/net/netutil"
)

// notes:
// - The connection embeds `net.Conn`, so `Get` and `Enable` accept it.
// - A dead client occupies a place until it is dropped. So keepalive matters here.

func init() {
	register(library{
		name:   "x/net/netutil.LimitListener",
		module: "golang.org/x/net",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "server", server: limitServer},
		},
	})
}

func limitServer(r *run) {
	listen := r.listen
	// recipe: Server
	ln := netutil.LimitListener(listen(), 1000) // ListenConfig
	// end recipe
	go acceptLoop(ln, func(conn net.Conn) { serveConn(r, conn) })
	r.plainConn(ln.Addr().String())
	r.awaitAccepted()
}
