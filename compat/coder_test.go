package compat

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// notes:
// - `Read`, `Write` and `Ping` return ETIMEDOUT in an error that wraps it.
// - `Accept` does not give access to the server's connection. Use the listener.

func init() {
	register(library{
		name:   "coder/websocket",
		module: "github.com/coder/websocket",
		area:   "WebSocket",
		cases: []libraryCase{
			{name: "client", client: coderClient},
			{name: "server", server: coderServer},
		},
	})
}

func coderClient(r *run) session {
	r.setServer(r.once("coder", func(t testing.TB) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, err := websocket.Accept(w, req, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			for {
				kind, message, err := conn.Read(context.Background())
				if err != nil || conn.Write(context.Background(), kind, message) != nil {
					return
				}
			}
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}))
	ctx, dial, url := r.Context(), r.dial, "ws://"+r.addr
	// recipe: Client
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dial
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { conn.CloseNow() })
	read := func(ctx context.Context) error {
		_, _, err := conn.Read(ctx)
		return err
	}
	return session{
		use: func(ctx context.Context) error {
			if err := conn.Write(ctx, websocket.MessageText, []byte("x")); err != nil {
				return err
			}
			return read(ctx)
		},
		wait: read,
	}
}

func coderServer(r *run) {
	ln := r.listen()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, err := websocket.Accept(w, req, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx := context.Background()
		if err := conn.Write(ctx, websocket.MessageText, nil); err != nil {
			return
		}
		if !r.busy {
			_, _, err = conn.Read(ctx)
			r.report(err)
			return
		}
		r.report(keepWriting(ctx, writerFunc(func(b []byte) error {
			return conn.Write(ctx, websocket.MessageBinary, b)
		}), nil))
	})}
	go srv.Serve(ln)
	r.Cleanup(func() { srv.Close() })
	conn, _, err := websocket.Dial(r.Context(), "ws://"+ln.Addr().String(),
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: r.dialPlain}}})
	require.NoError(r, err)
	r.Cleanup(func() { conn.CloseNow() })
	_, _, err = conn.Read(r.Context())
	require.NoError(r, err)
}
