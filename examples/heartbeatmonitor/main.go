// Command heartbeatmonitor is a server with a protocol of lines. One
// [heartbeat.Monitor] watches all its connections, without a goroutine or a timer for
// each.
//
//	go run ./examples/heartbeatmonitor -listen localhost:7071
//	nc localhost 7071
//
// The server sends back each line. It sends PING to a client that has sent nothing for
// 5 seconds. If the client sends nothing for 15 seconds, the server closes its
// connection. Any line is an answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := server{cfg: heartbeat.Config{Interval: 5 * time.Second, Timeout: 15 * time.Second, Jitter: 0.2}, log: log.New(stdout, "", log.Ltime)}
	fs := flag.NewFlagSet("heartbeatmonitor", flag.ContinueOnError)
	fs.SetOutput(stderr)
	listen := fs.String("listen", "localhost:7071", "the `address` to listen on")
	fs.DurationVar(&s.cfg.Interval, "interval", s.cfg.Interval, "time of silence before PING")
	fs.DurationVar(&s.cfg.Timeout, "timeout", s.cfg.Timeout, "time of silence after which a client is reported dead")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	err := s.cfg.Validate()
	if fs.NArg() > 0 {
		err = fmt.Errorf("heartbeatmonitor: unexpected argument %q", fs.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err == nil {
		s.log.Printf("listening on %v", l.Addr())
		err = s.serve(ctx, l)
	}
	if err != nil {
		fmt.Fprintf(stderr, "heartbeatmonitor: %v\n", err)
		return 1
	}
	return 0
}

type server struct {
	cfg     heartbeat.Config
	log     *log.Logger
	monitor heartbeat.Monitor
}

// serve serves until ctx is done.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer s.monitor.Stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		handlers.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			if err := s.handle(conn); err != nil {
				s.log.Printf("%v: %v", conn.RemoteAddr(), err)
			}
		})
	}
}

// handle sends back what arrives.
func (s *server) handle(conn net.Conn) error {
	dead := make(chan error, 1)
	peer, err := s.monitor.Add(s.cfg,
		func() error {
			_, err := io.WriteString(conn, "PING\n")
			return err
		},
		func(e *heartbeat.DeadError) {
			dead <- e
			conn.Close() // ends the Read below
		})
	if err != nil {
		return err
	}
	defer peer.Stop()
	b := make([]byte, 4<<10)
	for {
		n, err := conn.Read(b)
		if err == nil {
			peer.Heard()
			_, err = conn.Write(b[:n])
		}
		select {
		case err := <-dead:
			return err
		default:
		}
		if err == io.EOF || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
