package main

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/selfsigned"
)

func TestBothSides(t *testing.T) {
	t.Parallel()
	live.Need(t)
	serverConfig, clientConfig, err := selfsigned.Configs()
	require.NoError(t, err)
	ln, err := listen(t.Context(), "127.0.0.1:0", serverConfig, live.Options)
	require.NoError(t, err)
	client, server := meet(t, ln, clientConfig)
	live.Check(t, client)
	live.CheckListened(t, server)
}

// TestListenerAround is about a TLS listener that was made elsewhere.
func TestListenerAround(t *testing.T) {
	t.Parallel()
	live.Need(t)
	serverConfig, clientConfig, err := selfsigned.Configs()
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig)
	require.NoError(t, err)
	_, server := meet(t, keepalive.Listener{
		Listener: ln,
		Options:  live.Options,
		OnError:  func(_ net.Conn, err error) { t.Error(err) },
	}, clientConfig)
	live.Check(t, server)
}

// meet returns both ends of a connection that has carried data.
func meet(t *testing.T, ln net.Listener, cfg *tls.Config) (client, server net.Conn) {
	t.Helper()
	watched := live.Watch(ln)
	done := make(chan error, 1)
	go func() {
		conn, err := watched.Accept()
		if err == nil {
			_, err = conn.Write([]byte("hello"))
		}
		done <- err
	}()
	client, err := newDialer(cfg, live.Options).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	server = live.Next(t, watched.Accepted)
	t.Cleanup(func() {
		client.Close()
		server.Close()
		ln.Close()
	})
	_, err = io.ReadFull(client, make([]byte, len("hello")))
	require.NoError(t, err)
	require.NoError(t, <-done)
	return client, server
}

func TestRun(t *testing.T) {
	t.Parallel()
	live.Need(t)
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, opts))
	assert.Regexp(t, `(?is)^client: .*idle.?45s.*\nserver: .*idle.?45s.*\n$`, out.String())
}
