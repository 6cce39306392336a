// Command proxyprotocol accepts a connection with a PROXY protocol header, which it
// has dialed itself. It shows the address of the client, and the keepalive options
// of the connection to the proxy.
//
//	go run ./proxyprotocol
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/go-keepalive/keepalive"
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

// listen is for programs that create the listener themselves.
func listen(ctx context.Context, addr string, opts keepalive.Options) (net.Listener, error) {
	// recipe: proxyprotocol
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &proxyproto.Listener{Listener: ln}, nil
	// end recipe
}

// around is for listeners from elsewhere, for example from systemd or a framework.
func around(ln net.Listener, opts keepalive.Options) net.Listener {
	// recipe: proxyprotocol-listener
	ln = keepalive.Listener{
		Listener: &proxyproto.Listener{Listener: ln},
		Options:  opts,
		OnError:  func(_ net.Conn, err error) { log.Print(err) },
	}
	// end recipe
	return ln
}

func run(ctx context.Context, w io.Writer, opts keepalive.Options) error {
	ln, err := listen(ctx, "127.0.0.1:0", opts)
	if err != nil {
		return err
	}
	defer ln.Close()
	proxy, err := dialAs(ctx, ln.Addr(), visitor)
	if err != nil {
		return err
	}
	defer proxy.Close()
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	o, err := keepalive.Get(conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%v: %+v\n", conn.RemoteAddr(), o)
	return nil
}

var visitor = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1234}

// dialAs connects as a proxy does for client.
func dialAs(ctx context.Context, server, client net.Addr) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, server.Network(), server.String())
	if err != nil {
		return nil, err
	}
	if _, err := proxyproto.HeaderProxyFromAddrs(2, client, server).WriteTo(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
