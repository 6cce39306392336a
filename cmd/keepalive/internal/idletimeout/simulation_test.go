package idletimeout

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// path is a simulated path with a middlebox, and a server at its end.
type path struct {
	timeout time.Duration // of the middlebox, or 0
	reset   bool          // it answers with RST
	loose   bool          // it lets segments of the client through
	closes  bool          // it closes connections at the timeout
	jitter  time.Duration // the timeout is longer by up to that, for each connection
	rtt     time.Duration
	loss    float64 // on each side of the middlebox, in each direction
	tick    time.Duration

	closeAfter  time.Duration // the server closes connections without data at this age
	closeJitter time.Duration // or later, by up to that
	goodbye     bool          // after it has sent data that is not text
	restart     time.Duration // the server closes all connections at that time
	serverIdle  time.Duration // the server's own keepalive
	serverIntvl time.Duration
	silent      bool // the server answers no probe
	greeting    time.Duration
	second      bool          // another greeting after the same time
	chatter     time.Duration // the server sends data that often
	maxConns    int
	down        [2]time.Duration // the network is down between these times
}

// simulation runs a search on a path in virtual time. It is the search's network.
type simulation struct {
	path
	rand     *rand.Rand
	search   *search
	events   events
	now      time.Duration
	nextOpen time.Duration
	conns    map[*conn]*flow
	most     int // connections at the same time
}

// flow is a connection on the path.
type flow struct {
	passed  time.Duration // the middlebox saw a segment
	timeout time.Duration
	server  time.Duration // the server saw a segment
	sent    int           // probes of the client's kernel without answer
	timer   int           // generation of the kernel's timer
}

