package heartbeat

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const s = int64(time.Second)

// TestBeat plays what may happen to one peer: each row is a call of step, at a
// time in seconds, and what it is to say.
func TestBeat(t *testing.T) {
	t.Parallel()
	type row struct {
		at          float64
		heard, sent float64 // the last byte from it and to it
		want        action
		wake        float64
		unanswered  int
		ahead       float64 // of the wall clock
		busy        bool
	}
	for name, c := range map[string]struct {
		interval, timeout float64
		oneWay            bool
		rows              []row
	}{
		"silence": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1}, // looks for a sleep in between
			{at: 13.75, want: actionNone, wake: 17.5, unanswered: 1},
			{at: 17.5, want: actionNone, wake: 20, unanswered: 1},
			{at: 20, want: actionPing, wake: 23.75, unanswered: 2},
			{at: 23.75, want: actionNone, wake: 25, unanswered: 2},
			{at: 24.999, want: actionNone, wake: 25, unanswered: 2},
			{at: 25, want: actionDead, wake: 25, unanswered: 2},
		}},
		"any byte is life": {10, 25, false, []row{
			{at: 10, heard: 9, want: actionNone, wake: 19},
			{at: 19, heard: 19, want: actionNone, wake: 29},
			{at: 29, heard: 19, want: actionPing, wake: 32.75, unanswered: 1},
			{at: 30, heard: 29.5, want: actionNone, wake: 39.5},
			{at: 39.5, heard: 29.5, want: actionPing, wake: 43.25, unanswered: 1},
			{at: 43.25, heard: 29.5, want: actionNone, wake: 47, unanswered: 1},
			{at: 47, heard: 29.5, want: actionNone, wake: 49.5, unanswered: 1},
			{at: 49.5, heard: 29.5, want: actionPing, wake: 53.25, unanswered: 2},
			{at: 54.5, heard: 29.5, want: actionDead, wake: 53.25, unanswered: 2},
		}},
		"a ping that blocks": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1},
			{at: 13.75, heard: 12, busy: true, want: actionNone, wake: 22},
			{at: 22, heard: 12, busy: true, want: actionNone, wake: 32}, // it cannot be pinged
			{at: 32, heard: 31, busy: true, want: actionNone, wake: 41}, // and is alive
			{at: 41, heard: 31, want: actionPing, wake: 44.75, unanswered: 1},
			{at: 44.75, heard: 31, want: actionNone, wake: 48.5, unanswered: 1},
			{at: 48.5, heard: 31, want: actionNone, wake: 51, unanswered: 1},
			{at: 51, heard: 31, want: actionPing, wake: 54.75, unanswered: 2},
			{at: 56, heard: 31, want: actionDead, wake: 54.75, unanswered: 2},
		}},
		"blocked and silent": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1},
			{at: 13.75, busy: true, want: actionNone, wake: 17.5, unanswered: 1},
			{at: 17.5, busy: true, want: actionNone, wake: 20, unanswered: 1},
			{at: 20, busy: true, want: actionNone, wake: 23.75, unanswered: 1},
			{at: 23.75, busy: true, want: actionNone, wake: 25, unanswered: 1},
			{at: 25, busy: true, want: actionDead, wake: 25, unanswered: 1},
		}},
		"one way": {10, 25, true, []row{
			{at: 10, sent: 4, want: actionNone, wake: 14},
			{at: 14, sent: 4, heard: 14, want: actionPing, wake: 17.75, unanswered: 1}, // in spite of what it sends
			{at: 17.75, sent: 4, heard: 17, want: actionNone, wake: 24},
			{at: 24, sent: 23, heard: 17, want: actionNone, wake: 33},
			{at: 33, sent: 32, heard: 17, want: actionNone, wake: 42},
			{at: 42, sent: 32, heard: 17, want: actionDead, wake: 42},
		}},
		"stopped before the ping": {10, 25, false, []row{
			{at: 100, want: actionPing, wake: 103.75, unanswered: 1},
			{at: 103.75, want: actionNone, wake: 107.5, unanswered: 1},
			{at: 107.5, want: actionNone, wake: 110, unanswered: 1},
			{at: 110, want: actionPing, wake: 113.75, unanswered: 2},
			{at: 113.75, want: actionNone, wake: 117.5, unanswered: 2},
			{at: 117.5, want: actionNone, wake: 120, unanswered: 2},
			{at: 120, want: actionPing, wake: 123.75, unanswered: 3},
			{at: 125, want: actionDead, wake: 123.75, unanswered: 3}, // Timeout after the waking
		}},
		"stopped after the ping, for less than the timeout": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1},
			{at: 24, want: actionPing, wake: 27.75, unanswered: 2},
			{at: 27.75, want: actionNone, wake: 31.5, unanswered: 2},
			{at: 31.5, want: actionNone, wake: 34, unanswered: 2},
			{at: 34, want: actionPing, wake: 37.75, unanswered: 3},
			{at: 37.75, heard: 36, want: actionNone, wake: 46},
		}},
		"suspended: the monotonic clock stood still": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1},
			{at: 13.75, want: actionPing, wake: 17.5, unanswered: 2, ahead: 3600},
			{at: 17.5, want: actionNone, wake: 21.25, unanswered: 2, ahead: 3600},
			{at: 21.25, want: actionNone, wake: 23.75, unanswered: 2, ahead: 3600},
			{at: 23.75, want: actionPing, wake: 27.5, unanswered: 3, ahead: 3600},
			{at: 27.5, want: actionNone, wake: 31.25, unanswered: 3, ahead: 3600},
			{at: 31.25, want: actionNone, wake: 33.75, unanswered: 3, ahead: 3600},
			{at: 33.75, want: actionPing, wake: 37.5, unanswered: 4, ahead: 3600},
			{at: 38.75, want: actionDead, wake: 37.5, unanswered: 4, ahead: 3600},
		}},
		"the wall clock is set back, or a little forward": {10, 25, false, []row{
			{at: 10, want: actionPing, wake: 13.75, unanswered: 1, ahead: -3600},
			{at: 13.75, want: actionNone, wake: 17.5, unanswered: 1, ahead: -3597},
			{at: 17.5, want: actionNone, wake: 20, unanswered: 1, ahead: -3597},
			{at: 20, want: actionPing, wake: 23.75, unanswered: 2, ahead: -3597},
			{at: 25, want: actionDead, wake: 23.75, unanswered: 2, ahead: -3597},
		}},
		"a busy machine does not count as sleep": {1, 1.1, false, []row{
			{at: 1.05, want: actionPing, wake: 1.1, unanswered: 1},
			{at: 1.19, want: actionDead, wake: 1.1, unanswered: 1},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBeat(Config{
				Interval: time.Duration(c.interval * 1e9),
				Timeout:  time.Duration(c.timeout * 1e9),
			}, c.oneWay, 0, 0)
			assert.EqualValues(t, c.interval*1e9, b.wake)
			for _, r := range c.rows {
				at := func(f float64) int64 { return int64(math.Round(f * 1e9)) }
				assert.Equalf(t, r.want, b.step(at(r.at), at(r.ahead), at(r.heard), at(r.sent), r.busy), "at %v", r.at)
				assert.Equalf(t, r.wake, float64(b.wake)/1e9, "wake, at %v", r.at)
				assert.EqualValuesf(t, r.unanswered, b.unanswered, "unanswered, at %v", r.at)
			}
		})
	}
}

