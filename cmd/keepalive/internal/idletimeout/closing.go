package idletimeout

import (
	"cmp"
	"slices"
	"time"
)

// closings are the connections that were closed without a probe.
type closings struct {
	list []closedConn
	late int // that were closed after the same time, but only after a probe
	// asked is how long a connection was idle that should have been closed as well, when it
	// was probed. It is 0 until then.
	asked time.Duration
}

type closedConn struct {
	Closing
	at      time.Duration
	idle    time.Duration // without a segment
	control bool
}

// refusal is the age below which a connection was not accepted by the server, for example
// because there are too many.
const refusal = time.Second

// soon is the time after a probe in which a connection is closed that the server has closed
// before. The server's FIN was lost, and is sent again.
const soon = 5 * time.Second

// addClosing records that c was closed. The time counts from the data before, unless the
// server has sent data to report the end.
func (s *search) addClosing(c *conn, now time.Duration, reset bool) {
	closing := closedConn{Closing: Closing{After: now - c.data, Reset: reset}, at: now, idle: now - c.from, control: c.control}
	if c.data > c.dataWas && closing.After < time.Second {
		closing.Closing = Closing{After: now - c.dataWas, Reset: reset, Text: c.text}
		closing.idle = closing.After
	}
	l := &s.closings
	switch {
	case closing.After < refusal:
		s.refused++
	case s.outage.down(now) || s.outage.since(now-soon):
		// It can have been closed some time before. New connections show when.
	case len(l.list) > 0 && l.asked > 0 && closing.After > l.due() && closing.idle < soon:
		l.late++
	default:
		l.list = append(l.list, closing)
	}
}

// tolerance is how far apart times can be that are about the same.
func (l *closings) tolerance() time.Duration { return max(time.Second, l.list[0].After/20) }

// due returns the age at which all connections should be closed.
func (l *closings) due() time.Duration { return l.list[0].After + l.tolerance() }

// expects reports whether the server closes connections at the age of c.
func (l *closings) expects(c *conn, now time.Duration) bool {
	return slices.ContainsFunc(l.list, func(closed closedConn) bool {
		return closed.control && now-c.data >= closed.After
	})
}

// similar reports whether d is about the age of the first connection that was closed.
func (l *closings) similar(d time.Duration) bool {
	return (d - l.list[0].After).Abs() <= l.tolerance()
}

// atOnce reports whether the connections were closed closer together than they were opened. For
// example, a server that is restarted closes 33 connections within 2ms, and their ages are
// 8.0s to 8.3s. With a timeout, the ages are closer together than that.
//
// But a server can also look for idle connections once a second, say. So the closings count
// if new connections are closed at that age as well.
func (l *closings) atOnce() bool {
	first, last := l.list[0], l.list[0]
	youngest, oldest := first.After, first.After
	for _, c := range l.list {
		first.at, last.at = min(first.at, c.at), max(last.at, c.at)
		youngest, oldest = min(youngest, c.After), max(oldest, c.After)
	}
	return last.at-first.at < (oldest-youngest)/2
}

// restartCount returns the number of restarts, without the ages that were confirmed.
func (s *search) restartCount() int {
	l := &s.closings
	if len(l.list) > 0 && slices.ContainsFunc(s.restarts, l.similar) {
		return len(s.restarts) - 1
	}
	return len(s.restarts)
}

// awaitsClosing reports whether it is not yet clear why connections were closed.
func (s *search) awaitsClosing() bool {
	l := &s.closings
	return len(l.list) > 0 && s.now-l.list[0].at <= 2*l.tolerance()+soon
}

// closed returns the verdict for connections that were closed after the same time.
//
// The control connection is never idle. If it was closed as well, the time without data
// matters. If it stayed open for longer, and all others were closed after the same time
// without segments, then that time matters.
func (s *search) closed() (Result, bool) {
	l := &s.closings
	if len(l.list) == 0 || s.now-l.list[0].at < l.tolerance() {
		return Result{}, false
	}
	if l.atOnce() && !slices.ContainsFunc(s.restarts, l.similar) {
		s.restarts = append(s.restarts, l.list[0].After)
		*l = closings{}
		return Result{}, false
	}
	c := l.compare()
	controlClosed := s.control == nil || c.control
	var survivors []*conn
	for _, open := range s.conns {
		if !open.control && open.phase != opening && s.now-open.data > l.list[0].After+l.tolerance()/4 {
			survivors = append(survivors, open)
		}
	}
	r := Result{Closed: &c.closing}
	switch {
	case l.late > 0 && l.asked > c.longest+l.tolerance():
		r.Verdict, r.Reopened = ServerCloses, true
	case controlClosed && len(survivors) == 0 && (l.asked == 0 || l.late > 0) && c.sameAge > 1:
		r.Verdict = ServerCloses
		low, _ := s.bounds(certain)
		r.Lower = min(low, c.closing.After)
	case controlClosed && len(survivors) > 0 && l.asked == 0:
		l.asked = s.ask(survivors)
		return Result{}, false
	case !controlClosed && s.now-s.control.data > l.due()+l.tolerance() && c.sameIdle > 1 && c.otherIdle == 0 && !s.anyIdle(c.most+l.tolerance()/2):
		slack := pollInterval + s.rtt()
		r.Verdict, r.Lower, r.Upper = Closes, c.least-slack, c.most+slack
		c.closing.After, c.closing.Longest = c.least, c.most
	case s.awaitsClosing():
		return Result{}, false
	default:
		*l = closings{} // there was another reason
		return Result{}, false
	}
	return r, true
}

// comparison compares connections that were closed, by age and by idle time.
type comparison struct {
	closing Closing // the first one, with the times of all that have about the same age
	sameAge int     // connections of about the same age
	control bool    // one of these is the control connection

	// Without the control connection:
	sameIdle, otherIdle int           // connections of about the same idle time, and others
	least, most         time.Duration // of the same idle times
	longest             time.Duration // of all idle times
}

// compare compares all connections with the first one. There must be one.
func (l *closings) compare() comparison {
	r := comparison{closing: l.list[0].Closing}
	for _, c := range l.list {
		if l.similar(c.After) {
			r.sameAge++
			r.closing.After, r.closing.Longest = min(r.closing.After, c.After), max(r.closing.Longest, c.After)
			r.control = r.control || c.control
		}
		if c.control {
			continue
		}
		r.longest = max(r.longest, c.idle)
		if r.sameIdle == 0 {
			r.least, r.most = c.idle, c.idle
		}
		if (c.idle - r.least).Abs() <= l.tolerance() {
			r.sameIdle++
			r.least, r.most = min(r.least, c.idle), max(r.most, c.idle)
		} else {
			r.otherIdle++
		}
	}
	return r
}

// anyIdle reports whether a connection has been idle for longer than d.
func (s *search) anyIdle(d time.Duration) bool {
	return slices.ContainsFunc(s.conns, func(c *conn) bool { return !c.control && c.phase == idle && c.idleFor(s.now) > d })
}

// ask probes the connection that has been idle for the longest time of those that should
// have been closed, and returns that time. If the server has closed it, but the path has
// dropped the FIN, then it is closed soon after the probe.
func (s *search) ask(survivors []*conn) time.Duration {
	longest := slices.MaxFunc(survivors, func(a, b *conn) int { return cmp.Compare(a.idleFor(s.now), b.idleFor(s.now)) })
	if longest.phase != idle || s.now-longest.from <= time.Second {
		return 0
	}
	d := longest.idleFor(s.now)
	s.startProbing(longest)
	return d
}
