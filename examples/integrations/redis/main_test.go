package main

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/servers"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	live.Need(t)
	addr := servers.Redis(t)

	t.Run("client", func(t *testing.T) {
		conns := use(t, newClient(addr, live.Options))
		assert.IsType(t, &net.TCPConn{}, live.Next(t, conns))
	})

	t.Run("main", func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(t.Context(), &out, addr, opts))
		assert.Regexp(t, `(?i)^127\.0\.0\.1:\d+: .*idle.?45s.*\n$`, out.String())
	})
}

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	live.Need(t)
	addr, cfg := servers.RedisTLS(t)
	conns := use(t, newTLSClient(addr, cfg, live.Options))
	assert.IsType(t, &tls.Conn{}, live.Next(t, conns))
}

// use has rdb make connections, for the pool and for Pub/Sub, checks them while
// they are in use, and returns them.
func use(t *testing.T, rdb *redis.Client) <-chan net.Conn {
	t.Helper()
	ctx := t.Context()
	conns := make(chan net.Conn, 16)
	rdb.AddHook(dialed(func(conn net.Conn) { conns <- conn }))
	t.Cleanup(func() { assert.NoError(t, rdb.Close()) })

	for range 2 { // held at the same time, so two connections
		conn := rdb.Conn()
		t.Cleanup(func() { assert.NoError(t, conn.Close()) })
		require.NoError(t, conn.Ping(ctx).Err())
	}
	sub := rdb.Subscribe(ctx, "news")
	t.Cleanup(func() { assert.NoError(t, sub.Close()) })
	_, err := sub.Receive(ctx) // the confirmation
	require.NoError(t, err)
	require.NoError(t, rdb.Publish(ctx, "news", "hello").Err()) // a fourth
	message, err := sub.ReceiveMessage(ctx)
	require.NoError(t, err)
	assert.Equal(t, "hello", message.Payload)

	require.Len(t, conns, 4)
	for range 4 {
		conn := <-conns
		live.Check(t, conn)
		conns <- conn
	}
	return conns
}
