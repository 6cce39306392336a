package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
	"github.com/go-keepalive/keepalive/heartbeat"
)

// ready is what a server prints when it listens.
const ready = "ready\n"

// serve is the main function of a server: it returns what it receives. It sends no
// keepalive probes. interval is that of its heartbeats.
func serve(interval string) error {
	beat, err := time.ParseDuration(interval)
	if err != nil {
		return err
	}
	echo, err := listen(echoPort)
	if err != nil {
		return err
	}
	beating, err := listen(heartbeatPort)
	if err != nil {
		return err
	}
	fmt.Print(ready)
	go acceptAll(beating, func(conn net.Conn) {
		if conn, err := heartbeat.NewConn(conn, heartbeatConfig(beat)); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	})
	acceptAll(echo, func(conn net.Conn) { io.Copy(conn, conn) })
	return net.ErrClosed
}

// heartbeatConfig pings after one interval of silence, and reports a dead peer after three.
func heartbeatConfig(interval time.Duration) heartbeat.ConnConfig {
	return heartbeat.ConnConfig{Config: heartbeat.Config{Interval: interval, Timeout: 3 * interval}}
}

// listen listens on all addresses, for connections without keepalive.
func listen(port int) (net.Listener, error) {
	return keepalive.ListenConfig(nil, keepalive.Options{Disabled: true}).Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", port))
}

// acceptAll calls serve for each connection, until the listener is closed.
func acceptAll(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			serve(conn)
			conn.Close()
		}()
	}
}

// listen calls serve for each connection to the server, in this process.
func (l *lab) listen(serve func(net.Conn)) error {
	return l.server.do(func() error {
		listener, err := listen(echoPort)
		if err == nil {
			l.closers = append(l.closers, listener)
			go acceptAll(listener, serve)
		}
		return err
	})
}

// proxy passes the data of connections to the router on to the server, in both directions.
// When one of the two connections ends, it ends the other, as most proxies do.
func (l *lab) proxy() error {
	for _, port := range []int{echoPort, heartbeatPort} {
		err := l.router.do(func() error {
			listener, err := listen(port)
			if err == nil {
				l.closers = append(l.closers, listener)
				go acceptAll(listener, func(front net.Conn) { l.pass(front, port) })
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
	}
	return nil
}

func (l *lab) pass(front net.Conn, port int) {
	back, err := l.router.dial(keepalive.Options{Disabled: true}, serverAddr, port)
	if err != nil {
		return
	}
	go func() {
		io.Copy(back, front)
		back.Close()
	}()
	io.Copy(front, back)
}

// capture starts to record the packets of an interface of the namespace.
func (n *namespace) capture(name string) (c *capture.Capture, err error) {
	err = n.do(func() error {
		c, err = capture.Start(name)
		return err
	})
	return c, err
}

// dial connects from the namespace.
func (n *namespace) dial(o keepalive.Options, host netip.Addr, port int) (conn net.Conn, err error) {
	err = n.do(func() error {
		dialer := keepalive.Dialer(&net.Dialer{Timeout: 10 * time.Second}, o)
		conn, err = dialer.Dial("tcp4", netip.AddrPortFrom(host, uint16(port)).String())
		return err
	})
	return conn, err
}
