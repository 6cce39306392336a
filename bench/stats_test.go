package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rounds []float64
		want   spread
	}{
		{[]float64{7}, exact(7)},
		{[]float64{1, 3}, spread{2, 1, 3}},
		{[]float64{5, 1, 3, 2, 4}, spread{3, 1, 5}},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1000}, spread{6, 2, 10}}, // one round was disturbed
	} {
		in := append([]float64(nil), c.rounds...)
		assert.Equal(t, c.want, spreadOf(c.rounds), c.rounds)
		assert.Equal(t, in, c.rounds, "must keep their order, because ratios pairs them")
	}
	assert.True(t, math.IsNaN(spreadOf(nil).median))
}

// TestSpreadCovers: the interval contains the true median in at least 95 % of
// the cases.
func TestSpreadCovers(t *testing.T) {
	t.Parallel()
	const tries = 2000
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{10, 11, 21, 100, 301} {
		covered := 0
		for range tries {
			v := make([]float64, n)
			for i := range v {
				v[i] = r.ExpFloat64()
			}
			if s := spreadOf(v); s.low <= math.Ln2 && math.Ln2 <= s.high {
				covered++
			}
		}
		assert.GreaterOrEqual(t, float64(covered)/tries, 0.94, "%d rounds", n)
	}
}

func TestPromise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		median, width, limit float64
		atLeast              bool
		want                 string
	}{
		{1.1, 0, 1.15, false, "kept"},
		{1.15, 0, 1.15, false, "kept"},
		{1.2, 0.06, 1.15, false, "kept within the noise"},
		{1.2, 0.04, 1.15, false, "**broken**"},
		{0.95, 0, 0.9, true, "kept"},
		{0.88, 0.03, 0.9, true, "kept within the noise"},
		{0.85, 0.03, 0.9, true, "**broken**"},
		{1, 0, 0, false, "**broken**"}, // an allocation
		{math.NaN(), math.NaN(), 1, false, "**broken**"},
		{math.NaN(), math.NaN(), 1, true, "**broken**"},
	} {
		p := promise{seen: spread{c.median, c.median - c.width, c.median + c.width}, limit: c.limit, atLeast: c.atLeast}
		assert.Equal(t, c.want, p.result(), c)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1.08 ± 0.04":     spread{1.0812, 1.05, 1.1223}.String(),
		"1270 ± 81":       spread{1270.4, 1189.2, 1300}.String(),
		"0.0540 ± 0.0100": spread{0.054, 0.044, 0.06}.String(),
		"3":               exact(3).String(),
		"0":               num(0),
		"14":              num(14),
		"1.1":             num(1.1),
		"9600":            num(9600),
		"7":               grouped(7),
		"1,000":           grouped(1000),
		"12,345,678":      grouped(12345678),
	} {
		assert.Equal(t, want, got)
	}
}
