package heartbeat

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Times in this package are nanoseconds since epoch on the monotonic clock.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }

// suspended is what tests add to the wall clock, to suspend the machine.
var suspended atomic.Int64

// clock returns now, and how far the wall clock is ahead of it: Linux stops the
// monotonic clock while the machine is suspended (clock_gettime(2),
// CLOCK_MONOTONIC).
func clock() (t, ahead int64) {
	t = now()
	return t, time.Now().UnixNano() + suspended.Load() - t
}

const (
	// hiccup is how late a timer may be, at least, before that counts as sleep: a
	// busy machine does no better.
	hiccup = int64(100 * time.Millisecond)

	// forever is the longest wait; it is there so that sums do not overflow.
	forever = int64(1 << 60)
)

type action uint8

const (
	wait action = iota
	ping
	dead
)

// beat decides for one peer when to ping it and when it is dead. It reads no
// clock and starts nothing: its owner calls step at the time wake, or sooner.
type beat struct {
	interval, timeout int64
	spread            int64 // what is taken off an interval, at most
	oneWay            bool

	unanswered uint32 // pings since heard
	heard      int64  // the last byte from the peer, as of the last step
	quiet      int64  // the last byte in the direction that decides on pings
	pinged     int64
	round      int64 // when the present round began; no silence before it counts
	wait       int64 // from the latest of quiet, pinged and round to the next ping
	wake       int64 // when step is to be called next
	ahead      int64 // of the wall clock, as of the last step
}

// newBeat returns the beat of a peer that is alive at the time t.
func newBeat(c Config, t, ahead int64) beat {
	b := beat{
		interval: int64(c.Interval),
		timeout:  int64(c.Timeout),
		spread:   int64(c.Jitter * float64(c.Interval)),
		oneWay:   c.OneWay,
		heard:    t,
		quiet:    t,
		pinged:   t,
		round:    t,
		ahead:    ahead,
	}
	b.wait = b.nextWait()
	b.wake = t + min(b.wait, forever)
	return b
}

func (b *beat) nextWait() int64 { return b.interval - b.jitter() }

func (b *beat) jitter() int64 {
	if b.spread <= 0 {
		return 0
	}
	return rand.Int64N(b.spread) // less than the interval
}

// slack is how much of the time that a peer has to answer may be lost before
// the peer gets all of it anew.
func (b *beat) slack() int64 { return max((b.timeout-b.interval)/4, hiccup) }

// step tells what to do at the time t, and sets wake. heard and sent are the
// times of the last byte from the peer and to it; busy says that a ping is
// under way still, so that no other can be sent.
func (b *beat) step(t, ahead, heard, sent int64, busy bool) action {
	if heard > b.heard {
		b.heard, b.unanswered = heard, 0
	}
	quiet := heard
	if b.oneWay {
		quiet = sent
	}
	if quiet > b.quiet {
		b.quiet, b.wait = quiet, b.nextWait()
	}
	if max(t-b.wake, ahead-b.ahead) > b.slack() {
		b.refresh(t)
	}
	b.ahead = ahead

	life := b.timeout - (t - max(b.heard, b.round))
	if life <= 0 {
		return dead
	}
	next := b.wait - (t - max(b.quiet, b.pinged, b.round))
	do := wait
	if next <= 0 {
		b.pinged, b.wait = t, b.nextWait()
		next = b.wait
		if !busy {
			b.unanswered++
			do = ping
		}
	}
	if b.unanswered > 0 {
		next = min(next, b.slack()) // so that a sleep is noticed even if it ends before the verdict
	}
	b.wake = t + min(next, life, forever)
	return do
}

// refresh begins a full round at the time t: a ping, and then what is left of
// timeout for the answer.
func (b *beat) refresh(t int64) {
	b.round, b.wait = t, b.jitter() // after a sleep, too, not all in step
	b.wake = t
}

// verdict is the error for a peer found dead at the time t.
func (b *beat) verdict(t int64, err error) *DeadError {
	return &DeadError{Silence: time.Duration(t - b.heard), Unanswered: int(b.unanswered), Err: err}
}
