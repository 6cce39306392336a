package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
)

func TestBothSides(t *testing.T) {
	t.Parallel()
	live.Need(t)
	ln, err := listen(t.Context(), "127.0.0.1:0", live.Options)
	require.NoError(t, err)
	accepted := make(chan net.Conn, 1)
	srv := &http.Server{
		Handler: http.HandlerFunc(echo),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			accepted <- conn
			return ctx
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	defer func() {
		assert.NoError(t, srv.Close())
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	}()

	dialed := make(chan net.Conn, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { dialed <- info.Conn },
	})
	conn, err := dial(ctx, "ws://"+ln.Addr().String(), live.Options)
	require.NoError(t, err)
	defer conn.CloseNow()

	// Both sides have made a WebSocket of it when the message is back.
	require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte("hello")))
	_, message, err := conn.Read(ctx)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(message))
	live.Check(t, live.Next(t, dialed))
	live.CheckListened(t, live.Next(t, accepted))
	assert.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
}

func TestRun(t *testing.T) {
	t.Parallel()
	live.Need(t)
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, opts))
	assert.Equal(t, "hello\n", out.String())
}