// TestVerdict: the silence is what it was, sleep and all.
func TestVerdict(t *testing.T) {
	t.Parallel()
	b := newBeat(Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}, false, 0, 0)
	b.step(100*s, 0, 3*s, 0, false)
	cause := errors.New("no")
	assert.Equal(t, &DeadError{Silence: 122 * time.Second, Unanswered: 1, Err: cause}, b.deadError(125*s, cause))
}

// TestJitter: waits are spread from Interval less Jitter to Interval, and a full
// Timeout is granted all the same.
func TestJitter(t *testing.T) {
	for _, jitter := range []float64{0.25, 1} {
		c := Config{Interval: 10 * time.Second, Timeout: 25 * time.Second, Jitter: jitter}
		least, most := maxTime, int64(0)
		var sum float64
		const n = 10000
		for range n {
			b := newBeat(c, false, 0, 0)
			assert.NotEqual(t, actionDead, b.step(25*s-1, 0, 0, 0, true))
			b = newBeat(c, false, 0, 0)
			b.step(b.wake, 0, 0, 0, false) // draws anew
			for _, w := range []int64{b.wake - b.pinged, b.pinged} {
				least, most, sum = min(least, b.untilPing), max(most, b.untilPing), sum+float64(b.untilPing)
				assert.LessOrEqual(t, w, 10*s)
			}
		}
		assert.LessOrEqual(t, most, 10*s)
		assert.Greater(t, most, int64(float64(10*s)*(1-0.05*jitter)))
		assert.GreaterOrEqual(t, least, int64(float64(10*s)*(1-jitter)))
		assert.Less(t, least, int64(float64(10*s)*(1-0.95*jitter)))
		assert.InDelta(t, float64(10*s)*(1-jitter/2), sum/(2*n), 0.05*float64(10*s))
	}
}

// TestExtremes: the largest and smallest settings overflow nothing.
func TestExtremes(t *testing.T) {
	for _, c := range []Config{
		{Interval: 1, Timeout: 2, Jitter: 1},
		{Interval: math.MaxInt64 - 1, Timeout: math.MaxInt64, Jitter: 1},
		{Interval: math.MaxInt64 - 1, Timeout: math.MaxInt64},
		{Interval: 1, Timeout: math.MaxInt64},
	} {
		for _, start := range []int64{-800e15, 0, 1, 800e15} {
			b := newBeat(c, false, start, 0)
			for at := start; at < start+100; at++ {
				do := b.step(at, 0, start, start, false)
				if at-start >= int64(c.Timeout) {
					assert.Equal(t, actionDead, do)
					break
				}
				assert.NotEqual(t, actionDead, do)
				assert.Greater(t, b.wake, at)
			}
		}
	}
}
