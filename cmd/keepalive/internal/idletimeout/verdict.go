package idletimeout

import (
	"slices"
	"time"
)

// answerLimit is the time in which some probe must have been answered.
const answerLimit = 6 * time.Second

// busyLimit is the time in which some connection must have been idle for the first rung. It is
// shorter than answerLimit, because connections that are never idle are not probed.
const busyLimit = 5 * time.Second

// verdict returns the result if the measurement is complete.
func (s *search) verdict() (Result, bool) {
	low, high := s.bounds(certain)
	_, provisional := s.bounds(late)
	r := Result{Lower: low, Upper: high}
	width, _ := s.width(low)
	switch {
	case high == 0 && s.alwaysBusy():
		r.Verdict, r.Data = ServerProbes, true
	case s.started > 0 && len(s.evidence.answered) == 0:
		switch {
		case s.refused > 2 && (s.opens-s.refused <= 1 || s.exhausted()): // an RST can be lost
			r = Result{Verdict: ServerCloses, Closed: &Closing{}}
		case s.now-s.started > answerLimit && len(s.closings.list) == 0:
			r = Result{Verdict: NoAnswer}
		case s.now-s.started > answerLimit:
			r, _ = s.closed()
		}
	case high > 0 && (high-low <= width || s.now > 5*high+time.Minute): // or the timeout differs between connections
		r.Verdict = Drops
		if s.evidence.resets() {
			r.Verdict = Resets
		}
	case provisional > 0:
	case len(s.closings.list) > 0:
		r, _ = s.closed()
	case s.regular.every > 0 && s.noRung(low, s.regular.every*95/100):
		r.Verdict, r.Every, r.Data = ServerProbes, s.regular.every, s.regular.data
	case low >= s.limits.Max:
		r.Verdict = Open
	}
	if r.Verdict == "" && (s.now > s.longest() || s.exhausted()) {
		r = s.partial()
	}
	r.Refused, r.Outages, r.Restarts = s.refused, s.outage.count, s.restartCount()
	return r, r.Verdict != ""
}

// alwaysBusy reports whether segments arrive so often that no connection is idle for the
// first rung.
func (s *search) alwaysBusy() bool {
	n := 0
	for _, c := range s.conns {
		switch {
		case c.control || c.phase == opening:
		case c.busy == s.now:
			return false
		case s.now-c.busy > busyLimit:
			n++
		}
	}
	return n > 1
}

// exhausted reports whether no connection is left, and no other one can be opened.
func (s *search) exhausted() bool {
	mayOpen := s.refused < s.limits.Connections && s.opens < opensPerConnection*s.limits.Connections
	left := slices.ContainsFunc(s.conns, func(c *conn) bool { return !c.control })
	return !mayOpen && !left && !s.awaitsClosing()
}

// partial returns what is known so far.
func (s *search) partial() Result {
	low, high := s.bounds(certain)
	return Result{Verdict: Unfinished, Lower: low, Upper: high, Refused: s.refused, Outages: s.outage.count, Restarts: s.restartCount()}
}

// noRung reports whether no idle time between low and high is to be measured.
func (s *search) noRung(low, high time.Duration) bool {
	for _, t := range s.rungs {
		if t > low && t < high {
			return false
		}
	}
	return true
}

// longest returns a time in which every measurement ends, unless the network is down.
func (s *search) longest() time.Duration { return 3*s.limits.Max + time.Minute }

// Progress is the state of a measurement.
type Progress struct {
	Low, High time.Duration // the range so far. High is 0 if it is not known
	Next      time.Duration // the idle time that is measured next, or 0
	In        time.Duration // when that will be
	Left      time.Duration // how long the measurement takes at most, unless connections are lost
	Down      bool          // the network is down
}
