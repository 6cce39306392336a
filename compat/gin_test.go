package compat

import "github.com/gin-gonic/gin"

// notes:
// - `Run` creates its own listener, with the options of package net. Use `RunListener`.
// - Handlers get what handlers of net/http get.

func init() {
	register(library{
		name:   "gin",
		module: "github.com/gin-gonic/gin",
		area:   "HTTP",
		cases:  []libraryCase{{name: "server", server: ginServer, varies: raced}},
	})
}

func ginServer(r *run) {
	gin.SetMode(gin.ReleaseMode)
	listen := r.listen
	engine := gin.New()
	engine.GET("/", gin.WrapF(httpHandler(r)))
	// recipe: Server
	ln := listen() // ListenConfig
	go engine.RunListener(ln)
	// end recipe
	httpRequest(r, "http://"+ln.Addr().String())
}
