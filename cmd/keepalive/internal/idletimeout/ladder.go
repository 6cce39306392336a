package idletimeout

import (
	"math"
	"time"
)

const (
	firstRung = 1500 * time.Millisecond // not a whole second, because most timeouts are
	rungStep  = 600 * time.Millisecond  // the smallest step
)

// ladder returns at most n idle times up to limit. Each is longer than the one before by the
// same ratio, but at least by rungStep.
func ladder(limit time.Duration, n int) []time.Duration {
	var rungs []time.Duration
	for t := firstRung; t < limit && len(rungs) < n-1; {
		rungs = append(rungs, t)
		ratio := math.Pow(limit.Seconds()/t.Seconds(), 1/float64(n-len(rungs)))
		t = max(t+rungStep, time.Duration(float64(t)*ratio).Round(time.Millisecond))
	}
	return append(rungs, limit)
}
