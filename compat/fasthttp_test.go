package compat

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// notes:
// - `TCPKeepalivePeriod` of the server replaces the idle time. Leave it 0. `TCPKeepalive`
//   alone changes nothing. Both have no effect if the connection is wrapped, for
//   example with KeepError.
// - The client returns `ErrTimeout` for ETIMEDOUT (`header.go:2134`), which looks like an expired
//   deadline. It sends a GET again on a new connection, so the caller gets the error of the dial.
// - With KeepError, the client returns `ErrConnectionClosed`, which does not contain the cause
//   either. KeepError's function has it.
// - A server's handler that writes gets "connection closed". Another handler gets nothing. The hook
//   `ConnState` is called without an error.

func init() {
	register(library{
		name:   "fasthttp",
		module: "github.com/valyala/fasthttp",
		area:   "HTTP",
		cases: []libraryCase{
			{name: "client, GET", client: func(r *run) session { return fasthttpClient(r, "GET") }},
			{name: "client, POST", client: func(r *run) session { return fasthttpClient(r, "POST") }},
			{name: "server", server: func(r *run) { fasthttpServer(r, &fasthttp.Server{}) }},
			{name: "server with TCPKeepalive", server: func(r *run) { fasthttpServer(r, &fasthttp.Server{TCPKeepalive: true}) }},
			{name: "server with TCPKeepalivePeriod", server: func(r *run) {
				fasthttpServer(r, &fasthttp.Server{TCPKeepalive: true, TCPKeepalivePeriod: 20 * time.Second})
			}},
		},
	})
}

func fasthttpClient(r *run, method string) session {
	r.setServer(r.once("fasthttp", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
		go s.Serve(ln)
		t.Cleanup(func() { ln.Close() })
		return ln.Addr().String()
	}))
	dial := r.dial
	// recipe: Client
	client := &fasthttp.Client{Dial: func(addr string) (net.Conn, error) {
		return dial(context.Background(), "tcp", addr)
	}}
	// end recipe
	r.Cleanup(client.CloseIdleConnections)
	return session{use: func(context.Context) error {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://" + r.addr)
		req.Header.SetMethod(method)
		return client.Do(req, resp)
	}}
}

func fasthttpServer(r *run, srv *fasthttp.Server) {
	listen := r.listen
	srv.Handler = func(ctx *fasthttp.RequestCtx) {
		r.accepted(ctx.Conn())
		if r.busy {
			ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
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
	}
	srv.ConnState = func(_ net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateClosed && !r.busy {
			r.report(errClosed)
		}
	}
	srv.Logger = discardLog
	// recipe: Server
	ln := listen() // ListenConfig
	go srv.Serve(ln)
	// end recipe
	fasthttpRequest(r, ln.Addr().String())
}

// fasthttpRequest makes a request, and leaves the connection open.
func fasthttpRequest(r *run, addr string) {
	conn := r.plainConn(addr)
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n")); err != nil {
		r.Fatal(err)
	}
	r.awaitAccepted()
}
