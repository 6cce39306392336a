//go:build unix

package main

import (
	"context"
	"database/sql"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/servers"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// TestStopped stops the process of the real PostgreSQL that serves the connection:
// its kernel answers, and it does not.
func TestStopped(t *testing.T) {
	url, _ := servers.Postgres(t)
	db, err := sql.Open("pgx", url+"?sslmode=disable")
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	cfg := heartbeat.Config{Interval: 300 * time.Millisecond, Timeout: time.Second, Jitter: 0.2}

	ctx, cancel := context.WithTimeout(t.Context(), 3*cfg.Timeout)
	defer cancel()
	assert.ErrorIs(t, watch(ctx, db, cfg), context.DeadlineExceeded, "it lives")

	// Only now, because a ping that was canceled has closed the connection of before.
	var pid int
	require.NoError(t, db.QueryRowContext(t.Context(), "select pg_backend_pid()").Scan(&pid))
	backend, err := os.FindProcess(pid)
	require.NoError(t, err)
	testpeer.SkipIfUnsupported(t, backend.Signal(syscall.SIGSTOP))
	defer backend.Signal(syscall.SIGCONT)
	start := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = watch(ctx, db, cfg)
	var dead *heartbeat.DeadError
	require.ErrorAs(t, err, &dead)
	assert.Equal(t, 1, dead.Unanswered, "the ping that waits still")
	assert.GreaterOrEqual(t, dead.Silence, cfg.Timeout)
	assert.Less(t, time.Since(start), 3*cfg.Timeout)
}
