// Command heartbeat connects two processes. Each detects when the other one hangs.
//
//	go run ./examples/heartbeat -listen localhost:7070
//	go run ./examples/heartbeat localhost:7070
//
// Start them in two terminals. Lines that you type into one appear in the other. Then
// stop one process with Ctrl-Z. Its kernel still acknowledges everything, but after
// three seconds the other process reports a dead peer.
package main

import (
	"bufio"
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
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cfg := heartbeat.Config{Interval: time.Second, Timeout: 3 * time.Second, Jitter: 0.2}
	fs := flag.NewFlagSet("heartbeat", flag.ContinueOnError)
	fs.SetOutput(stderr)
	listen := fs.String("listen", "", "listen on this `address` and accept one connection")
	fs.DurationVar(&cfg.Interval, "interval", cfg.Interval, "time of silence before a ping")
	fs.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "time of silence after which the peer is reported dead")
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: heartbeat [flags] -listen ADDRESS\n       heartbeat [flags] ADDRESS")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if (*listen == "") == (fs.NArg() == 0) || fs.NArg() > 1 {
		fmt.Fprintln(stderr, "heartbeat: specify either -listen ADDRESS or ADDRESS")
		return 2
	}
	if err := cfg.Validate(); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	out := log.New(stdout, "", log.Ltime)
	conn, err := connect(ctx, out, *listen, fs.Arg(0))
	if err == nil {
		err = talk(ctx, out, conn, cfg, stdin)
	}
	if err != nil {
		fmt.Fprintf(stderr, "heartbeat: %v\n", err)
		return 1
	}
	return 0
}

// connect accepts one connection on the address listen, or dials the other address.
func connect(ctx context.Context, out *log.Logger, listen, dial string) (net.Conn, error) {
	if listen == "" {
		return new(net.Dialer).DialContext(ctx, "tcp", dial)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	out.Printf("listening on %v", l.Addr())
	return l.Accept()
}

// talk sends the lines of stdin and prints those of the peer, until the connection
// ends.
func talk(ctx context.Context, out *log.Logger, tcp net.Conn, cfg heartbeat.Config, stdin io.Reader) error {
	var first sync.Once
	conn, err := heartbeat.NewConn(tcp, heartbeat.ConnConfig{
		Config:  cfg,
		Payload: func() []byte { return fmt.Appendf(nil, "process %d", os.Getpid()) },
		OnPing: func(payload []byte) {
			first.Do(func() { out.Printf("received the first ping, from %s", payload) })
		},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	out.Printf("connected %v to %v; this is process %d; press Ctrl-Z in one of the two terminals", conn.LocalAddr(), conn.RemoteAddr(), os.Getpid())
	go func() {
		if _, err := io.Copy(conn, stdin); err == nil {
			conn.CloseWrite()
		}
	}()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		out.Print(lines.Text())
	}
	if rtt, ok := conn.RTT(); ok {
		out.Printf("round-trip time of the last ping: %v", rtt)
	}
	var dead *heartbeat.DeadError
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &dead):
		out.Printf("the peer is dead: silent for %v, unanswered pings: %d", dead.Silence.Round(time.Millisecond), dead.Unanswered)
		return nil
	case err == io.ErrUnexpectedEOF:
		out.Print("the peer has ended without closing the connection")
		return nil
	case err != nil:
		return err
	}
	out.Print("the peer has closed the connection")
	return nil
}
