package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// spread summarizes many rounds: their median, and the interval that contains
// the true median with a probability of 95 %.
type spread struct{ median, low, high float64 }

// exact is the spread of a figure that is the same in every round.
func exact(v float64) spread { return spread{v, v, v} }

// spreadOf summarizes rounds. The interval lies between two of the sorted
// rounds, so it holds for every distribution. Without rounds all is NaN.
func spreadOf(rounds []float64) spread {
	if len(rounds) == 0 {
		return exact(math.NaN())
	}
	v := slices.Sorted(slices.Values(rounds))
	n := float64(len(v))
	i := max(0, int(n/2-0.98*math.Sqrt(n))-1)
	return spread{(v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[i], v[len(v)-1-i]}
}

// times multiplies all of s by a positive number.
func (s spread) times(by float64) spread { return spread{s.median * by, s.low * by, s.high * by} }

// ratios divides two series round by round. Other work on the machine slows a
// whole round, so it mostly cancels out.
func ratios(a, b []float64) []float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return r
}

// String is the median with three digits, and the half width of the interval
// with as many decimal places.
func (s spread) String() string {
	width := max(s.high-s.median, s.median-s.low)
	if width == 0 || math.IsNaN(width) {
		return num(s.median)
	}
	text, places := number(s.median)
	return text + " ± " + strconv.FormatFloat(width, 'f', places, 64)
}

// number writes v with three digits, without an exponent. It also returns the
// number of decimal places.
func number(v float64) (text string, places int) {
	if v != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
		places = min(max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), 6)
	}
	return strconv.FormatFloat(v, 'f', places, 64), places
}

// num is number's text without zeros at the end.
func num(v float64) string {
	text, places := number(v)
	if places > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grouped writes a whole number with commas between thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
