// Command httpserver shows every visitor what keepalive is in force on the
// connection of the request.
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
	flag.TextVar(&opts, "keepalive", opts, "keepalive `settings`, all of them, such as idle=45s,interval=5s,count=3,user-timeout=1m, or off")
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

// listen is the way to go where the program makes the listener.
func listen(ctx context.Context, addr string, opts keepalive.Options) (net.Listener, error) {
	// recipe: http-server
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr) // then srv.Serve(ln)
	// end recipe
	return ln, err
}

// enable is for ListenAndServe, ListenAndServeTLS, and listeners made elsewhere.
func enable(srv *http.Server, opts keepalive.Options) {
	// recipe: http-server-conncontext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if err := keepalive.Enable(conn, opts); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			log.Printf("%v: %v", conn.RemoteAddr(), err)
		}
		return context.WithValue(ctx, connKey{}, conn) // so that a handler can ask keepalive.Get
	}
	// end recipe
}

// connKey is the connection's key in a request's context.
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