type event struct {
	at time.Duration
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any          { last := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return last }

func (s *simulation) after(d time.Duration, do func()) { heap.Push(&s.events, event{s.now + d, do}) }

// simulate returns the result and the time that it took.
func simulate(p path, limits Limits, seed uint64) (Result, *simulation) {
	if p.rtt == 0 {
		p.rtt = 2 * time.Millisecond
	}
	if p.tick == 0 {
		p.tick = max(20*time.Millisecond, p.timeout/300)
	}
	s := &simulation{path: p, rand: rand.New(rand.NewPCG(seed, 0)), conns: make(map[*conn]*flow)}
	s.search = newSearch(s, limits)
	nextStep := time.Duration(0)
	for {
		if r, done := s.search.step(s.now); done {
			return r, s
		}
		nextStep = s.now + s.tick
		for len(s.events) > 0 && s.events[0].at <= nextStep {
			e := heap.Pop(&s.events).(event)
			s.now = e.at
			e.do()
		}
		s.now = nextStep
	}
}

func (s *simulation) lost() bool {
	return s.rand.Float64() < s.loss || s.now >= s.down[0] && s.now < s.down[1]
}

// lostOn reports whether one of n packets, or one on n links, is lost.
func (s *simulation) lostOn(n int) bool {
	lost := false
	for range n {
		lost = s.lost() || lost
	}
	return lost
}

func (s *simulation) open(c *conn) {
	if s.lostOn(4) {
		s.after(time.Second, func() { s.open(c) })
		return
	}
	s.nextOpen = max(s.now, s.nextOpen+10*time.Millisecond) // as measurement.open does
	s.after(s.nextOpen-s.now+s.rtt, func() {
		f := &flow{timeout: s.timeout + time.Duration(s.rand.Float64()*float64(s.jitter)), passed: s.now, server: s.now}
		s.conns[c] = f
		s.most = max(s.most, len(s.conns))
		s.search.opened(c, s.now, s.rtt)
		if s.maxConns > 0 && len(s.conns) > s.maxConns {
			s.after(5*time.Millisecond, func() {
				s.fromServer(c, f, true)
				s.serverCloses(c, f, 0)
			})
			return
		}
		if s.greeting > 0 {
			s.after(s.greeting, func() { s.fromServer(c, f, true) })
		}
		if s.second {
			s.after(2*s.greeting, func() { s.fromServer(c, f, true) })
		}
		if s.chatter > 0 {
			s.chat(c, f)
		}
		if s.closeAfter > 0 {
			jitter := time.Duration(s.rand.Float64() * float64(s.closeJitter))
			s.after(s.closeAfter+jitter, func() { s.serverCloses(c, f, 200*time.Millisecond) })
		}
		if s.restart > s.now {
			s.after(s.restart-s.now, func() { s.serverCloses(c, f, 200*time.Millisecond) })
		}
		if s.serverIdle > 0 {
			s.after(s.serverIdle, func() { s.serverProbes(c, f) })
		}
		if s.closes {
			s.boxCloses(c, f)
		}
		if c.control {
			s.controlProbes(c, f)
		}
	})
}

func (s *simulation) gone(f *flow) bool { return s.timeout > 0 && s.now-f.passed > f.timeout }

func (s *simulation) has(c *conn) bool { return s.conns[c] != nil }

func (s *simulation) controlProbes(c *conn, f *flow) {
	s.after(time.Second+time.Duration(s.rand.Float64()*float64(time.Second/8)), func() {
		if s.has(c) {
			s.toServer(c, f)
			s.controlProbes(c, f)
		}
	})
}

func (s *simulation) probe(c *conn) time.Duration {
	f := s.conns[c]
	if c.sent < c.probed {
		f.sent = 0
	}
	s.kernelProbe(c, f)
	return s.now
}

func (s *simulation) kernelProbe(c *conn, f *flow) {
	f.timer++
	if f.sent == probeCount {
		s.after(0, func() { s.end(c); s.search.dropped(c, s.now) })
		return
	}
	f.sent++
	s.toServer(c, f)
	timer := f.timer
	s.after(time.Second, func() {
		if s.has(c) && timer == f.timer {
			s.kernelProbe(c, f)
		}
	})
}

// toServer sends a probe, and its answer.
func (s *simulation) toServer(c *conn, f *flow) {
	if s.lost() {
		return
	}
	if s.gone(f) && !s.loose {
		if s.reset && !s.lost() {
			s.after(s.rtt/2, func() {
				if s.has(c) {
					s.end(c)
					s.search.closedByPeer(c, s.now, true)
				}
			})
		}
		return
	}
	f.passed = s.now
	if s.lost() || s.silent {
		return
	}
	f.server = s.now
	if s.lostOn(2) {
		return
	}
	s.after(s.rtt, func() { s.toClient(c, f) })
}

// toClient delivers a segment.
func (s *simulation) toClient(c *conn, f *flow) {
	if !s.has(c) {
		return
	}
	f.passed = s.now
	f.timer++
	if c.phase == probing || c.control {
		s.search.answered(c, s.now)
	} else {
		s.search.arrived(c, s.now, s.tick, false, "")
	}
}

// fromServer sends a segment that the server sends by itself.
func (s *simulation) fromServer(c *conn, f *flow, data bool) bool {
	if s.lost() || s.gone(f) || s.lost() {
		return false
	}
	if data {
		f.passed = s.now
		s.search.arrived(c, s.now, s.tick, true, "hello")
		return true
	}
	s.toClient(c, f)
	f.server = s.now
	return true
}

func (s *simulation) chat(c *conn, f *flow) {
	s.after(s.chatter, func() {
		if s.has(c) {
			s.fromServer(c, f, true)
			s.chat(c, f)
		}
	})
}

func (s *simulation) serverProbes(c *conn, f *flow) {
	if !s.has(c) {
		return
	}
	if s.now-f.server >= s.serverIdle {
		s.fromServer(c, f, false)
	}
	s.after(max(s.serverIntvl, s.serverIdle-(s.now-f.server)), func() { s.serverProbes(c, f) })
}

func (s *simulation) serverCloses(c *conn, f *flow, again time.Duration) {
	if !s.has(c) {
		return
	}
	if s.lost() || s.gone(f) || s.lost() {
		again = max(again, 200*time.Millisecond)
		s.after(again, func() { s.serverCloses(c, f, 2*again) })
		return
	}
	if s.goodbye {
		s.search.arrived(c, s.now, s.tick, true, "")
	}
	s.end(c)
	s.search.closedByPeer(c, s.now, false)
}

func (s *simulation) boxCloses(c *conn, f *flow) {
	s.after(f.passed+s.timeout-s.now, func() {
		switch {
		case !s.has(c):
		case s.now-f.passed >= s.timeout:
			s.end(c)
			s.search.closedByPeer(c, s.now, s.reset)
		default:
			s.boxCloses(c, f)
		}
	})
}

func (s *simulation) close(c *conn) { s.end(c) }

func (s *simulation) end(c *conn) { delete(s.conns, c) }
