package heartbeat

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Monitor watches over any number of peers, for protocols that have pings and
// answers of their own: it says when to send a ping, is told when a byte comes,
// and says when a peer is dead. The zero value is ready for use. A Monitor must
// not be copied.
//
// A peer takes less than 256 bytes. All of them share one timer, and there is
// none while there is no peer; goroutines run only while there is something to
// call. Time goes in ticks of 8.4 ms: pings and verdicts come up to that much
// later than [Config] says. A verdict never comes early.
type Monitor struct {
	mu    sync.Mutex
	wheel wheel
	peers int
	timer *time.Timer // nil while there is nothing to wait for
	armed uint64      // the tick that it is set to

	// Peers with a function to be called, and the goroutines that call.
	first, last *Peer
	queued      int
	callers     int
	called      bool // since the last tick
}

// Peer is one that a [Monitor] watches over. Its methods may be called at any
// time, from anywhere, the functions given to [Monitor.Add] included.
type Peer struct {
	m     *Monitor
	ping  func() error
	dead  func(*DeadError)
	heard atomic.Int64
	sent  atomic.Int64

	// What follows belongs to m.mu.
	beat   beat
	next   *Peer // on the wheel
	prev   **Peer
	queue  *Peer // next in the queue of calls
	err    error // of the last ping; once judged, the verdict
	queued bool  // in the queue
	busy   bool  // in the queue for a ping, or in ping
	judged bool  // in the queue for dead
	over   bool  // off the wheel for good
}

// Add begins to watch over a peer, which is taken to be alive now.
//
// ping is called when it is time for a ping, and sends it. It need not wait for
// the answer: whoever reads from the peer tells of that, and of any other byte,
// by [Peer.Heard]. It may block, on a connection whose other end does not read:
// that delays no other peer, and there is no second call meanwhile. An error
// from it changes nothing but the Err of the verdict.
//
// dead is called once, after cfg.Timeout of silence. That is the time to close
// the connection, which also ends a ping that still blocks on it. Both functions
// are called on goroutines of the Monitor. Calls that block hold up others by a
// tick or two.
//
// Settings that make no sense are an error; see [Config.Validate].
func (m *Monitor) Add(cfg Config, ping func() error, dead func(*DeadError)) (*Peer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if ping == nil || dead == nil {
		return nil, errors.New("heartbeat: ping or dead is nil: want two functions")
	}
	t, ahead := clock()
	p := &Peer{m: m, ping: ping, dead: dead, beat: newBeat(cfg, t, ahead)}
	p.heard.Store(t)
	p.sent.Store(t)

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers == 0 {
		m.wheel.time = uint64(t) >> tickBits
	}
	m.peers++
	m.wheel.add(p)
	m.arm(t)
	return p, nil
}

// Heard says that something came from the peer, if only a byte. It takes little
// more than reading the clock.
func (p *Peer) Heard() { p.heard.Store(now()) }

// Sent says that something was sent to the peer. It matters with OneWay alone,
// and a ping need not be told of.
func (p *Peer) Sent() { p.sent.Store(now()) }

// Stop ends the watch over p. No call of p's functions begins after it; one that
// has begun goes on, and Stop does not wait for it. After death, or a second
// time, it does nothing.
func (p *Peer) Stop() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.stop()
	if p.m.peers == 0 {
		p.m.arm(now())
	}
}

// Stop is [Peer.Stop] for all peers. The Monitor may be used again.
func (m *Monitor) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.first != nil {
		p := m.take()
		p.stop()
		p.busy = false
	}
	for _, head, ok := m.wheel.next(); ok; _, head, ok = m.wheel.next() {
		(*head).stop()
	}
	m.arm(now())
}

func (p *Peer) stop() {
	p.judged = false
	if !p.over {
		p.over = true
		p.m.wheel.remove(p)
		p.m.peers--
	}
}

// arm sets the timer to the next tick at which there is something to do.
func (m *Monitor) arm(t int64) {
	at, _, ok := m.wheel.next()
	if m.first != nil { // see whether the calls get on
		at, ok = uint64(t)>>tickBits+1, true
	}
	after := time.Duration(int64(at<<tickBits) - t)
	switch {
	case !ok && m.timer != nil:
		m.timer.Stop()
		m.timer = nil
	case ok && m.timer == nil:
		m.timer = time.AfterFunc(after, m.tick)
	case ok && at != m.armed:
		m.timer.Reset(after)
	}
	m.armed = at
}

func (m *Monitor) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ahead := clock()
	m.wheel.advance(t, func(p *Peer) {
		switch p.beat.step(t, ahead, p.heard.Load(), p.sent.Load(), p.busy) {
		case dead:
			p.err = p.beat.verdict(t, p.err)
			p.stop()
			p.judged = true
			m.call(p)
			return
		case ping:
			p.busy = true
			m.call(p)
		}
		m.wheel.add(p)
	})
	if m.first != nil {
		n := runtime.GOMAXPROCS(0)
		if !m.called { // all callers are blocked: as many again
			n = max(n, m.callers)
		}
		n = min(n, m.queued)
		m.called = false
		m.callers += n
		for range n {
			go m.work()
		}
	}
	m.armed = 0 // the timer has fired
	m.arm(t)
}

// call puts p into the queue.
func (m *Monitor) call(p *Peer) {
	if p.queued {
		return
	}
	p.queued = true
	m.queued++
	if m.first == nil {
		m.first = p
	} else {
		m.last.queue = p
	}
	m.last = p
}

// take takes the first out of the queue.
func (m *Monitor) take() *Peer {
	p := m.first
	m.first, p.queue = p.queue, nil
	m.queued--
	p.queued = false
	return p
}

// work makes the calls in the queue.
func (m *Monitor) work() {
	m.mu.Lock()
	for m.first != nil {
		switch p := m.take(); {
		case p.judged:
			p.judged = false
			m.mu.Unlock()
			p.dead(p.err.(*DeadError))
			m.mu.Lock()
		case !p.over:
			m.mu.Unlock()
			err := p.ping()
			m.mu.Lock()
			p.busy = false
			if !p.over {
				p.err = err
			}
		}
		m.called = true
	}
	m.callers--
	if m.peers == 0 {
		m.arm(now())
	}
	m.mu.Unlock()
}
