package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/servers"
)

func TestPostgres(t *testing.T) {
	live.Need(t)
	server, certFile := servers.Postgres(t)
	plain := server + "?sslmode=disable"
	secure := server + "?sslmode=verify-full&sslrootcert=" + url.QueryEscape(certFile)
	ctx := t.Context()

	t.Run("conn", func(t *testing.T) {
		conn, err := connect(ctx, plain, live.Options)
		require.NoError(t, err)
		defer conn.Close(ctx)
		check(t, conn)
		assert.IsType(t, &net.TCPConn{}, conn.PgConn().Conn())
	})

	t.Run("keeping the error", func(t *testing.T) {
		conn, err := connectKeeping(ctx, plain, live.Options)
		require.NoError(t, err)
		defer conn.Close(ctx)
		check(t, conn)
	})

	t.Run("TLS", func(t *testing.T) {
		conn, err := connect(ctx, secure, live.Options)
		require.NoError(t, err)
		defer conn.Close(ctx)
		check(t, conn)
		assert.IsType(t, &tls.Conn{}, conn.PgConn().Conn())
	})

	// A cancel request travels on a connection of its own.
	t.Run("cancel", func(t *testing.T) {
		first, err := connect(ctx, plain, live.Options)
		require.NoError(t, err)
		defer first.Close(ctx)
		cfg := first.Config()
		dial := cfg.DialFunc
		dials := 0
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err == nil {
				dials++
				live.Check(t, conn)
			}
			return conn, err
		}
		conn, err := pgx.ConnectConfig(ctx, cfg)
		require.NoError(t, err)
		defer conn.Close(ctx)
		require.NoError(t, conn.PgConn().CancelRequest(ctx))
		assert.Equal(t, 2, dials)
	})

	t.Run("pool", func(t *testing.T) {
		pool, err := newPool(ctx, plain, live.Options)
		require.NoError(t, err)
		defer pool.Close()
		for range 2 { // held at the same time, so two connections
			conn, err := pool.Acquire(ctx)
			require.NoError(t, err)
			defer conn.Release()
			check(t, conn.Conn())
		}
		assert.EqualValues(t, 2, pool.Stat().TotalConns())
	})

	t.Run("database/sql", func(t *testing.T) {
		first, err := connect(ctx, plain, live.Options)
		require.NoError(t, err)
		defer first.Close(ctx)
		db := stdlib.OpenDB(*first.Config())
		defer db.Close()
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.Raw(func(driverConn any) error {
			check(t, driverConn.(*stdlib.Conn).Conn())
			return nil
		}))
	})

	t.Run("main", func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(ctx, &out, plain, opts))
		assert.Regexp(t, `(?i)^PostgreSQL \d.*: .*idle.?45s.*\n$`, out.String())
	})
}

// check asks the server something, and the kernel for the options.
func check(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var two int
	require.NoError(t, conn.QueryRow(t.Context(), "select 1 + 1").Scan(&two))
	assert.Equal(t, 2, two)
	live.Check(t, conn.PgConn().Conn())
}
