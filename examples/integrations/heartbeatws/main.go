// Command heartbeatws detects that the application at the other end of a WebSocket
// hangs.
//
//	go run ./heartbeatws
//
// It starts the server itself. The handler of the server hangs after a while.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/go-keepalive/keepalive/heartbeat"
)

func main() {
	cfg := heartbeat.Config{Interval: time.Second, Timeout: 3 * time.Second, Jitter: 0.2}
	flag.DurationVar(&cfg.Interval, "interval", cfg.Interval, "silence before a ping is sent")
	flag.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "silence after which the peer is dead")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, cfg); err != nil {
		log.Fatal(err)
	}
}

// watch calls handle with each message from the peer, until the connection ends.
func watch(ctx context.Context, conn *websocket.Conn, cfg heartbeat.Config, handle func([]byte)) error {
	// recipe: heartbeat-websocket
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		cancel(heartbeat.Run(ctx, cfg, conn.Ping)) // the Read below returns
	}()
	for {
		_, message, err := conn.Read(ctx) // also handles pongs
		if ctx.Err() != nil {
			return context.Cause(ctx) // a *heartbeat.DeadError, if the peer is dead
		}
		if err != nil {
			return err
		}
		handle(message)
	}
	// end recipe
}

// server echoes messages. After the message "hang", its handler waits until over is
// closed. Meanwhile it does not read, so pings are not answered.
func server(over <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered the client
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if string(message) == "hang" {
				<-over
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}
}

func run(ctx context.Context, w io.Writer, cfg heartbeat.Config) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	over := make(chan struct{})
	srv := &http.Server{Handler: server(over)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	err = talk(ctx, w, "ws://"+ln.Addr().String(), cfg)
	close(over)
	srv.Close()
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func talk(ctx context.Context, w io.Writer, url string, cfg heartbeat.Config) error {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	hang := time.AfterFunc(2*cfg.Timeout, func() { // until then the server is idle, but answers pings
		conn.Write(ctx, websocket.MessageText, []byte("hang"))
	})
	defer hang.Stop()
	start := time.Now()
	err = watch(ctx, conn, cfg, func(message []byte) { fmt.Fprintf(w, "%s\n", message) })
	var dead *heartbeat.DeadError
	if !errors.As(err, &dead) {
		return err
	}
	fmt.Fprintf(w, "after %.1fs: %v\n", time.Since(start).Seconds(), dead)
	return nil
}
