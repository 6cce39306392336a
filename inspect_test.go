package keepalive_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestInspectDeath watches connections die: the silence grows, the probes or
// retransmissions count up, the peer is suspected in time, and the end comes
// when it was predicted, within a tenth.
func TestInspectDeath(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		o       keepalive.Options
		unacked bool
		probes  int // at least
	}{
		{o: keepalive.Options{Idle: 2 * s, Interval: s, Count: 3}, probes: 3},
		{o: keepalive.Options{Idle: s, Interval: s, Count: 6}, probes: 6},
		{o: keepalive.Options{Idle: 3 * s, Interval: 2 * s, Count: 1}, probes: 1},
		{o: keepalive.Options{Idle: s, Interval: 4 * s, Count: 2}, probes: 2},
		{o: keepalive.Options{Idle: s, Interval: s, Count: 3, UserTimeout: 6 * s}, probes: 5},
		{o: keepalive.Options{Idle: s, Interval: s, Count: 3, UserTimeout: 5 * s}, unacked: true},
		{o: keepalive.Options{Idle: 9 * s, Interval: s, Count: 3, UserTimeout: 2 * s}, unacked: true},
	} {
		t.Run(fmt.Sprintf("%v,unacked=%v", c.o, c.unacked), realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, c.o))
			_, err := keepalive.Inspect(conn)
			testpeer.SkipIfUnsupported(t, err)
			exchange(t, conn, far)
			testpeer.SkipIfUnsupported(t, far.Deaf())
			if c.unacked {
				_, err := conn.Write([]byte{1})
				require.NoError(t, err)
			}
			died := make(chan error, 1)
			go func() {
				_, err := conn.Read(make([]byte, 1))
				died <- err
			}()
			start := time.Now()
			var last keepalive.Info
			var suspected time.Duration
			var predicted []time.Duration
			for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
				i, err := keepalive.Inspect(conn)
				now := time.Since(start)
				if err != nil {
					require.True(t, notConnected(err), "%v", err)
					require.Equal(t, keepalive.Dead, keepalive.Diagnose(<-died), "the error is left to the reader")
					break
				}
				assert.GreaterOrEqual(t, i.Silence, last.Silence)
				assert.GreaterOrEqual(t, i.Probes, last.Probes)
				assert.GreaterOrEqual(t, i.Retransmits, last.Retransmits)
				assert.Equal(t, c.unacked, i.Unacked > 0)
				last = i
				switch suspect := i.Suspect(c.o); {
				case suspect && suspected == 0:
					suspected = now
				case !suspect:
					assert.Zero(t, suspected, "no longer suspect after %v: %v", now, i)
				}
				left, ok := i.Remaining(c.o)
				assert.True(t, ok)
				if c.unacked && i.Retransmits == 0 { // nobody can know of the tail loss probe
					assert.InDelta(t, c.o.UserTimeout+400*time.Millisecond, now+left, float64(300*time.Millisecond))
					continue
				}
				predicted = append(predicted, now+left)
			}
			took := time.Since(start)
			t.Logf("died after %v, suspected after %v, last seen %+v", took, suspected, last)
			assert.NotZero(t, suspected, "before the kernel gave it up")
			assert.GreaterOrEqual(t, last.Probes, c.probes)
			if c.unacked {
				assert.Greater(t, last.Retransmits, 1)
				assert.Greater(t, last.Resent, 1)
			}
			for _, p := range predicted {
				assert.InEpsilon(t, took, p, 0.1)
			}
		}))
	}
}

