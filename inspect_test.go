package keepalive

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

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
		o       Options
		unacked bool
		probes  int // at least
	}{
		{o: Options{Idle: 2 * s, Interval: s, Count: 3}, probes: 3},
		{o: Options{Idle: s, Interval: s, Count: 6}, probes: 6},
		{o: Options{Idle: 3 * s, Interval: 2 * s, Count: 1}, probes: 1},
		{o: Options{Idle: s, Interval: 4 * s, Count: 2}, probes: 2},
		{o: Options{Idle: s, Interval: s, Count: 3, UserTimeout: 6 * s}, probes: 5},
		{o: Options{Idle: s, Interval: s, Count: 3, UserTimeout: 5 * s}, unacked: true},
		{o: Options{Idle: 9 * s, Interval: s, Count: 3, UserTimeout: 2 * s}, unacked: true},
	} {
		t.Run(fmt.Sprintf("%v,unacked=%v", c.o, c.unacked), realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			testpeer.SkipIfUnsupported(t, Enable(conn, c.o))
			_, err := Inspect(conn)
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
			var last Info
			var suspected time.Duration
			var predicted []time.Duration
			for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
				i, err := Inspect(conn)
				now := time.Since(start)
				if err != nil {
					require.True(t, notConnected(err), "%v", err)
					require.Equal(t, Dead, Diagnose(<-died), "the error is left to the reader")
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
		o       Options
		late    time.Duration // that the estimate is wrong by
		prepare func(t testing.TB, conn net.Conn, far *testpeer.Far, o Options)
	}{
		"set after a silence": {Options{Idle: s, Interval: s, Count: 3}, s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o Options) {
			testpeer.SkipIfUnsupported(t, Enable(conn, Options{Idle: 100 * s}))
			testpeer.SkipIfUnsupported(t, far.Deaf())
			time.Sleep(3 * s) // the silence itself
			require.NoError(t, Enable(conn, o))
		}},
		"and the user timeout is over": {Options{Idle: s, Interval: 2 * s, Count: 3, UserTimeout: 2500 * time.Millisecond}, 2 * s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o Options) {
			testpeer.SkipIfUnsupported(t, Enable(conn, Options{Idle: 100 * s}))
			testpeer.SkipIfUnsupported(t, far.Deaf())
			time.Sleep(3 * s)
			require.NoError(t, Enable(conn, o))
		}},
		"an answered probe, seldom": {Options{Idle: s, Interval: 3 * s, Count: 1}, 2 * s, func(t testing.TB, conn net.Conn, far *testpeer.Far, o Options) {
			testpeer.SkipIfUnsupported(t, Enable(conn, o))
			time.Sleep(s + s/2) // by then one is answered
			testpeer.SkipIfUnsupported(t, far.Deaf())
		}},
	} {
		t.Run(name, realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			_, err := Inspect(conn)
			testpeer.SkipIfUnsupported(t, err)
			exchange(t, conn, far)
			c.prepare(t, conn, far, c.o)
			start := time.Now()
			var predicted []time.Duration
			for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
				i, err := Inspect(conn)
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
	for _, o := range []Options{
		{Idle: time.Second, Interval: time.Second, Count: 2},
		{Idle: time.Second, Interval: 2 * time.Second, Count: 2},
	} {
		t.Run(o.String(), realtime.Test(func(t testing.TB) { testInspectAlive(t, o) }))
	}
}

func testInspectAlive(t testing.TB, o Options) {
	conn, far := testpeer.New(t, "tcp")
	i, err := Inspect(conn)
	testpeer.SkipIfUnsupported(t, err)
	testpeer.SkipIfUnsupported(t, Enable(conn, o))
	exchange(t, conn, far)
	before, err := Inspect(conn)
	require.NoError(t, err)
	assert.NotZero(t, before.RTT)
	apart := max(o.Idle, o.Interval)
	longest := time.Duration(0)
	for start := time.Now(); time.Since(start) < o.Idle+2*apart; time.Sleep(time.Millisecond) {
		i, err = Inspect(conn)
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
	_, err := Inspect(conn)
	testpeer.SkipIfUnsupported(t, err)
	wrapped, err := Inspect(struct{ net.Conn }{conn})
	require.NoError(t, err)
	assert.Zero(t, wrapped.Unacked, "nothing was sent")

	pipe, _ := net.Pipe()
	for _, bad := range []net.Conn{nil, (*net.TCPConn)(nil), &net.TCPConn{}, pipe} {
		i, err := Inspect(bad)
		assert.Error(t, err)
		assert.Equal(t, noInfo, i)
		want := Enable(bad, Options{})
		assert.Equal(t, want.Error(), err.Error())
	}
	far.Close()
	conn.Close()
	i, err := Inspect(conn)
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.Equal(t, noInfo, i)
}

func TestInspectOfFakeSystems(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, time.Second)
	_, err := p.inspect(7)
	assert.ErrorIs(t, err, errors.ErrUnsupported, "a system that has nothing of the kind")
	answer, open, fails := Info{Silence: 5}, true, error(nil)
	p.info = &infoCall{"INFO", "getinfo", func(uintptr) (Info, bool, error) { return answer, open, fails }}
	i, err := p.inspect(7)
	assert.NoError(t, err)
	assert.Equal(t, answer, i)
	fails = errMissing
	i, err = p.inspect(7)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorIs(t, err, errMissing)
	assert.Equal(t, noInfo, i)
	fails = errRefused
	_, err = p.inspect(7)
	assert.ErrorIs(t, err, errRefused)
	assert.NotErrorIs(t, err, errors.ErrUnsupported)
	fails, open, k.gone = nil, false, true
	i, err = p.inspect(7)
	assert.ErrorIs(t, err, errGone)
	assert.Equal(t, noInfo, i)
	fails = errRefused
	_, err = p.inspect(7)
	assert.ErrorIs(t, err, errGone)
	assert.NotErrorIs(t, err, errRefused, "that it is over is all that it means")
	fails, k.gone = nil, false // Multipath TCP, whose first path is gone
	i, err = p.inspect(7)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Equal(t, noInfo, i)
}

func TestSuspectAndRemaining(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	linux, _ := fake(s, ms)
	linux.userTimeoutRule = userTimeoutReplacesCount
	freebsd, _ := fake(s, s)
	std := Options{Idle: 40 * s, Interval: 5 * s, Count: 3, UserTimeout: NoUserTimeout}
	with := func(o Options, u time.Duration) Options { o.UserTimeout = u; return o }
	disabled := std
	disabled.Disabled = true
	oneProbe := Options{Idle: 40 * s, Interval: 5 * s, Count: 1, UserTimeout: NoUserTimeout}
	longInterval := Options{Idle: 1 * s, Interval: 4 * s, Count: 2, UserTimeout: NoUserTimeout}
	shortUser := Options{Idle: 2 * s, Interval: 2 * s, Count: 3, UserTimeout: 7500 * ms}
	// idle is a connection without data in flight, inFlight one whose data was sent for the
	// last time sinceSend ago.
	idle := func(silence time.Duration, probes int) Info {
		return Info{Silence: silence, Probes: probes, rto: 200 * ms, sinceSend: silence}
	}
	inFlight := func(sinceSend time.Duration, retransmits int) Info {
		return Info{Silence: time.Hour, Unacked: 1, Retransmits: retransmits, rto: 300 * ms, sinceSend: sinceSend}
	}
	zeroWindow := func(probes int) Info {
		return Info{Silence: 50 * s, Probes: probes, rto: 200 * ms, zeroWindow: true}
	}
	bytesOnly := noInfo // macOS, Windows
	bytesOnly.Unacked = 100
	silenceOnly := noInfo // FreeBSD
	silenceOnly.Silence, silenceOnly.rto = 46*s, 200*ms
	const unknown = -1
	for _, c := range []struct {
		name      string
		p         *platform
		i         Info
		o         Options
		suspect   bool
		remaining time.Duration
	}{
		{"silent for less than Idle", linux, idle(10*s, 0), std, false, 45 * s},
		{"first probe is due", linux, idle(41*s, 0), std, false, 15 * s},
		{"first probe may be recent", linux, idle(44*s, 1), std, false, 11 * s},
		{"first probe unanswered", linux, idle(45*s+300*ms, 1), std, true, 10 * s},
		{"two probes unanswered", linux, idle(45*s+1*ms, 2), std, true, 10*s - 1*ms},
		{"all probes unanswered", linux, idle(54*s, 3), std, true, 1 * s},
		{"drop is late", linux, idle(57*s, 3), std, true, 0},
		{"probes are late", linux, idle(52*s, 2), std, true, 5 * s},
		{"long round trip", linux, Info{Silence: 47 * s, Probes: 2, rto: 8 * s}, std, false, 8 * s},
		{"only probe may be recent", linux, idle(42*s, 1), oneProbe, false, 3 * s},
		{"only probe can be late until the drop", linux, idle(44*s+900*ms, 1), oneProbe, false, 100 * ms},
		{"options set after a long silence", linux, idle(time.Hour, 0), std, false, 15 * s},
		{"options set after a long silence, one probe", linux, idle(time.Hour, 1), std, true, 10 * s},
		{"options set after a long silence, two probes", linux, idle(time.Hour, 2), std, true, 5 * s},
		{"user timeout over, no probe sent", linux, idle(9*s, 0), shortUser, false, 0},
		{"user timeout over, one probe", linux, idle(9*s, 1), shortUser, true, 0},
		{"probes counted before the silence", linux, idle(1*s, 2), std, false, 54 * s},
		{"probes counted before the silence, first probe sent", linux, idle(40*s+100*ms, 3), std, false, 14*s + 900*ms},
		{"long Interval after data", linux, idle(500*ms, 0), longInterval, false, 8500 * ms},
		{"long Interval after an answered probe", linux, idle(2*s, 0), longInterval, false, 8 * s},
		{"long Interval, probe may be recent", linux, idle(4*s+100*ms, 1), longInterval, false, 5*s - 100*ms},
		{"long Interval, probe unanswered", linux, idle(5*s, 1), longInterval, true, 4 * s},
		{"long Interval, two probes unanswered", linux, idle(5*s, 2), longInterval, true, 4 * s},
		{"disabled", linux, idle(time.Hour, 0), disabled, false, unknown},
		{"user timeout shorter than the count", linux, idle(41*s, 1), with(std, 10*s), false, 4 * s},
		{"user timeout longer than the count", linux, idle(46*s, 2), with(std, 70*s), true, 24 * s},
		{"negative", linux, idle(50*s, 2), Options{Idle: -1}, false, unknown},
		{"written after unanswered probes", linux, Info{Silence: 47 * s, Probes: 2, Unacked: 1, rto: 300 * ms, sinceSend: 100 * ms}, std, true, unknown},
		{"long Interval, second probe late", linux, idle(8*s+700*ms, 1), longInterval, true, 4 * s},
		{"data in flight", linux, inFlight(100*ms, 0), std, false, unknown},
		{"data in flight, user timeout", linux, inFlight(100*ms, 0), with(std, 9*s), false, 9*s + 200*ms},
		{"retransmitted", linux, inFlight(100*ms, 1), with(std, 9*s), false, 9*s - 100*ms},
		{"retransmitted, unanswered for the RTO", linux, inFlight(400*ms, 1), with(std, 9*s), true, 9*s - 400*ms},
		{"retransmitted, short user timeout", linux, inFlight(110*ms, 1), with(std, 200*ms), false, 90 * ms},
		{"retransmitted often", linux, inFlight(0, 4), with(std, 9*s), true, 9*s - 14*300*ms},
		{"retransmitted, keepalive off", linux, inFlight(0, 2), with(disabled, 9*s), true, 9*s - 2*300*ms},
		{"answered since", linux, Info{Silence: 100 * ms, Unacked: 1, Retransmits: 5, rto: 300 * ms, sinceSend: 200 * ms}, with(std, 90*s), false, 90*s - 30*300*ms - 200*ms},
		{"router reports unreachable", linux, Info{Silence: 9 * s, Unacked: 1, Retransmits: 5, rto: -1, sinceSend: 200 * ms}, with(std, 90*s), true, unknown},
		{"user timeout over with data in flight", linux, inFlight(9*s, 4), with(std, 9*s), true, 0},
		{"closed window", linux, zeroWindow(1), std, false, unknown},
		{"closed window, probes unanswered", linux, zeroWindow(2), std, true, unknown},
		{"no Silence", freebsd, bytesOnly, std, false, unknown},
		{"only Silence", freebsd, silenceOnly, std, true, 9 * s},
		{"only Silence, short Interval", freebsd, silenceOnly, Options{Idle: 40 * s, Interval: s, Count: 7}, true, s},
		{"probe is late, short Interval", linux, idle(44*s, 1), Options{Idle: 40 * s, Interval: s, Count: 3}, false, 2 * s},
		{"data in flight elsewhere", freebsd, Info{Silence: 10 * s, Probes: -1, Unacked: 9, Retransmits: -1}, with(std, 9*s), false, 45 * s},
	} {
		assert.Equal(t, c.suspect, c.p.suspect(c.i, c.o), c.name)
		left, ok := c.p.remaining(c.i, c.o)
		if c.remaining == unknown {
			assert.False(t, ok, c.name)
			continue
		}
		assert.True(t, ok, c.name)
		assert.Equal(t, c.remaining, left, c.name)
	}
}

// TestWithoutSockets: without descriptors the documented defaults count.
func TestWithoutSockets(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, time.Second)
	k.fails[optIdle], k.fails[optInterval], k.fails[optCount] = errRefused, errRefused, errRefused
	p.defaults = Options{Idle: time.Minute, Interval: time.Second, Count: 3}
	assert.Equal(t, 63*time.Second, p.detectionTime(Options{}))
	i := Info{Silence: 62 * time.Second, Probes: 2}
	assert.True(t, p.suspect(i, Options{}))
	left, ok := p.remaining(i, Options{})
	assert.True(t, ok)
	assert.Equal(t, time.Second, left)
}

func TestInfoString(t *testing.T) {
	t.Parallel()
	i := Info{Silence: 1200 * time.Millisecond, Probes: 1, Retransmits: 2, Resent: 3, RTT: 31 * time.Microsecond, rto: 7}
	assert.Equal(t, "silence=1.2s probes=1 unacked=0 retransmits=2 resent=3 rtt=31µs", i.String())
	assert.Equal(t, i.String(), fmt.Sprintf("%+v", i))
	i = noInfo
	assert.Empty(t, i.String())
	i.RTT = 0
	assert.Equal(t, "rtt=0s", i.String())
}
