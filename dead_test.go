package keepalive_test

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain runs all that waits at once: -parallel counts processors, but these
// tests sleep.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "100")
	}
	os.Exit(m.Run())
}

// detection returns the detection time of o, which has Idle, Interval and Count. It is
// Linux's, also under Wine (net/ipv4/tcp_timer.c, tcp_keepalive_timer), or gVisor's.
func detection(o keepalive.Options, unacked bool) time.Duration {
	o.Idle, o.Interval = o.Idle.Round(time.Second), max(o.Interval.Round(time.Second), time.Second)
	switch u := o.UserTimeout; {
	case u == 0 || u == keepalive.NoUserTimeout:
		return o.Idle + time.Duration(o.Count)*o.Interval
	case unacked:
		return u
	default:
		d := o.Idle + max(1, (u-o.Idle+o.Interval-1)/o.Interval)*o.Interval
		if keepalive.LimitsCount() { // gVisor
			d = min(d, o.Idle+time.Duration(o.Count)*o.Interval)
		}
		return d
	}
}

// within checks that the connection was dropped now, after a silence of want. The silence began
// between began and ended. The drop can be early by a tick of the kernel's clock. It can be late by
// an eighth, because of the kernel's timers, and by half a second on a busy machine.
func within(t testing.TB, want time.Duration, began, ended time.Time) {
	t.Helper()
	now := time.Now()
	t.Logf("promised %v, measured %v", want, now.Sub(began).Round(time.Millisecond))
	assert.GreaterOrEqual(t, now.Sub(began), want-10*time.Millisecond)
	assert.LessOrEqual(t, now.Sub(ended), want+want/8+500*time.Millisecond)
}

// exchange sends a byte there and back, and returns when it began and ended.
// The kernel counts the silence from a moment in between.
func exchange(t testing.TB, conn net.Conn, far *testpeer.Far) (began, ended time.Time) {
	t.Helper()
	began = time.Now()
	_, err := conn.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, far.Echo())
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	return began, time.Now()
}

func TestDeadPeer(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		o       keepalive.Options
		unacked bool
	}{
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 1}},
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 3}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 1 * s, Count: 3}},
		{o: keepalive.Options{Idle: 1 * s, Interval: 2 * s, Count: 2}},
		{o: keepalive.Options{Idle: 3 * s, Interval: 2 * s, Count: 2}},
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 8}},
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 2}},
		{o: keepalive.Options{Idle: 4 * s, Interval: 1 * s, Count: 1}},
		{o: keepalive.Options{Idle: 1 * s, Interval: 4 * s, Count: 1}},
		{o: keepalive.Options{Idle: 5 * s, Interval: 1 * s, Count: 2}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 2 * s, Count: 2}},
		{o: keepalive.Options{Idle: 6 * s, Interval: 1 * s, Count: 1}},
		{o: keepalive.Options{Idle: 1500 * 1e6, Interval: 1, Count: 2}}, // 2 s, 1 s
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 1, UserTimeout: 4 * s}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 2 * s, Count: 5, UserTimeout: 2 * s}},
		{o: keepalive.Options{Idle: 3 * s, Interval: 1 * s, Count: 9, UserTimeout: 5 * s}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 3 * s, Count: 2, UserTimeout: 6500 * 1e6}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 1 * s, Count: 3, UserTimeout: 1 * s}},      // one lost probe
		{o: keepalive.Options{Idle: 2 * s, Interval: 1 * s, Count: 3, UserTimeout: 4500 * 1e6}}, // as the count
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 3, UserTimeout: 7 * s}},      // later than the count
		{o: keepalive.Options{Idle: 1 * s, Interval: 3 * s, Count: 3, UserTimeout: 3 * s}},
		{o: keepalive.Options{Idle: 2 * s, Interval: 1 * s, Count: 3, UserTimeout: 2 * s}, unacked: true},
		{o: keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 3, UserTimeout: 4 * s}, unacked: true},
		{o: keepalive.Options{Idle: 9 * s, Interval: 9 * s, Count: 9, UserTimeout: 3 * s}, unacked: true},
	} {
		want := detection(c.o, c.unacked)
		t.Run(fmt.Sprintf("%v,%v,%v,user-timeout=%v,unacked=%v", c.o.Idle, c.o.Interval, c.o.Count, c.o.UserTimeout, c.unacked), realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, c.o))
			if !keepalive.IgnoresUserTimeout() && !c.unacked {
				assert.Equal(t, want, c.o.DetectionTime())
			}
			began, ended := exchange(t, conn, far)
			testpeer.SkipIfUnsupported(t, far.Deaf())
			if c.unacked {
				began = time.Now()
				_, err := conn.Write([]byte{1})
				require.NoError(t, err)
				ended = time.Now()
			}
			conn.SetReadDeadline(began.Add(want + want/8 + 2*s))
			_, err := conn.Read(make([]byte, 1))
			within(t, want, began, ended)
			require.Truef(t, dead(err), "%v", err)
		}))
	}
}

