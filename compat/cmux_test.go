package compat

import (
	"net"

	"github.com/soheilhy/cmux"
)

// notes:
// - `MuxConn` embeds `net.Conn`, so `Get` and `Enable` accept it.

func init() {
	register(library{
		name:   "cmux",
		module: "github.com/soheilhy/cmux",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "server", server: cmuxServer},
		},
	})
}

func cmuxServer(r *run) {
	listen := r.listen
	// recipe: Server
	ln := listen() // ListenConfig
	mux := cmux.New(ln)
	anything := mux.Match(cmux.Any())
	go mux.Serve()
	// end recipe
	go acceptLoop(anything, func(conn net.Conn) { serveConn(r, conn) })
	r.plainConn(ln.Addr().String()).Write([]byte("x"))
	r.awaitAccepted()
}
