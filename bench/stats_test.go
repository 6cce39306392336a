package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rounds        []float64
		median, noise float64
	}{
		{[]float64{7}, 7, 0},
		{[]float64{1, 3}, 2, 0.5},
		{[]float64{5, 1, 3, 2, 4}, 3, 1},
		{[]float64{1, 2, 3, 4, 1000}, 3, 1}, // one round that was disturbed
		{[]float64{4, 4, 4, 4}, 4, 0},
	} {
		in := append([]float64(nil), c.rounds...)
		got := spreadOf(c.rounds)
		assert.InDelta(t, c.median, got.median, 1e-9, c.rounds)
		assert.InDelta(t, c.noise, got.noise, 1e-9, c.rounds)
		assert.Equal(t, in, c.rounds, "left in their order, by which rounds are paired")
	}
	assert.True(t, math.IsNaN(spreadOf(nil).median))
	assert.Equal(t, 1.0, quantile([]float64{3, 1, 2}, 0))
	assert.Equal(t, 3.0, quantile([]float64{3, 1, 2}, 1))
}

// TestRatios: what slows a whole round down does not show in the ratio.
func TestRatios(t *testing.T) {
	t.Parallel()
	a := series{ns: []float64{110, 1100, 220}}
	b := series{ns: []float64{100, 1000, 200}}
	got := a.over(b)
	assert.InDelta(t, 1.1, got.median, 1e-9)
	assert.InDelta(t, 0, got.noise, 1e-9)
}

func TestBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		median, noise, limit float64
		atLeast, want        bool
	}{
		{1.1, 0, 1.15, false, false},
		{1.15, 0, 1.15, false, false},
		{1.2, 0.06, 1.15, false, false}, // by less than the noise
		{1.2, 0.04, 1.15, false, true},
		{0.95, 0, 0.9, true, false},
		{0.88, 0.03, 0.9, true, false},
		{0.85, 0.03, 0.9, true, true},
		{1, 0, 0, false, true}, // an allocation
		{math.NaN(), math.NaN(), 1, false, true},
		{math.NaN(), math.NaN(), 1, true, true},
	} {
		p := promise{seen: spread{c.median, c.noise}, limit: c.limit, atLeast: c.atLeast}
		assert.Equal(t, c.want, p.broken(), c)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1.08 ± 0.04":     spread{1.0812, 0.0411}.String(),
		"1270 ± 81":       spread{1270.4, 81.2}.String(),
		"12.3 ± 0.5":      spread{12.34, 0.51}.String(),
		"0.0540 ± 0.0100": spread{0.054, 0.01}.String(),
		"3":               spread{median: 3}.String(),
		"0":               num(0),
		"14":              num(14),
		"1.1":             num(1.1),
		"9600":            num(9600),
		"8.8 MB/s":        withUnit(8.8e6, "B/s"),
		"999 B":           withUnit(999, "B"),
		"22.4 GB":         withUnit(22.4e9, "B"),
		"1.5 TB":          withUnit(1.5e12, "B"),
		"7":               grouped(7),
		"1,000":           grouped(1000),
		"12,345,678":      grouped(12345678),
	} {
		assert.Equal(t, want, got)
	}
}
