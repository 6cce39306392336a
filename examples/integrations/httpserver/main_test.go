package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/selfsigned"
)

func TestListenConfig(t *testing.T) {
	t.Parallel()
	live.Need(t)
	ln, err := listen(t.Context(), "127.0.0.1:0", live.Options)
	require.NoError(t, err)
	live.CheckListened(t, visit(t, &http.Server{ConnContext: remember}, ln, false))
}

func TestListenConfigTLS(t *testing.T) {
	t.Parallel()
	live.Need(t)
	ln, err := listen(t.Context(), "127.0.0.1:0", live.Options)
	require.NoError(t, err)
	live.CheckListened(t, visit(t, &http.Server{ConnContext: remember}, ln, true))
}

func TestConnContext(t *testing.T) {
	t.Parallel()
	live.Need(t)
	srv := &http.Server{}
	enable(srv, live.Options)
	live.Check(t, visit(t, srv, plain(t), false))
}

// TestConnContextTLS is about HTTP/2, and a connection that is a *tls.Conn.
func TestConnContextTLS(t *testing.T) {
	t.Parallel()
	live.Need(t)
	srv := &http.Server{}
	enable(srv, live.Options)
	live.Check(t, visit(t, srv, plain(t), true))
}

func plain(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

// visit makes a request, and returns the server's side of the connection, which
// stays open until the test ends.
func visit(t *testing.T, srv *http.Server, ln net.Listener, secure bool) net.Conn {
	t.Helper()
	server, client, err := selfsigned.Configs()
	require.NoError(t, err)
	conns := make(chan net.Conn, 1)
	inner := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		ctx = inner(ctx, conn)
		conns <- conn
		return ctx
	}
	srv.Handler = http.HandlerFunc(show)
	srv.TLSConfig = server
	done := make(chan error, 1)
	go func() {
		if secure {
			done <- srv.ServeTLS(ln, "", "")
		} else {
			done <- srv.Serve(ln)
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, srv.Close())
		assert.ErrorIs(t, <-done, http.ErrServerClosed)
	})

	transport := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	url := "http://" + ln.Addr().String()
	proto := "HTTP/1.1"
	if secure {
		url = "https://" + ln.Addr().String()
		proto = "HTTP/2.0"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	conn := live.Next(t, conns)
	o, err := keepalive.Get(conn)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%s from %v: %+v\n", proto, conn.RemoteAddr(), o), string(body))
	return conn
}
