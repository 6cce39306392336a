package heartbeat

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWheel compares the wheel with its definition. The first call of advance whose time is not
// before a peer's wake, rounded up to a tick, returns the peer. No other call does.
func TestWheel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var w wheel
		at := r.Int64N(1<<59) - int64(seed%2)<<62 // in virtual time it is negative
		w.time = uint64(at) >> tickBits
		waiting := map[*Peer]int64{}
		add := func() {
			p := new(Peer)
			p.beat.wake = at + r.Int64N(1<<r.IntN(53)) + 1
			waiting[p] = (p.beat.wake + tickLength - 1) >> tickBits << tickBits
			w.add(p)
			require.Equal(t, waiting[p], p.beat.wake)
		}
		for range 300 {
			for range r.IntN(4) {
				add()
			}
			for p := range waiting {
				if r.IntN(10) == 0 {
					w.remove(p)
					w.remove(p)
					delete(waiting, p)
				}
				break
			}
			next := at + maxTime
			for _, wake := range waiting {
				next = min(next, wake)
			}
			tickNext, _, ok := w.next()
			require.Equal(t, len(waiting) > 0, ok)
			if ok {
				assert.LessOrEqual(t, int64(tickNext<<tickBits), next, "it must not be slept through")
				assert.Greater(t, tickNext, w.time)
			}
			switch kind := r.IntN(3); {
			case kind == 0 && ok:
				at = max(at, int64(tickNext<<tickBits)) // as the timer does
			case kind == 1:
				at += r.Int64N(1 << 30)
			default:
				at += r.Int64N(1 << r.IntN(45))
			}
			w.advance(at, func(p *Peer) {
				wake, ok := waiting[p]
				if !ok || wake > at {
					t.Fatalf("seed %d: %v came up at %v, of %v", seed, p, at, wake)
				}
				delete(waiting, p)
				if r.IntN(2) == 0 { // as a peer that lives
					add()
				}
			})
			for _, wake := range waiting {
				if wake <= at {
					t.Fatalf("seed %d: one of %v did not come up at %v", seed, wake, at)
				}
			}
		}
	}
}

// TestWheelSteps: however far off a time is, it takes few steps to get there.
func TestWheelSteps(t *testing.T) {
	for _, far := range []int64{tickLength, 100 * tickLength, 1e9, 3600e9, 1e15, maxTime} {
		var w wheel
		p := new(Peer)
		p.beat.wake = far
		w.add(p)
		steps, done := 0, false
		for !done {
			at, _, ok := w.next()
			require.True(t, ok)
			w.advance(int64(at<<tickBits), func(*Peer) { done = true })
			steps++
		}
		assert.LessOrEqual(t, steps, levels)
	}
}
