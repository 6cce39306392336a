package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/heartbeat"
)

var quick = heartbeat.Config{Interval: 300 * time.Millisecond, Timeout: time.Second, Jitter: 0.2}

// TestRun: the server lives while it answers pings, and is dead when it hangs.
func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	start := time.Now()
	require.NoError(t, run(t.Context(), &out, quick))
	assert.Regexp(t, `^hello\nafter \d+\.\ds: heartbeat: the peer is dead: silent for 1(\.\d+)?s, 1 ping unanswered\n$`, out.String())
	assert.Greater(t, time.Since(start), 3*quick.Timeout-quick.Interval)
}

// TestCancel: the end of the context ends it all, and is no death.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), quick.Timeout)
	defer cancel()
	assert.ErrorIs(t, run(ctx, new(strings.Builder), quick), context.DeadlineExceeded)
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, run(t.Context(), new(strings.Builder), heartbeat.Config{}), "Interval 0s: must be positive")
}
