package idletimeout

import (
	"slices"
	"time"
)

// The network calls these methods. now is the time of the event, which can be before the time
// of the last step.

// opened is called when c was opened. rtt is its round-trip time so far.
func (s *search) opened(c *conn, now, rtt time.Duration) {
	i, _ := slices.BinarySearch(s.rtts, rtt)
	s.rtts = slices.Insert(s.rtts, i, rtt)
	s.outage.rtt = s.rtt()
	c.phase, c.data, c.dataWas = idle, now, now
	c.busy = now
	s.idleFrom(c, now, pollInterval)
	if s.started == 0 {
		s.started = max(now, 1)
	}
	if c.control && s.outage.known {
		s.outage.hear(now)
	}
}

// idleFrom sets the time since which c is idle. A middlebox can have seen the last segment
// earlier or later, by a round-trip time. late is how much earlier it can have arrived here.
func (s *search) idleFrom(c *conn, now, late time.Duration) {
	c.from, c.slack = now, late+s.rtt()
}

// arrived is called when the server has sent a segment by itself. text is the beginning of
// its data, if it has data. late is how much earlier it can have arrived.
func (s *search) arrived(c *conn, now, late time.Duration, data bool, text string) {
	if data {
		if now-c.data > time.Second {
			c.dataWas = c.data
		}
		c.data, c.text = now, text
	}
	s.idleFrom(c, now, max(late, pollInterval))
	if c.control {
		s.outage.hear(now)
		return
	}
	if c.arrival.arrive(now) {
		if s.regular.seen != nil && s.regular.seen != c {
			s.regular.every, s.regular.data = c.arrival.gap, data
		}
		s.regular.seen = c
	}
}

// answered is called when a segment arrives on a connection that is probed.
func (s *search) answered(c *conn, now time.Duration) {
	if c.control {
		if !c.answered {
			s.evidence.answered = append(s.evidence.answered, time.Second-c.slack) // the kernel's first probe
		}
		c.answered = true
		s.outage.hear(now)
		return
	}
	s.addAnswer(c.probed - c.from - c.slack)
	c.phase, c.answered, c.arrival = idle, true, arrival{}
	s.idleFrom(c, now, pollInterval)
}

// dropped is called when the kernel has dropped c, because no probe was answered.
func (s *search) dropped(c *conn, now time.Duration) { s.fail(c, now, false) }

// closedByPeer is called when FIN or RST has arrived.
func (s *search) closedByPeer(c *conn, now time.Duration, reset bool) {
	switch {
	case c.phase == probing && reset && s.closings.expects(c, now):
		s.closings.late++ // the server has closed it before, and does not know it any more
		s.remove(c)
		return
	case c.phase == probing && reset:
		s.fail(c, now, true)
		return
	case c.phase == probing:
		s.answered(c, now)
	case c.control:
		s.outage.hear(now)
		s.retry = now + time.Second
	}
	s.addClosing(c, now, reset)
	s.remove(c)
}

func (s *search) fail(c *conn, now time.Duration, reset bool) {
	// The server can have dropped an idle connection during a long outage, too.
	outage := s.outage.down(now) || s.outage.since(c.probed) || reset && s.outage.long > 0 && s.outage.long >= c.from
	if !c.control && !outage {
		s.addFailure(c.failure(reset))
	}
	s.remove(c)
}
