package realtime

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder takes a test's result instead of the test.
type recorder struct {
	testing.TB
	failed, skipped bool
}

func (r *recorder) FailNow() { r.failed = true; panic(r) }
func (r *recorder) SkipNow() { r.skipped = true; panic(r) }

func TestRepeat(t *testing.T) {
	for _, c := range []struct {
		name            string
		f               func(t testing.TB, n int)
		runs            int
		failed, skipped bool
	}{
		{name: "pass", f: func(testing.TB, int) {}, runs: 1},
		{name: "fail", f: func(t testing.TB, _ int) { t.Error("x") }, runs: 1, failed: true},
		{name: "fail now", f: func(t testing.TB, _ int) { require.Fail(t, "x") }, runs: 1, failed: true},
		{name: "skip", f: func(t testing.TB, _ int) { t.Skip("x") }, runs: 1, skipped: true},
		{name: "spoiled, pass", f: func(t testing.TB, _ int) { spoil(t) }, runs: 1},
		{name: "spoiled twice", f: func(t testing.TB, n int) {
			if n <= 2 {
				spoil(t)
				t.Fatalf("%d", n)
			}
		}, runs: 3},
		{name: "spoiled, then wrong", f: func(t testing.TB, n int) {
			if n == 1 {
				spoil(t)
			}
			assert.Fail(t, "x")
		}, runs: 2, failed: true},
		{name: "always spoiled", f: func(t testing.TB, n int) { spoil(t); t.Fail() }, runs: tries, failed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{TB: t}
			runs, open := 0, 0
			var order []int
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(r) {
						panic(p)
					}
				}()
				repeat(r, func(t testing.TB) {
					runs++
					assert.Zero(t, open, "the try before was cleaned up")
					open++
					t.Cleanup(func() { open--; order = append(order, 1) })
					t.Cleanup(func() { order = append(order, 2) })
					c.f(t, runs)
				})
			}()
			assert.Equal(t, c.runs, runs)
			assert.Equal(t, c.failed, r.failed)
			assert.Equal(t, c.skipped, r.skipped)
			assert.Zero(t, open)
			assert.Equal(t, slices.Repeat([]int{2, 1}, runs), order, "last first")
		})
	}
}

// TestMeasure: every timer is a little late, and the trial gets that value.
func TestMeasure(t *testing.T) {
	assert.Positive(t, (&trial{TB: t}).run(func(testing.TB) { time.Sleep(5 * period) }))
}

// spoil makes the control timer late, as a busy machine does.
func spoil(t testing.TB) {
	control.Lock()
	defer control.Unlock()
	t.(*trial).late = 2 * tolerable
}

// TestLate: the delays of another process count like those of this one.
func TestLate(t *testing.T) {
	tr := &trial{TB: t}
	late := tr.run(func(t testing.TB) {
		t.Cleanup(func() { Late(t, time.Hour) })
		Late(t, time.Second)
	})
	assert.Equal(t, time.Hour, late)
	Late(t, time.Hour) // to a test that has no control timer
}

func TestDelays(t *testing.T) {
	tr := &trial{}
	for _, late := range []time.Duration{tolerable, 3 * tolerable, 0, 2 * tolerable} {
		tr.add(late)
	}
	assert.Equal(t, []time.Duration{3 * tolerable, 2 * tolerable}, tr.delays)
	assert.Equal(t, 3*tolerable, tr.late)
	for _, d := range Delays()() {
		assert.Greater(t, d, tolerable)
	}
}
