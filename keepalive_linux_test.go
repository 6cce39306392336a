package keepalive

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFresh: a connection that nobody touched has the sysctls' values, and is
// off.
func TestFresh(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	sysctl := func(name string) int {
		b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_keepalive_" + name)
		testpeer.Need(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		require.NoError(t, err)
		return n
	}
	want := Options{
		Idle:        time.Duration(sysctl("time")) * time.Second,
		Interval:    time.Duration(sysctl("intvl")) * time.Second,
		Count:       sysctl("probes"),
		UserTimeout: NoUserTimeout,
		Disabled:    true,
	}
	got, err := Get(conn)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// TestTimer reads the running timer of the socket from /proc, as ss -o does.
func TestTimer(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp4")
	timer := func() (kind string, left time.Duration) {
		b, err := os.ReadFile("/proc/net/tcp")
		testpeer.Need(t, err)
		_, local, _ := strings.Cut(conn.LocalAddr().String(), ":")
		_, remote, _ := strings.Cut(conn.RemoteAddr().String(), ":")
		l, _ := strconv.Atoi(local)
		r, _ := strconv.Atoi(remote)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 5 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", l)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", r)) {
				kind, when, _ := strings.Cut(f[5], ":")
				n, err := strconv.ParseInt(when, 16, 64)
				require.NoError(t, err)
				return kind, time.Duration(n) * time.Second / 100 // USER_HZ
			}
		}
		t.Skip("cannot be had here: the socket is not in /proc/net/tcp") // qemu-user makes one up
		return
	}
	const none, keepalive = "00", "02" // net/ipv4/tcp_ipv4.c, get_tcp4_sock
	kind, _ := timer()
	assert.Equal(t, none, kind)
	require.NoError(t, Enable(conn, Options{Idle: 300 * time.Second}))
	kind, left := timer()
	assert.Equal(t, keepalive, kind)
	assert.LessOrEqual(t, left, 300*time.Second)
	assert.Greater(t, left, 290*time.Second)
	require.NoError(t, Disable(conn))
	kind, _ = timer()
	assert.Equal(t, none, kind)
}
