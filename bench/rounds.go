package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// way is one of the things that a comparison compares.
type way struct {
	name string
	size int                                // bytes that one operation moves, if it moves any
	run  func(n int) (time.Duration, error) // does it n times, and tells how long that took
}

// calls is the run of a way that is a plain call.
func calls(f func() error) func(int) (time.Duration, error) {
	return func(n int) (time.Duration, error) {
		start := time.Now()
		for range n {
			if err := f(); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}
}

// series is what was seen of one way: one value for each round.
type series struct {
	way           string
	ns            []float64 // per operation
	bytes, allocs []float64 // per operation; what others do at the same time counts too
}

// over is the ratio of two ways' times, from the ratios of the rounds.
func (s series) over(t series) spread { return spreadOf(ratios(s.ns, t.ns)) }

// named is the series of one way.
func named(all []series, way string) series {
	return all[slices.IndexFunc(all, func(s series) bool { return s.way == way })]
}

// compare runs the ways in turns, n operations of each in each round, forwards in
// one round and backwards in the next, so that none gains by its place. One
// round goes before, to warm up, and does not count.
func compare(out io.Writer, bench string, rounds, n int, ways ...way) ([]series, error) {
	all := make([]series, len(ways))
	runtime.GC()
	for round := range rounds + 1 {
		for k := range ways {
			i := k
			if round%2 == 1 {
				i = len(ways) - 1 - k
			}
			w := ways[i]
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			took, err := w.run(n)
			runtime.ReadMemStats(&after)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", bench, w.name, err)
			}
			if round == 0 {
				continue
			}
			// Whole numbers, rounded down, as package testing counts.
			ns := float64(took) / float64(n)
			bytes := (after.TotalAlloc - before.TotalAlloc) / uint64(n)
			allocs := (after.Mallocs - before.Mallocs) / uint64(n)
			all[i].way = w.name
			all[i].ns = append(all[i].ns, ns)
			all[i].bytes = append(all[i].bytes, float64(bytes))
			all[i].allocs = append(all[i].allocs, float64(allocs))
			line(out, bench, w.name, n)
			fmt.Fprintf(out, "\t%10.1f ns/op", ns)
			if w.size > 0 {
				fmt.Fprintf(out, "\t%8.2f MB/s", float64(w.size)/ns*1e3)
			}
			fmt.Fprintf(out, "\t%6d B/op\t%4d allocs/op\n", bytes, allocs)
		}
	}
	return all, nil
}

// line begins a line in the format that benchstat reads, for which a name ends at
// the first space, and a part of it at a slash.
func line(out io.Writer, bench, way string, n int) {
	fmt.Fprintf(out, "Benchmark%s/way=%s-%d\t%8d", bench, strings.NewReplacer(" ", "_", "/", ".").Replace(way), runtime.GOMAXPROCS(0), n)
}
