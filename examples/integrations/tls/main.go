// Command tls connects to itself with TLS and shows the keepalive options of both
// ends.
//
//	go run ./tls
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/selfsigned"
)

var opts = keepalive.Options{
	Idle:        45 * time.Second,
	Interval:    5 * time.Second,
	Count:       3,
	UserTimeout: time.Minute,
}

func main() {
	flag.TextVar(&opts, "keepalive", opts, "keepalive `options`, for example idle=45s,interval=5s,count=3,user-timeout=1m, or detect-within=1m, or off")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, opts); err != nil {
		log.Fatal(err)
	}
}

func newDialer(cfg *tls.Config, opts keepalive.Options) *tls.Dialer {
	// recipe: tls-client
	d := &tls.Dialer{NetDialer: keepalive.Dialer(nil, opts), Config: cfg}
	// end recipe
	return d
}

func listen(ctx context.Context, addr string, cfg *tls.Config, opts keepalive.Options) (net.Listener, error) {
	// recipe: tls-server
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, cfg), nil
	// end recipe
}

func run(ctx context.Context, w io.Writer, opts keepalive.Options) error {
	serverConfig, clientConfig, err := selfsigned.Configs()
	if err != nil {
		return err
	}
	ln, err := listen(ctx, "127.0.0.1:0", serverConfig, opts)
	if err != nil {
		return err
	}
	defer ln.Close()
	go greet(ln)

	conn, err := newDialer(clientConfig, opts).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	greeting, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	o, err := keepalive.Get(conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "client: %+v\nserver: %s\n", o, greeting)
	return nil
}

// greet sends the options of the server's end to one client.
func greet(ln net.Listener) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	o, err := keepalive.Get(conn)
	if err != nil {
		fmt.Fprint(conn, err)
		return
	}
	fmt.Fprintf(conn, "%+v", o)
}
