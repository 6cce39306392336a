// Command proxyprotocol accepts a connection from a proxy, itself, that speaks
// the PROXY protocol, and shows who is behind it, and what keepalive is in
// force on the connection with the proxy.
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
	flag.TextVar(&opts, "keepalive", opts, "keepalive `settings`, all of them, such as idle=45s,interval=5s,count=3,user-timeout=1m, or off")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, opts); err != nil {
		log.Fatal(err)
	}
}

// listen is the way to go where the program makes the listener.
func listen(ctx context.Context, addr string, opts keepalive.Options) (net.Listener, error) {
	// recipe: proxyprotocol
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &proxyproto.Listener{Listener: ln}, nil
	// end recipe
}

// around is for a listener made elsewhere: systemd, a framework, a test.
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

// dialAs connects as a proxy does on behalf of client.
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
