package compat

import (
	"bufio"
	"net"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// notes:
// - `Listen` creates its own listener, with the options of package net. Use `Listener`.
// - Handlers get what handlers of fasthttp get.

func init() {
	register(library{
		name:   "fiber",
		module: "github.com/gofiber/fiber/v3",
		area:   "HTTP",
		cases:  []libraryCase{{name: "server", server: fiberServer}},
	})
}

func fiberServer(r *run) {
	listen := r.listen
	app := fiber.New()
	app.Get("/", func(c fiber.Ctx) error {
		r.accepted(c.RequestCtx().Conn())
		if r.busy {
			return c.SendStreamWriter(func(w *bufio.Writer) {
				for {
					w.Write(make([]byte, 100))
					if err := w.Flush(); err != nil {
						r.report(err)
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		return nil
	})
	app.Server().ConnState = func(_ net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateClosed && !r.busy {
			r.report(errClosed)
		}
	}
	// recipe: Server
	ln := listen() // ListenConfig
	go app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true})
	// end recipe
	fasthttpRequest(r, ln.Addr().String())
}
