package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// spread is what many rounds say of one figure: the median, and how far apart
// the middle half of the rounds lies from it.
type spread struct {
	median float64
	noise  float64 // half of the interquartile range
}

// spreadOf summarizes the rounds; of none it is NaN.
func spreadOf(rounds []float64) spread {
	return spread{quantile(rounds, 0.5), (quantile(rounds, 0.75) - quantile(rounds, 0.25)) / 2}
}

// quantile interpolates linearly between the two nearest rounds.
func quantile(rounds []float64, q float64) float64 {
	if len(rounds) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(rounds))
	at := q * float64(len(v)-1)
	i := int(at)
	if i == len(v)-1 {
		return v[i]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// ratios divides round by round, so that what disturbs a whole round, which
// measured both, falls out.
func ratios(a, b []float64) []float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return r
}

// scale multiplies each round.
func scale(v []float64, by float64) []float64 {
	r := make([]float64, len(v))
	for i := range v {
		r[i] = v[i] * by
	}
	return r
}

// String is the median, to three digits, and the noise, to as many places.
func (s spread) String() string {
	if s.noise == 0 || math.IsNaN(s.median) {
		return num(s.median)
	}
	text, places := number(s.median)
	return text + " ± " + strconv.FormatFloat(s.noise, 'f', places, 64)
}

// number writes v with three significant digits, but never with an exponent nor
// without its units, and tells how many decimal places that took.
func number(v float64) (text string, places int) {
	if v != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
		places = min(max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), 6)
	}
	return strconv.FormatFloat(v, 'f', places, 64), places
}

// num is number's text, without the zeros at its end.
func num(v float64) string {
	text, places := number(v)
	if places > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// withUnit writes v with a decimal prefix before the unit.
func withUnit(v float64, unit string) string {
	for _, prefix := range []string{"", "k", "M", "G"} {
		if math.Abs(v) < 1000 {
			return num(v) + " " + prefix + unit
		}
		v /= 1000
	}
	return num(v) + " T" + unit
}

// grouped writes a whole number with commas between thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