// TestDeadPeerOfDialer: options of Dialer start the timer without any data.
func TestDeadPeerOfDialer(t *testing.T) { realtime.Test(testDeadPeerOfDialer)(t) }

func testDeadPeerOfDialer(t testing.TB) {
	o := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 2, UserTimeout: 2500 * time.Millisecond}
	began := time.Now()
	conn, far, err := testpeer.DialWith(*keepalive.Dialer(nil, o), "tcp")
	testpeer.SkipIfUnsupported(t, err)
	t.Cleanup(func() { conn.Close(); far.Close() })
	ended := time.Now()
	testpeer.SkipIfUnsupported(t, far.Deaf())
	inForce(t, conn, o)
	want := detection(o, false)
	conn.SetReadDeadline(began.Add(want + want/8 + 2*time.Second))
	_, err = conn.Read(make([]byte, 1))
	within(t, want, began, ended)
	require.Truef(t, dead(err), "%v", err)
}

// TestDeadPeerUnacked: keepalive alone is no help while data is in flight.
func TestDeadPeerUnacked(t *testing.T) {
	t.Parallel()
	conn, far := testpeer.New(t, "tcp")
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}))
	exchange(t, conn, far)
	testpeer.SkipIfUnsupported(t, far.Deaf())
	_, err := conn.Write([]byte{1})
	require.NoError(t, err)
	conn.SetReadDeadline(time.Now().Add(6 * time.Second)) // three times what it takes when idle
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, far.Hear())
	conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // until the retransmission
	require.NoError(t, far.Echo())
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
}

// TestOutage: an outage that ends before the last probe is survived.
func TestOutage(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		o      keepalive.Options
		outage time.Duration
	}{
		{keepalive.Options{Idle: 2 * s, Interval: 1 * s, Count: 3}, 3500 * time.Millisecond},                     // fatal at 5 s; probes at 2, 3 and 4 s
		{keepalive.Options{Idle: 1 * s, Interval: 2 * s, Count: 2}, 2500 * time.Millisecond},                     // fatal at 5 s; probes at 1 and 3 s
		{keepalive.Options{Idle: 1 * s, Interval: 1 * s, Count: 5, UserTimeout: 4 * s}, 2500 * time.Millisecond}, // fatal at 4 s; probes at 1, 2 and 3 s
	} {
		t.Run(fmt.Sprintf("%v,%v,%v,user-timeout=%v,outage=%v", c.o.Idle, c.o.Interval, c.o.Count, c.o.UserTimeout, c.outage), realtime.Test(func(t testing.TB) {
			conn, far := testpeer.New(t, "tcp")
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, c.o))
			exchange(t, conn, far)
			testpeer.SkipIfUnsupported(t, far.Deaf())
			silent := func(d time.Duration) {
				conn.SetReadDeadline(time.Now().Add(d))
				_, err := conn.Read(make([]byte, 1))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			silent(c.outage)
			require.NoError(t, far.Hear())
			silent(detection(c.o, false) - c.outage + 3*s) // long after the drop without an answer
			conn.SetReadDeadline(time.Now().Add(10 * s))
			exchange(t, conn, far)
		}))
	}
}

// TestVanishedPeer: a peer that forgot the connection answers the first probe
// with a reset.
func TestVanishedPeer(t *testing.T) { realtime.Test(testVanishedPeer)(t) }

func testVanishedPeer(t testing.TB) {
	conn, far := testpeer.New(t, "tcp")
	o := keepalive.Options{Idle: 2 * time.Second, Interval: 5 * time.Second, Count: 9}
	err := keepalive.Enable(conn, o)
	if !errors.Is(err, errors.ErrUnsupported) { // the idle time is all it takes
		require.NoError(t, err)
	}
	began, ended := exchange(t, conn, far)
	testpeer.SkipIfUnsupported(t, far.Vanish())
	conn.SetReadDeadline(began.Add(20 * time.Second))
	_, err = conn.Read(make([]byte, 1))
	within(t, o.Idle, began, ended)
	require.Truef(t, reset(err), "%v", err)
}
