package heartbeat

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Monitor watches many peers, for protocols that have pings and answers of their
// own. It calls a function of yours when it is time to send a ping, and another one
// when a peer is dead. You report each byte that arrives. The zero value is ready for
// use. A Monitor must not be copied.
//
// A peer takes less than 256 bytes. All peers share one timer, which does not exist
// while there is no peer. Goroutines run only while there is a function to call. A
// Monitor counts time in ticks of 8.4 ms, so it calls functions up to 8.4 ms later
// than [Config] says, and never earlier.
type Monitor struct {
	// OneWay is for protocols without answers, in which each side announces itself,
	// such as AMQP and STOMP. If it is true, a ping is sent when nothing was sent to
	// the peer for Interval, whatever arrives from it. Set it before the first Add.
	OneWay bool

	mu    sync.Mutex
	wheel wheel
	peers int
	timer *time.Timer // nil while there is nothing to wait for
	armed uint64      // the tick for which it is set

	// Peers with a function to be called, and the goroutines that call.
	first, last *Peer
	queued      int
	callers     int
	called      bool // since the last tick
}

// Peer is a peer that a [Monitor] watches. Its methods may be called at any time,
// from any goroutine, including from the functions that were passed to
// [Monitor.Add].
type Peer struct {
	m     *Monitor
	ping  func() error
	dead  func(*DeadError)
	heard atomic.Int64
	sent  atomic.Int64

	// The mutex of m guards the other fields.
	beat   beat
	next   *Peer // in the wheel
	prev   **Peer
	queue  *Peer // next in the queue of calls
	err    error // of the last ping; if deadReported, the DeadError
	queued bool  // in the queue
	busy   bool  // in the queue for a ping, or in ping

	deadReported bool // in the queue for dead
	removed      bool // from the wheel for good
}

// Add begins to watch a peer. The peer counts as alive at the time of the call.
//
// The function ping is called when it is time for a ping, and sends it. It need not
// wait for the answer. Call [Peer.Heard] whenever bytes from the peer arrive. If
// ping blocks, for example because the peer does not read, no other peer has to wait,
// and ping is not called again meanwhile. The error of the last ping is in the Err
// field of the DeadError, and has no other effect.
//
// The function dead is called once, after cfg.Timeout of silence. It should close the
// connection, which also ends a ping that blocks. The Monitor calls both functions on
// its own goroutines. Functions that block can delay others by one or two ticks.
//
// If cfg is invalid, or ping or dead is nil, Add returns an error. See
// [Config.Validate].
func (m *Monitor) Add(cfg Config, ping func() error, dead func(*DeadError)) (*Peer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if ping == nil || dead == nil {
		return nil, errors.New("heartbeat: Monitor.Add: ping or dead is nil")
	}
	t, wallOffset := clock()
	p := &Peer{m: m, ping: ping, dead: dead, beat: newBeat(cfg, m.OneWay, t, wallOffset)}
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

// Heard reports that bytes from the peer have arrived. It takes little longer than
// reading the clock.
func (p *Peer) Heard() { p.heard.Store(now()) }

// Sent reports that bytes were sent to the peer. Only a Monitor with OneWay needs
// it, and not for pings.
func (p *Peer) Sent() { p.sent.Store(now()) }

// Stop ends the watch. No function of p is called later, but Stop does not wait for
// a call that is running. If the peer is dead or Stop was called before, Stop does
// nothing.
func (p *Peer) Stop() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.stop()
	if p.m.peers == 0 {
		p.m.arm(now())
	}
}

// Stop calls [Peer.Stop] for all peers. The Monitor can be used again.
func (m *Monitor) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.first != nil {
		p := m.dequeue()
		p.stop()
		p.busy = false
	}
	for _, head, ok := m.wheel.next(); ok; _, head, ok = m.wheel.next() {
		(*head).stop()
	}
	m.arm(now())
}

func (p *Peer) stop() {
	p.deadReported = false
	if !p.removed {
		p.removed = true
		p.m.wheel.remove(p)
		p.m.peers--
	}
}

// arm sets the timer to the next tick at which there is something to do. Callers hold
// mu.
func (m *Monitor) arm(t int64) {
	at, _, ok := m.wheel.next()
	if m.first != nil { // to see whether the callers are blocked
		at, ok = uint64(t)>>tickBits+1, true
	}
	after := time.Duration(int64(at<<tickBits) - t)
	switch {
	case !ok && m.timer != nil:
		m.timer.Stop()
		m.timer = nil
	case ok && m.timer == nil:
		m.timer = time.AfterFunc(after, m.onTick)
	case ok && at != m.armed:
		m.timer.Reset(after)
	}
	m.armed = at
}

func (m *Monitor) onTick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, wallOffset := clock()
	m.wheel.advance(t, func(p *Peer) {
		switch p.beat.step(t, wallOffset, p.heard.Load(), p.sent.Load(), p.busy) {
		case actionDead:
			p.err = p.beat.deadError(t, p.err)
			p.stop()
			p.deadReported = true
			m.enqueue(p)
			return
		case actionPing:
			p.busy = true
			m.enqueue(p)
		}
		m.wheel.add(p)
	})
	if m.first != nil {
		n := runtime.GOMAXPROCS(0)
		if !m.called { // all callers are blocked, so double them
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

// enqueue puts p into the queue.
func (m *Monitor) enqueue(p *Peer) {
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

// dequeue removes the first peer from the queue.
func (m *Monitor) dequeue() *Peer {
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
		switch p := m.dequeue(); {
		case p.deadReported:
			p.deadReported = false
			m.mu.Unlock()
			p.dead(p.err.(*DeadError))
			m.mu.Lock()
		case !p.removed:
			m.mu.Unlock()
			err := p.ping()
			m.mu.Lock()
			p.busy = false
			if !p.removed {
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
