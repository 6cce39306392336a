package idletimeout

import (
	"cmp"
	"slices"
	"time"
)

// All times in a search are durations since the measurement began.

// network is what a search acts on. It reports what happens by calling the methods of the
// search, but not from within these functions.
type network interface {
	open(c *conn)
	close(c *conn)
	// probe starts probing and returns the time when the probe was sent. The second call for
	// the same connection sends another probe at once.
	probe(c *conn) time.Duration
}

// conn is a connection as the search sees it.
type conn struct {
	phase  phase
	slack  time.Duration // how inexact from and the times of probes are
	from   time.Duration // the connection is idle since
	target time.Duration // the idle time after which it is probed, or 0
	probed time.Duration // the first probe was sent after this time,
	sent   time.Duration // and before this one
	again  time.Duration // the second probe was sent before this time. 0 until then

	busy time.Duration // since when c has not been idle for the first rung

	control  bool // the kernel probes it every second, to notice that the network is down
	answered bool // a probe was answered

	data    time.Duration // when the connection was opened, or data arrived
	dataWas time.Duration // data before the data that arrived last
	text    string        // the beginning of the data that arrived last
	arrival arrival
}

type phase uint8

const (
	opening phase = iota
	idle
	probing
	ended
)

// idleFor returns how long c has been idle.
func (c *conn) idleFor(now time.Duration) time.Duration {
	if c.phase == opening {
		return 0
	}
	return now - c.from
}

// search finds the timeout. It has two phases. While all probes are answered, the idle times
// are the rungs of a ladder. Then the timeout is between an idle time after which a probe was
// answered and one after which it was not. Further idle times divide this range, until it is
// narrow enough.
//
// For example, the timeout is 12s. 32 connections are probed after 1.5s, 2.1s, 2.7s and so on.
// The probe after 11.7s is answered, and the one after 12.3s is not. Further connections are
// probed after times between 11.7s and 12.3s. The result is a range of at most a second, which
// ends at the second shortest time after which there was no answer, because one can be lost.
//
// A connection whose probe was answered is used again, because it is idle from then on. So
// when the ladder ends, most connections have been idle for some part of the time already.
type search struct {
	network network
	limits  Limits
	rungs   []time.Duration
	now     time.Duration

	conns   []*conn // that have not ended
	control *conn
	opens   int           // connections opened so far
	started time.Duration // when the first one was open, or 0
	retry   time.Duration // no connection is opened before

	rtts     []time.Duration // sorted
	evidence evidence
	closings closings
	restarts []time.Duration // the ages of connections that were closed at the same time
	regular  regular
	outage   outage
	refused  int
}

// Limits are the bounds of a measurement.
type Limits struct {
	Max         time.Duration // the longest idle time, at least 2s
	Precision   time.Duration // the width of the range that is narrow enough, or 0 for a second or 2 %
	Connections int           // that are open at the same time, at least 8
}

func newSearch(n network, limits Limits) *search {
	return &search{network: n, limits: limits, rungs: ladder(limits.Max, rungsPerConnection*limits.Connections)}
}

// pollInterval is the time between two steps. Times are inexact by that when the network is
// fast.
const pollInterval = 20 * time.Millisecond

// rtt returns the median of the round-trip times. Single ones are long because of lost packets.
func (s *search) rtt() time.Duration {
	if len(s.rtts) == 0 {
		return 0
	}
	return s.rtts[len(s.rtts)/2]
}

// resendAfter returns the time after which a probe is taken for lost and sent again.
func (s *search) resendAfter() time.Duration { return 250*time.Millisecond + 2*s.rtt() }

// width returns how wide the range may be at the end, and how far apart idle times in it must
// be. It takes two unanswered connections to believe in a timeout, and the time until a probe
// is sent again is part of the range.
func (s *search) width(low time.Duration) (width, spacing time.Duration) {
	width = s.limits.Precision
	if width == 0 {
		width = max(time.Second, low/50)
	}
	noise := s.resendAfter() + 2*(pollInterval+s.rtt())
	width = max(width, 5*noise/2)
	return width, (width - noise) * 10 / 16
}

