package idletimeout

import (
	"cmp"
	"slices"
	"time"
)

// evidence is what the probes have shown.
type evidence struct {
	answered []time.Duration // idle times after which a probe was answered
	failures []failure
	found    []Finding // not yet reported
}

// failure is a connection that did not survive an idle time.
type failure struct {
	first time.Duration // the idle time until the first probe
	last  time.Duration // until the second one, so that it does not matter if one was lost
	reset bool
}

// Finding is a step of the search.
type Finding struct {
	Idle    time.Duration
	Outcome Outcome
}

// Outcome is the result of one probe.
type Outcome string

const (
	Answered   Outcome = "answered"
	Unanswered Outcome = "no answer"
	Reset      Outcome = "reset"
)

// certainty is which unanswered connections count.
type certainty bool

const (
	certain certainty = false // those that the kernel has dropped
	late    certainty = true  // and those whose answer is late
)

// unanswered returns the connections that were not answered.
func (s *search) unanswered(which certainty) []failure {
	failures := slices.Clone(s.evidence.failures)
	for _, c := range s.conns {
		if which == late && c.phase == probing && c.again > 0 {
			failures = append(failures, c.failure(false))
		}
	}
	return failures
}

func (c *conn) failure(reset bool) failure {
	return failure{first: c.probed - c.from, last: max(c.sent, c.again) - c.from + c.slack, reset: reset}
}

// failed returns the idle times above low after which a probe was not answered, from the
// shortest.
func (s *search) failed(low time.Duration, which certainty) []time.Duration {
	var idles []time.Duration
	for _, f := range s.unanswered(which) {
		if f.last > low {
			idles = append(idles, max(low, f.first))
		}
	}
	slices.Sort(idles)
	return idles
}

// bounds returns the range of the timeout. high is the second shortest idle time after which
// a probe was not answered, because one can be lost, or 0.
func (s *search) bounds(which certainty) (low, high time.Duration) {
	if failures := s.unanswered(which); len(failures) > 1 {
		slices.SortFunc(failures, func(a, b failure) int { return cmp.Compare(a.last, b.last) })
		high = failures[1].last
	}
	for _, d := range s.evidence.answered {
		if high == 0 || d < high {
			low = max(low, d)
		}
	}
	return low, high
}

func (s *search) addAnswer(d time.Duration) {
	before, _ := s.bounds(certain)
	s.evidence.answered = append(s.evidence.answered, d)
	if low, _ := s.bounds(certain); low > before {
		s.evidence.found = append(s.evidence.found, Finding{d, Answered})
	}
}

func (s *search) addFailure(f failure) {
	low, before := s.bounds(certain)
	s.evidence.failures = append(s.evidence.failures, f)
	_, high := s.bounds(certain)
	if f.first > low && (len(s.evidence.failures) == 1 || high != before) {
		outcome := Unanswered
		if f.reset {
			outcome = Reset
		}
		found := Finding{f.last, outcome}
		if high > 0 {
			found.Idle = high
		}
		s.evidence.found = append(s.evidence.found, found)
	}
}

// resets reports whether most failures were resets.
func (e *evidence) resets() bool {
	n := 0
	for _, f := range e.failures {
		if f.reset {
			n++
		}
	}
	return 2*n > len(e.failures)
}
