package compat

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// notes:
// - Without KeepError, `ReadMessage` and `WriteMessage` replace ETIMEDOUT by an error of their own
//   with Timeout true (`conn.go:189`), so it looks like an expired deadline. With KeepError they
//   return ETIMEDOUT.

func init() {
	register(library{
		name:   "gorilla/websocket",
		module: "github.com/gorilla/websocket",
		area:   "WebSocket",
		cases: []libraryCase{
			{name: "client", client: gorillaClient},
			{name: "server", server: gorillaServer},
		},
	})
}

func gorillaClient(r *run) session {
	r.setServer(r.once("gorilla", func(t testing.TB) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, req, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			for {
				kind, message, err := conn.ReadMessage()
				if err != nil || conn.WriteMessage(kind, message) != nil {
					return
				}
			}
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}))
	ctx, dial, url := r.Context(), r.dial, "ws://"+r.addr
	// recipe: Client
	dialer := &websocket.Dialer{NetDialContext: dial}
	conn, _, err := dialer.DialContext(ctx, url, nil)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	read := func(context.Context) error {
		_, _, err := conn.ReadMessage()
		return err
	}
	return session{
		use: func(ctx context.Context) error {
			if err := conn.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
				return err
			}
			return read(ctx)
		},
		wait: read,
	}
}

func gorillaServer(r *run) {
	ln := r.listen()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, req, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		r.accepted(conn.NetConn())
		if err := conn.WriteMessage(websocket.TextMessage, nil); err != nil {
			return
		}
		if !r.busy {
			_, _, err = conn.ReadMessage()
			r.report(err)
			return
		}
		r.report(keepWriting(context.Background(), writerFunc(func(b []byte) error {
			return conn.WriteMessage(websocket.BinaryMessage, b)
		}), nil))
	})}
	go srv.Serve(ln)
	r.Cleanup(func() { srv.Close() })
	conn, _, err := (&websocket.Dialer{NetDialContext: r.dialPlain}).Dial("ws://"+ln.Addr().String(), nil)
	require.NoError(r, err)
	r.Cleanup(func() { conn.NetConn().Close() })
	_, _, err = conn.ReadMessage()
	require.NoError(r, err)
}