// step does what is due. It returns the result once the measurement is complete.
func (s *search) step(now time.Duration) (Result, bool) {
	s.now = now
	s.outage.look(now)
	for _, c := range s.conns {
		if c.phase == probing || c.idleFor(now) >= firstRung {
			c.busy = now
		}
		if c.phase == probing && c.again == 0 && now-c.probed >= s.resendAfter() {
			c.again = s.network.probe(c)
		}
	}
	for _, c := range s.conns {
		if c.phase == idle && c.target > 0 && c.idleFor(now) >= c.target+c.slack && !s.outage.down(now) {
			s.startProbing(c)
		}
	}
	if r, done := s.verdict(); done {
		return r, true
	}
	s.assign()
	return Result{}, false
}

func (s *search) startProbing(c *conn) {
	c.phase, c.probed, c.again, c.target = probing, s.now, 0, 0
	c.sent = s.network.probe(c)
}

// assign decides which connection is to be idle for how long, and opens connections.
func (s *search) assign() {
	if s.control != nil && s.control.phase == idle && s.now-s.outage.heard > longOutage && s.outage.down(s.now) {
		s.end(s.control) // the path can have dropped it
	}
	if s.control == nil && s.now >= s.retry {
		s.control = s.open(true) // before others, so that it is closed before others
	}
	low, high := s.bounds(late)
	_, highest := s.bounds(certain)
	var free []*conn
	inUse := 0
	for _, c := range slices.Clone(s.conns) {
		switch {
		case c.control:
		case c.phase == idle && highest > 0 && c.idleFor(s.now) >= highest:
			s.end(c) // it was idle for too long to be of use
		default:
			inUse++
			if c.phase != probing {
				c.target = 0
				free = append(free, c)
			}
		}
	}
	slices.SortStableFunc(free, func(a, b *conn) int { return cmp.Compare(b.idleFor(s.now), a.idleFor(s.now)) })
	room := s.room(inUse)
	if high == 0 {
		s.assignRungs(free, low, room)
	} else {
		s.assignCuts(free, low, room)
	}
}

// assignRungs is assign while no timeout is known. free begins with the connection that has
// been idle for the longest time. It gets the longest rung, so that the search can end after
// that time. The next ones get the shortest rungs.
func (s *search) assignRungs(free []*conn, low time.Duration, room int) {
	// If one connection was not answered, probe another one that has been idle for as long.
	if failed := s.failed(low, late); len(failed) == 1 && !s.justProbed(failed[0]) {
		for i := len(free) - 1; i >= 0; i-- {
			if c := free[i]; c.phase == idle && c.idleFor(s.now) >= failed[0] {
				c.target = c.idleFor(s.now) - c.slack
				free = slices.Delete(free, i, i+1)
				break
			}
		}
	}
	above := low
	for _, c := range s.conns {
		if c.phase == probing {
			above = max(above, c.probed-c.from)
		}
	}
	rungs := slices.DeleteFunc(slices.Clone(s.rungs), func(t time.Duration) bool { return t <= above })
	longest := false // is assigned
	for _, c := range free {
		// After an outage, connections can have been idle for longer than a rung.
		if c.idleFor(s.now) > s.limits.Max+c.slack {
			if !s.justProbed(0) {
				c.target = c.idleFor(s.now) - c.slack
			}
			continue
		}
		if last := len(rungs) - 1; last >= 0 && !longest {
			longest = true
			c.target, rungs = rungs[last], rungs[:last]
			continue
		}
		for len(rungs) > 0 && c.idleFor(s.now) > rungs[0]+c.slack {
			rungs = rungs[1:]
		}
		if len(rungs) == 0 {
			break
		}
		c.target, rungs = rungs[0], rungs[1:]
	}
	for i := range min(room, len(rungs)) {
		s.open(false).target = rungs[i]
	}
}

