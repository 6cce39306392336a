package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// variant is one of the things that a comparison compares.
type variant struct {
	name string
	run  func(n int) (time.Duration, error) // does it n times and returns the time that took
}

// calls makes a variant's run of a plain call.
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

// series has one value of a variant for each round.
type series struct {
	name          string
	ns            []float64 // for one operation
	bytes, allocs []float64 // for one operation
}

// against is the ratio of two variants' times.
func (s series) against(t series) spread { return spreadOf(ratios(s.ns, t.ns)) }

// named finds the series of a variant.
func named(all []series, name string) series {
	return all[slices.IndexFunc(all, func(s series) bool { return s.name == name })]
}

// compare runs all variants in each round, with n operations each. Every second
// round goes backwards, so that no variant gains by its place. The first round
// does not count.
func compare(rounds, n int, variants ...variant) ([]series, error) {
	all := make([]series, len(variants))
	runtime.GC()
	for round := range rounds + 1 {
		for k := range variants {
			i := k
			if round%2 == 1 {
				i = len(variants) - 1 - k
			}
			v := variants[i]
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			took, err := v.run(n)
			runtime.ReadMemStats(&after)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			if round == 0 {
				continue
			}
			// Whole numbers, rounded down, as in package testing: the runtime
			// allocates a little of its own.
			all[i].name = v.name
			all[i].ns = append(all[i].ns, float64(took)/float64(n))
			all[i].bytes = append(all[i].bytes, float64((after.TotalAlloc-before.TotalAlloc)/uint64(n)))
			all[i].allocs = append(all[i].allocs, float64((after.Mallocs-before.Mallocs)/uint64(n)))
		}
	}
	return all, nil
}
