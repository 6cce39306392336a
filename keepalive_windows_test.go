package keepalive_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// legacy skips the test where Windows has options for the times.
func legacy(t *testing.T) {
	t.Helper()
	conn, _ := testpeer.New(t, "tcp")
	if _, err := keepalive.Get(conn); !errors.Is(err, errors.ErrUnsupported) {
		t.Skip("not supported here: this Windows has TCP_KEEPIDLE, so SIO_KEEPALIVE_VALS is not used")
	}
}

// TestLegacy holds the path through SIO_KEEPALIVE_VALS against what the kernel
// holds, seen from outside.
func TestLegacy(t *testing.T) {
	t.Parallel()
	legacy(t)
	for _, c := range []struct {
		o              keepalive.Options
		idle, interval int
	}{
		{keepalive.Options{Idle: 40 * time.Second, Interval: 7 * time.Second}, 40, 7},
		{keepalive.Options{Idle: 41 * time.Second}, 41, 1},      // Windows's own, as documented
		{keepalive.Options{Interval: 8 * time.Second}, 7200, 8}, // Windows's own, as documented
		{keepalive.Options{Idle: 42 * time.Second, Interval: 9 * time.Second, Count: 3}, 42, 9},
	} {
		conn, far := testpeer.New(t, "tcp")
		err := keepalive.Enable(conn, c.o)
		if c.o.Count == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errors.ErrUnsupported)
			var oe *keepalive.OptionError
			require.ErrorAs(t, err, &oe)
			assert.Equal(t, "Count", oe.Option)
			assert.NotContains(t, err.Error(), "Idle")
		}
		seen, err := far.Seen()
		testpeer.SkipIfUnsupported(t, err)
		assert.Equal(t, []int{1, c.idle, c.interval}, []int{seen.KeepAlive, seen.Idle, seen.Interval})

		got, err := keepalive.Get(conn)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		for _, name := range []string{"Idle", "Interval", "Count"} {
			assert.ErrorContains(t, err, name)
		}
		assert.False(t, got.Disabled)

		require.NoError(t, keepalive.Disable(conn))
		seen, err = far.Seen()
		require.NoError(t, err)
		assert.Zero(t, seen.KeepAlive)
		got, err = keepalive.Get(conn)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.True(t, got.Disabled)
	}
}

// TestLegacyNothingShared: what is set on one connection does not leak into
// another, however the calls are interleaved.
func TestLegacyNothingShared(t *testing.T) {
	t.Parallel()
	legacy(t)
	one, farOne := testpeer.New(t, "tcp")
	two, farTwo := testpeer.New(t, "tcp")
	for n := range 5 {
		i := time.Duration(n) * time.Second
		require.NoError(t, keepalive.Enable(one, keepalive.Options{Idle: 50*time.Second + i, Interval: 10*time.Second + i}))
		require.NoError(t, keepalive.Enable(two, keepalive.Options{Idle: 70*time.Second + i}))
		require.NoError(t, keepalive.Enable(one, keepalive.Options{}), "on, and nothing else")
		a, err := farOne.Seen()
		testpeer.SkipIfUnsupported(t, err)
		b, err := farTwo.Seen()
		require.NoError(t, err)
		assert.Equal(t, []int{50 + n, 10 + n}, []int{a.Idle, a.Interval})
		assert.Equal(t, []int{70 + n, 1}, []int{b.Idle, b.Interval})
	}
}

// TestDeadPeerOnWindows reads from a dead peer until Windows drops the connection, on both paths. The
// count is the one of the system: 10 on Windows, and the count of the host under Wine.
func TestDeadPeerOnWindows(t *testing.T) { realtime.Test(testDeadPeerOnWindows)(t) }

func testDeadPeerOnWindows(t testing.TB) {
	conn, far := testpeer.New(t, "tcp")
	o := keepalive.Options{Idle: 2 * time.Second, Interval: time.Second}
	require.NoError(t, keepalive.Enable(conn, o))
	seen, err := far.Seen()
	testpeer.SkipIfUnsupported(t, err)
	o.Count = seen.Count
	began, ended := exchange(t, conn, far)
	testpeer.SkipIfUnsupported(t, far.Deaf())
	want := detection(o, false)
	conn.SetReadDeadline(began.Add(2 * want))
	_, err = conn.Read(make([]byte, 1))
	within(t, want, began, ended)
	require.ErrorIs(t, err, windows.WSAETIMEDOUT)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	assert.False(t, ne.Timeout(), "package net's word for a deadline, which this is not")
}
