package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestServer: the connections of clients that do not answer PING are closed, and no
// others.
func TestServer(t *testing.T) { realtime.Test(testServer)(t) }

func testServer(t testing.TB) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out output
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, strings.Fields("-listen 127.0.0.1:0 -interval 300ms -timeout 1s"), &out, &out)
	}()
	listening := regexp.MustCompile(`listening on (\S+)`)
	require.Eventually(t, func() bool { return listening.MatchString(out.String()) }, 20*time.Second, time.Millisecond)
	addr := listening.FindStringSubmatch(out.String())[1]

	const n = 50
	var clients sync.WaitGroup
	for i := range 2 * n {
		began := time.Now()
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		conn.SetDeadline(began.Add(20 * time.Second))
		clients.Go(func() {
			if i%2 == 0 { // hangs
				b, err := io.ReadAll(conn)
				assert.NoError(t, err)
				assert.Regexp(t, "^(PING\n)+$", string(b))
				assert.GreaterOrEqual(t, time.Since(began), time.Second)
				return
			}
			defer conn.Close() // later, it would not answer
			lines := bufio.NewScanner(conn)
			for range 10 { // 5 times PING, which takes longer than the timeout, and what it has sent
				if assert.True(t, lines.Scan()) && lines.Text() == "PING" {
					io.WriteString(conn, "PONG\n")
				}
			}
		})
	}
	clients.Wait()
	require.Eventually(t, func() bool {
		return strings.Count(out.String(), "the peer is dead") >= n
	}, 20*time.Second, time.Millisecond)
	cancel()
	assert.Zero(t, <-status)
	assert.Equal(t, n, strings.Count(out.String(), "the peer is dead"))
	assert.Equal(t, n, strings.Count(out.String(), "the peer is dead: silent for 1"), out.String())
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-interval 0s": "Interval 0s: must be positive",
		"-timeout 1s":  "Timeout 1s: must be greater than Interval, 5s",
		"please":       `"please"`,
		"-nope":        "-nope",
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), &out, &errOut), args)
		assert.Contains(t, errOut.String(), want)
	}
}
