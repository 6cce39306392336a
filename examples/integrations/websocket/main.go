// Command websocket sends a message to itself and back over a WebSocket.
//
//	go run ./websocket
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

func dial(ctx context.Context, url string, opts keepalive.Options) (*websocket.Conn, error) {
	// recipe: websocket-client
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DialContext = keepalive.Dialer(&net.Dialer{Timeout: 30 * time.Second}, opts).DialContext
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	// end recipe
	return conn, err
}

// listen is the same as for any other net/http server, because a WebSocket uses the
// connection of its request.
func listen(ctx context.Context, addr string, opts keepalive.Options) (net.Listener, error) {
	// recipe: websocket-server
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr) // then http.Serve(ln, handler)
	// end recipe
	return ln, err
}

// echo sends each message back.
func echo(w http.ResponseWriter, r *http.Request) {
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
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func run(ctx context.Context, w io.Writer, opts keepalive.Options) error {
	ln, err := listen(ctx, "127.0.0.1:0", opts)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(echo)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	err = talk(ctx, w, "ws://"+ln.Addr().String(), opts)
	srv.Close()
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func talk(ctx context.Context, w io.Writer, url string, opts keepalive.Options) error {
	conn, err := dial(ctx, url, opts)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, message, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n", message)
	return conn.Close(websocket.StatusNormalClosure, "")
}