// TestInspectLate: what was set after a long silence, and probes that were lost
// before the peer was heard again.
func TestInspectLate(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct {
		o       keepalive.Options
		late    time.Duration // that the estimate is wrong by
		prepare func(t testing.TB, conn net.Conn, far *testpeer.Far, o keepalive.Options)
	}{
		"set after a silence": {keepalive.Options{Idle: s, Interval: s, Count: 3}, s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o keepalive.Options) {
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{Idle: 100 * s}))
			testpeer.SkipIfUnsupported(t, far.Deaf())
			time.Sleep(3 * s) // the silence itself
			require.NoError(t, keepalive.Enable(conn, o))
		}},
		"and the user timeout is over": {keepalive.Options{Idle: s, Interval: 2 * s, Count: 3, UserTimeout: 2500 * time.Millisecond}, 2 * s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o keepalive.Options) {
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{Idle: 100 * s}))
			testpeer.SkipIfUnsupported(t, far.Deaf())
			time.Sleep(3 * s)
			require.NoError(t, keepalive.Enable(conn, o))
		}},
		"an answered probe, seldom": {keepalive.Options{Idle: s, Interval: 3 * s, Count: 1}, 2 * s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o keepalive.Options) {
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, o))
			time.Sleep(s + s/2) // by then one is answered
			testpeer.SkipIfUnsupported(t, far.Deaf())
		}},
	} {
		t.Run(name, realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			_, err := keepalive.Inspect(conn)
			testpeer.SkipIfUnsupported(t, err)
			exchange(t, conn, far)
			c.prepare(t, conn, far, c.o)
			start := time.Now()
			var predicted []time.Duration
			for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
				i, err := keepalive.Inspect(conn)
				if err != nil {
					break
				}
				left, ok := i.Remaining(c.o)
				assert.True(t, ok)
				predicted = append(predicted, time.Since(start)+left)
			}
			took := time.Since(start)
			low, high := slices.Min(predicted), slices.Max(predicted)
			t.Logf("died after %v; predicted %v to %v", took, low, high)
			off := took/10 + c.o.Interval/10 + c.late
			assert.InDelta(t, took, low, float64(off))
			assert.InDelta(t, took, high, float64(off))
		}))
	}
}

// TestInspectAlive: a peer that answers is not suspect, also if the probes are an Interval
// apart, because it is longer than Idle.
func TestInspectAlive(t *testing.T) {
	for _, o := range []keepalive.Options{
		{Idle: time.Second, Interval: time.Second, Count: 2},
		{Idle: time.Second, Interval: 2 * time.Second, Count: 2},
	} {
		t.Run(o.String(), realtime.Test(func(t testing.TB) { testInspectAlive(t, o) }))
	}
}

func testInspectAlive(t testing.TB, o keepalive.Options) {
	conn, far := testpeer.New(t, "tcp")
	i, err := keepalive.Inspect(conn)
	testpeer.SkipIfUnsupported(t, err)
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, o))
	exchange(t, conn, far)
	before, err := keepalive.Inspect(conn)
	require.NoError(t, err)
	assert.NotZero(t, before.RTT)
	apart := max(o.Idle, o.Interval)
	longest := time.Duration(0)
	for start := time.Now(); time.Since(start) < o.Idle+2*apart; time.Sleep(time.Millisecond) {
		i, err = keepalive.Inspect(conn)
		require.NoError(t, err)
		require.False(t, i.Suspect(o), "%+v", i)
		left, ok := i.Remaining(o)
		if i.Silence >= 0 {
			require.True(t, ok)
			require.Greater(t, left, 1500*time.Millisecond)
			require.Less(t, i.Silence, apart+500*time.Millisecond, "each probe is answered")
			longest = max(longest, i.Silence)
		}
	}
	if longest > 0 {
		assert.Greater(t, longest, apart-100*time.Millisecond, "the second probe is sent after the longer time")
	}
}

// TestInspectConnections: Inspect takes what Enable takes, and refuses the rest.
func TestInspectConnections(t *testing.T) {
	t.Parallel()
	conn, far := testpeer.New(t, "tcp")
	_, err := keepalive.Inspect(conn)
	testpeer.SkipIfUnsupported(t, err)
	wrapped, err := keepalive.Inspect(struct{ net.Conn }{conn})
	require.NoError(t, err)
	assert.Zero(t, wrapped.Unacked, "nothing was sent")

	pipe, _ := net.Pipe()
	for _, bad := range []net.Conn{nil, (*net.TCPConn)(nil), &net.TCPConn{}, pipe} {
		i, err := keepalive.Inspect(bad)
		assert.Error(t, err)
		assert.Equal(t, keepalive.NoInfo, i)
		want := keepalive.Enable(bad, keepalive.Options{})
		assert.Equal(t, want.Error(), err.Error())
	}
	far.Close()
	conn.Close()
	i, err := keepalive.Inspect(conn)
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.Equal(t, keepalive.NoInfo, i)
}