// justProbed reports whether a connection was just probed after an idle time of d or more.
func (s *search) justProbed(d time.Duration) bool {
	return slices.ContainsFunc(s.conns, func(c *conn) bool {
		return c.phase == probing && c.again == 0 && c.probed-c.from >= d
	})
}

// assignCuts is assign when the timeout is between low and the first of the connections that
// were not answered.
func (s *search) assignCuts(free []*conn, low time.Duration, room int) {
	failed := s.failed(low, late)
	first := failed[0]
	_, spacing := s.width(low)
	if s.justProbed(low) {
		return // soon there is less to divide
	}
	// If a connection has been idle for a time near the middle, probe it now.
	var best *conn
	middle := (low + first) / 2
	for _, c := range free {
		d := c.idleFor(s.now)
		if c.phase == idle && d > low+spacing/2 && d < first-spacing/2 && (best == nil || (d-middle).Abs() < (best.idleFor(s.now)-middle).Abs()) {
			best = c
		}
	}
	if best != nil && (best.idleFor(s.now)-middle).Abs() <= (first-low)/4 {
		best.target = best.idleFor(s.now) - best.slack
		return
	}
	cuts := divide(low, first, min(len(free)+room, int((first-low)/spacing)))
	switch {
	case len(cuts) > 0:
	case len(failed) == 1 || failed[1]-first > spacing/2:
		cuts = append(cuts, first)
	default:
		cuts = append(cuts, middle) // timers were late
	}
	for _, cut := range cuts {
		i := slices.IndexFunc(free, func(c *conn) bool { return c.idleFor(s.now) <= cut+c.slack })
		switch {
		case i >= 0:
			free[i].target = cut
			free = slices.Delete(free, i, i+1)
		case room > 0:
			room--
			s.open(false).target = cut
		}
	}
}

// divide returns n times that divide the range from low to high evenly. The first one is in
// the middle, the next ones are in the middle of the halves, and so on.
func divide(low, high time.Duration, n int) []time.Duration {
	var order []time.Duration
	type part struct{ from, to int } // of the numbers 1 to n
	for parts := []part{{1, n}}; len(parts) > 0; parts = parts[1:] {
		p := parts[0]
		if p.from > p.to {
			continue
		}
		middle := (p.from + p.to) / 2
		order = append(order, low+(high-low)*time.Duration(middle)/time.Duration(n+1))
		parts = append(parts, part{p.from, middle - 1}, part{middle + 1, p.to})
	}
	return order
}

// room returns how many connections may be opened.
func (s *search) room(inUse int) int {
	if !s.mayOpen() {
		return 0
	}
	return min(s.limits.Connections-s.refused-inUse, opensPerConnection*s.limits.Connections-s.opens)
}

// probeCount is the number of probes after which the kernel drops a connection. The second
// one is sent early.
const probeCount = 4

// rungsPerConnection is more than one, because the connections of short rungs have been
// answered and are idle again when they are needed for the long ones.
const rungsPerConnection = 2

// opensPerConnection bounds the connections that are opened during a measurement. The control
// connection is opened again without a bound, but at most once a second.
const opensPerConnection = 8

func (s *search) mayOpen() bool {
	return s.now >= s.retry && !s.outage.down(s.now) && !s.awaitsClosing() && s.opens < opensPerConnection*s.limits.Connections
}

func (s *search) open(control bool) *conn {
	c := &conn{phase: opening, control: control}
	s.conns = append(s.conns, c)
	s.opens++
	s.network.open(c)
	return c
}

// end closes c.
func (s *search) end(c *conn) {
	s.remove(c)
	s.network.close(c)
}

func (s *search) remove(c *conn) {
	c.phase = ended
	s.conns = slices.DeleteFunc(s.conns, func(other *conn) bool { return other == c })
	if c == s.control {
		s.control = nil
	}
}
