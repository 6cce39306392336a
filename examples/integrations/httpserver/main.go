// Command httpserver answers each request with the keepalive options of its
// connection.
//
//	go run ./httpserver &
//	curl http://localhost:8080
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-keepalive/keepalive"
)

var opts = keepalive.Options{
	Idle:        45 * time.Second,
	Interval:    5 * time.Second,
	Count:       3,
	UserTimeout: time.Minute,
}

func main() {
	addr := flag.String("addr", "localhost:8080", "`host:port` to listen on")
	hook := flag.Bool("conncontext", false, "set keepalive in ConnContext instead of on the listener")
	flag.TextVar(&opts, "keepalive", opts, "keepalive `options`, for example idle=45s,interval=5s,count=3,user-timeout=1m, or detect-within=1m, or off")
	flag.Parse()

	srv := &http.Server{Addr: *addr, Handler: http.HandlerFunc(show), ConnContext: remember}
	if *hook {
		enable(srv, opts)
		log.Fatal(srv.ListenAndServe())
	}
	ln, err := listen(context.Background(), *addr, opts)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(srv.Serve(ln))
}

// listen is for programs that create the listener themselves.
func listen(ctx context.Context, addr string, opts keepalive.Options) (net.Listener, error) {
	// recipe: http-server
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr) // then srv.Serve(ln)
	// end recipe
	return ln, err
}

// enable is for ListenAndServe, ListenAndServeTLS, and listeners from elsewhere.
func enable(srv *http.Server, opts keepalive.Options) {
	// recipe: http-server-conncontext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if err := keepalive.Enable(conn, opts); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			log.Print(err) // without conn.RemoteAddr, which can block if conn is a wrapper
		}
		return context.WithValue(ctx, connKey{}, conn) // so that a handler can call keepalive.Get
	}
	// end recipe
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

func remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func show(w http.ResponseWriter, r *http.Request) {
	conn := r.Context().Value(connKey{}).(net.Conn)
	o, err := keepalive.Get(conn)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s from %v: %+v\n", r.Proto, conn.RemoteAddr(), o)
}
