package heartbeat

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Times in this package are nanoseconds since epoch on the monotonic clock.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }

// suspended is added to the wall clock. Tests use it to suspend the machine.
var suspended atomic.Int64

// clock returns now, and by how much the wall clock is ahead of it. Linux stops the
// monotonic clock while the machine is suspended (clock_gettime(2),
// CLOCK_MONOTONIC).
func clock() (t, wallOffset int64) {
	t = now()
	return t, time.Now().UnixNano() + suspended.Load() - t
}

const (
	// minSlack is the smallest delay of a timer that counts as a pause of the
	// process. Smaller delays are normal on a busy machine.
	minSlack = int64(100 * time.Millisecond)

	// maxTime is longer than any wait. Sums with it do not overflow.
	maxTime = int64(1 << 60)
)

type action uint8

const (
	actionNone action = iota
	actionPing
	actionDead
	actionAnnounce // only of a Conn
)

// beat decides for one peer when to send a ping and when the peer is dead. It reads
// no clock and starts nothing. Its owner calls step at the time wake, or sooner.
type beat struct {
	interval, timeout int64
	jitter            int64 // the most that is subtracted from an interval
	oneWay            bool

	unanswered   uint32 // pings since heard
	heard        int64  // when the last byte arrived, as of the last step
	lastActivity int64  // when the last byte moved in the direction that delays pings
	pinged       int64
	graceFrom    int64 // silence before this time does not count
	untilPing    int64 // time from lastActivity, pinged or graceFrom to the next ping
	wake         int64 // when to call step next
	wallOffset   int64 // as of the last step
}

// newBeat returns the beat of a peer that is alive at the time t.
func newBeat(c Config, oneWay bool, t, wallOffset int64) beat {
	b := beat{
		interval:     int64(c.Interval),
		timeout:      int64(c.Timeout),
		jitter:       int64(c.Jitter * float64(c.Interval)),
		oneWay:       oneWay,
		heard:        t,
		lastActivity: t,
		pinged:       t,
		wallOffset:   wallOffset,
	}
	b.resume(t)
	return b
}

// resume makes the peer count as alive at the time t.
func (b *beat) resume(t int64) {
	b.graceFrom, b.untilPing = t, b.interval-b.randomJitter()
	b.wake = t + min(b.untilPing, maxTime)
}

// restart has a ping sent at the time t. The peer then has the whole timeout to
// answer. The jitter keeps the peers of a suspended machine from being in step.
func (b *beat) restart(t int64) {
	b.graceFrom, b.untilPing = t, b.randomJitter()
	b.wake = t
}

func (b *beat) randomJitter() int64 {
	if b.jitter <= 0 {
		return 0
	}
	return rand.Int64N(b.jitter) // less than the interval
}

// slack is the longest pause of this process that does not restart the beat.
func (b *beat) slack() int64 { return max((b.timeout-b.interval)/4, minSlack) }

// step returns what to do at the time t, and sets wake. The arguments heard and sent
// are the times of the last byte from the peer and to it. If busy is true, a ping
// still waits to be sent, and step asks for no other.
func (b *beat) step(t, wallOffset, heard, sent int64, busy bool) action {
	if heard > b.heard {
		b.heard, b.unanswered = heard, 0
	}
	activity := heard
	if b.oneWay {
		activity = sent
	}
	if activity > b.lastActivity {
		b.lastActivity, b.untilPing = activity, b.interval-b.randomJitter()
	}
	if max(t-b.wake, wallOffset-b.wallOffset) > b.slack() {
		b.restart(t)
	}
	b.wallOffset = wallOffset

	remaining := b.timeout - (t - max(b.heard, b.graceFrom))
	if remaining <= 0 {
		return actionDead
	}
	next := b.untilPing - (t - max(b.lastActivity, b.pinged, b.graceFrom))
	do := actionNone
	if next <= 0 {
		b.pinged, b.untilPing = t, b.interval-b.randomJitter()
		next = b.untilPing
		if !busy {
			b.unanswered++
			do = actionPing
		}
	}
	if b.unanswered > 0 {
		next = min(next, b.slack()) // to notice a pause that ends before the timeout
	}
	b.wake = t + min(next, remaining, maxTime)
	return do
}

// deadError returns the error for a peer that is dead at the time t. pingErr is from
// the last ping.
func (b *beat) deadError(t int64, pingErr error) *DeadError {
	return &DeadError{Silence: time.Duration(t - b.heard), Unanswered: int(b.unanswered), Err: pingErr}
}
