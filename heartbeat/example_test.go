package heartbeat_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
)

func ExampleRun() {
	hangs := func(ctx context.Context) error { // websocket.Conn.Ping, sql.DB.PingContext
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := heartbeat.Config{Interval: 10 * time.Millisecond, Timeout: 250 * time.Millisecond}
	err := heartbeat.Run(context.Background(), cfg, hangs)
	var dead *heartbeat.DeadError
	fmt.Println(errors.As(err, &dead), dead.Unanswered)
	// Output: true 1
}

func ExampleMonitor() {
	var monitor heartbeat.Monitor // one for all connections
	cfg := heartbeat.Config{Interval: 20 * time.Second, Timeout: time.Minute, Jitter: 0.2}

	serve := func(conn net.Conn) error {
		defer conn.Close()
		peer, err := monitor.Add(cfg,
			func() error {
				_, err := conn.Write([]byte("PING\n"))
				return err
			},
			func(dead *heartbeat.DeadError) {
				log.Printf("%v: %v", conn.RemoteAddr(), dead)
				conn.Close() // ends the loop below
			})
		if err != nil {
			return err
		}
		defer peer.Stop()
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			peer.Heard()
			// what the protocol does with the line
		}
		return lines.Err()
	}
	_ = serve
}

func ExampleNewConn() {
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 5 * time.Second, Timeout: 15 * time.Second}}
	dial := func(addr string) (*heartbeat.Conn, error) { // and the other end likewise, after Accept
		tcp, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		conn, err := heartbeat.NewConn(tcp, cfg)
		if err != nil {
			tcp.Close()
			return nil, err
		}
		// For what heartbeats cannot find while nobody reads.
		err = keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Minute})
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
	_ = dial
}
