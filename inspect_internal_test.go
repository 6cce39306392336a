package keepalive

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

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
