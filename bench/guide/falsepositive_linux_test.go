package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-keepalive/keepalive/internal/realtime"
)

func TestChain(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 1-math.Pow(0.9, 20), chain(0.1, 1, 20), 1e-12)
	assert.InDelta(t, 3.0/8, chain(0.5, 2, 3), 1e-12) // lost-lost-any and answered-lost-lost
	assert.Zero(t, chain(1, 3, 2))
	assert.Equal(t, 1.0, chain(1, 3, 3))
	assert.Zero(t, chain(0, 1, 100))
	assert.InDelta(t, 0.0199, lost(1), 1e-12)
}

func TestOverlapped(t *testing.T) {
	t.Parallel()
	p := plan{o: mustOptions("idle=5s,interval=1s,count=3"), count: 3}
	for d, want := range map[time.Duration]float64{time.Second: 0, 2 * time.Second: 0, 3 * time.Second: 0.2, 7 * time.Second: 1, 9 * time.Second: 1} {
		assert.InDelta(t, want, p.overlapped(d), 1e-12, d)
	}
}

// TestFalsePositives: as many living peers are dropped as the formulas say, within five
// standard deviations.
func TestFalsePositives(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		r := risk{connections: 100, probes: 6, losses: []int{20, 50}, cut: 10, times: []time.Duration{time.Second, 6 * time.Second}, spread: time.Second}
		f, err := r.measure()
		need(t, err)
		within := func(what string, want float64, dropped, of int64) {
			n := float64(of)
			assert.InDelta(t, want, float64(dropped)/n, 5*math.Sqrt(want*(1-want)/n)+0.05, "%s: %d of %d", what, dropped, of)
		}
		for i, loss := range r.losses {
			for k, s := range lossPlans() {
				within(s.name, chain(lost(loss), s.count, r.probes), f.idle[i][k].dropped.Load(), int64(r.connections))
			}
			for k, g := range f.data[i] {
				assert.GreaterOrEqual(t, g.written.Load(), int64(r.connections), dataTimeouts[k])
				within(dataTimeouts[k].String(), math.Pow(lost(loss), float64(f.dead[k].tries)), g.dropped.Load(), g.written.Load())
			}
		}
		assert.InDelta(t, 4, f.dead[0].tries, 1)
		assert.InDelta(t, 6, f.dead[1].tries, 1)
		for k, s := range cutPlans() {
			assert.Zero(t, f.outages[k][0].dropped.Load(), "%s, outage of 1s", s.name)
			assert.Zero(t, f.pauses[k][0].dropped.Load(), "%s, pause of 1s", s.name)
			want := int64(0)
			if s.beat.Interval > 0 {
				want = int64(r.cut)
			}
			assert.Equal(t, want, f.pauses[k][1].dropped.Load(), "%s, pause of 6s", s.name)
			if s.count == 0 || s.overlapped(6*time.Second) == 1 {
				assert.Equal(t, int64(r.cut), f.outages[k][1].dropped.Load(), "%s, outage of 6s", s.name)
			}
		}
		var out strings.Builder
		f.print(&out)
		checkWidth(t, out.String())
		t.Log(out.String())
	})(t)
}
