package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCompare: variants run alternately, in reverse order in every second round,
// and the first round does not count.
func TestCompare(t *testing.T) {
	var order strings.Builder
	fake := func(name string, took time.Duration) variant {
		return variant{name, func(n int) (time.Duration, error) {
			assert.Equal(t, 10, n)
			order.WriteString(name)
			if order.Len() <= 2 { // the first round
				return time.Hour, nil
			}
			return took * time.Duration(n), nil
		}}
	}
	all, err := compare(3, 10, fake("a", 300), fake("b", 100))
	require.NoError(t, err)
	assert.Equal(t, "ab"+"ba"+"ab"+"ba", order.String())
	assert.Equal(t, []float64{300, 300, 300}, all[0].ns)
	assert.Equal(t, []float64{100, 100, 100}, all[1].ns)
	assert.Equal(t, exact(3), all[0].against(named(all, "b")))

	boom := errors.New("boom")
	_, err = compare(3, 10, variant{"bad", calls(func() error { return boom })})
	assert.ErrorIs(t, err, boom)
	assert.ErrorContains(t, err, "bad")
}

// TestSlowdownIsBroken: code that became slower breaks its promise, on a busy
// machine, too. Here a call spins for 30 % longer than the limit allows.
func TestSlowdownIsBroken(t *testing.T) {
	spin := func(n int) func() error {
		return func() error {
			for i := range n {
				sink += i
			}
			return nil
		}
	}
	for factor, want := range map[float64]bool{1: false, 1.5: true} {
		all, err := compare(201, 300, variant{"ours", calls(spin(int(2000 * factor)))}, variant{"theirs", calls(spin(2000))})
		require.NoError(t, err)
		p := promise{seen: all[0].against(all[1]), limit: 1.15}
		assert.Equal(t, want, p.broken(), p.measured())
	}
}

var sink int

func TestAllocations(t *testing.T) {
	var memory []byte
	all, err := compare(3, 1000, variant{"none", calls(func() error { return nil })},
		variant{"one", calls(func() error { memory = make([]byte, 64); return nil })})
	require.NoError(t, err)
	assert.Zero(t, spreadOf(all[0].allocs).median)
	assert.Equal(t, 1.0, spreadOf(all[1].allocs).median)
	assert.Equal(t, 64.0, spreadOf(all[1].bytes).median)
	_ = memory
}
