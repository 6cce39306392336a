package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCompare: the ways take turns, in the reverse order every other round; the
// first round does not count; there is a line for benchstat for each that does.
func TestCompare(t *testing.T) {
	var order strings.Builder
	fake := func(name string, took time.Duration) way {
		return way{name: name, size: 64, run: func(n int) (time.Duration, error) {
			assert.Equal(t, 10, n)
			order.WriteString(name[:1])
			if len(order.String()) <= 2 { // the first round
				return time.Hour, nil
			}
			return took * time.Duration(n), nil
		}}
	}
	var out strings.Builder
	all, err := compare(&out, "Fake/size=64", 3, 10, fake("a/new way", 300), fake("b", 100))
	require.NoError(t, err)
	assert.Equal(t, "ab"+"ba"+"ab"+"ba", order.String())
	assert.Equal(t, []float64{300, 300, 300}, all[0].ns)
	assert.Equal(t, []float64{100, 100, 100}, all[1].ns)
	assert.Equal(t, spread{median: 3}, all[0].over(all[1]))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Len(t, lines, 6)
	format := regexp.MustCompile(`^BenchmarkFake/size=64/way=(a.new_way|b)-\d+\s+10\s+[13]00\.0 ns/op\s+[\d.]+ MB/s\s+\d+ B/op\s+\d+ allocs/op$`)
	for _, l := range lines {
		assert.Regexp(t, format, l)
	}

	boom := errors.New("boom")
	_, err = compare(&out, "Fake", 3, 10, way{name: "bad", run: calls(func() error { return boom })})
	assert.ErrorIs(t, err, boom)
	assert.ErrorContains(t, err, "Fake, bad")
}

// TestAllocations: what a way allocates is seen.
func TestAllocations(t *testing.T) {
	var sink []byte
	all, err := compare(new(strings.Builder), "Fake", 3, 1000, way{name: "none", run: calls(func() error { return nil })},
		way{name: "one", run: calls(func() error { sink = make([]byte, 64); return nil })})
	require.NoError(t, err)
	assert.Zero(t, spreadOf(all[0].allocs).median)
	assert.Equal(t, 1.0, spreadOf(all[1].allocs).median)
	assert.Equal(t, 64.0, spreadOf(all[1].bytes).median)
	_ = sink
}
