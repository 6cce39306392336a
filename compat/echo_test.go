package compat

import (
	"io"

	"github.com/labstack/echo/v4"
	"github.com/labstack/gommon/log"
)

// notes:
// - If `e.Listener` is nil, echo creates a listener that turns keepalive on with a period of 3
//   minutes (`echo.go:1026`). So set `e.Listener`.
// - Handlers get what handlers of net/http get.

func init() {
	register(library{
		name:   "echo",
		module: "github.com/labstack/echo/v4",
		area:   "HTTP",
		cases:  []libraryCase{{name: "server", server: echoServer, varies: raced}},
	})
}

func echoServer(r *run) {
	listen := r.listen
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.Logger.SetLevel(log.OFF)
	e.GET("/", echo.WrapHandler(httpHandler(r)))
	// recipe: Server
	ln := listen() // ListenConfig
	e.Listener = ln
	go e.Start("")
	// end recipe
	r.Cleanup(func() { e.Close() })
	httpRequest(r, "http://"+ln.Addr().String())
}
