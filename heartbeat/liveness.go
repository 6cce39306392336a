package heartbeat

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// liveness decides when to send a ping and whether the peer is dead.
type liveness struct {
	began        int64
	peerInterval atomic.Int64 // 0 until the preface has arrived
	answering    atomic.Bool  // the timer is set for answerData

	mu      sync.Mutex
	cond    sync.Cond // for Close, which waits for calling
	calling int       // running functions of the application
	beat    beat
	timer   *time.Timer
	timerAt int64 // when it fires
	paused  bool  // the buffer is full, and nothing is read
	stopped bool  // nothing more is to be decided
	closed  bool  // Close was called
	ended   bool  // the connection inside is closed
}

func (l *liveness) init(cfg Config, onTimer func()) {
	t, wallOffset := clock()
	l.began = t
	l.cond.L = &l.mu
	l.beat = newBeat(cfg, false, t, wallOffset)
	l.timerAt = l.beat.wake
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(time.Duration(l.timerAt-t), onTimer)
}

// schedule has the timer fire at the time at, if that is sooner. The caller has mu.
func (l *liveness) schedule(at int64) {
	if !l.stopped && at < l.timerAt {
		l.timerAt = at
		l.timer.Reset(time.Duration(at - now()))
	}
}

// stop ends the timer, because nothing more is read.
func (l *liveness) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.timer.Stop()
}

// end ends the timer for good. It returns true the first time.
func (l *liveness) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.ended
	l.ended, l.stopped = true, true
	l.timer.Stop()
	return first
}

// onTimer does what is due: it sends a ping, ends the connection to a dead peer, or
// shows the peer that this side is alive.
func (c *Conn) onTimer() {
	switch do, err := c.step(); {
	case err != nil:
		c.fail(err)
	case do == actionPing:
		c.sendPing()
	case do == actionAnnounce:
		c.out.queuePong(0)
	}
}

// step returns what to do now, and sets the timer. It returns an error if the
// connection has to end.
func (c *Conn) step() (do action, err error) {
	pinging, writeErr := c.out.pingState()
	l := &c.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return actionNone, nil
	}
	t, wallOffset := clock()
	l.timerAt = maxTime
	if !l.paused {
		do = l.beat.step(t, wallOffset, c.in.heard.Load(), 0, pinging)
		if do == actionDead {
			return do, l.beat.deadError(t, writeErr)
		}
		l.schedule(l.beat.wake)
	}
	peerInterval := l.peerInterval.Load()
	if peerInterval == 0 {
		end := max(l.began, l.beat.graceFrom) + l.beat.timeout
		if end <= t {
			return do, protocolError("no complete preface after %v", time.Duration(t-l.began).Round(time.Millisecond))
		}
		l.schedule(end)
		return do, nil
	}
	l.answering.Store(false)
	if sent := c.out.sent.Load(); l.paused || c.in.data.Load() >= sent {
		l.answering.Store(true)
		next := sent + peerInterval
		if next <= t {
			next = t + peerInterval
			if do == actionNone {
				do = actionAnnounce
			}
		}
		l.schedule(next)
	}
	return do, nil
}

// pause is called when nothing more is read, because the buffer is full. Until resume,
// silence of the peer means nothing, and this side sends pongs to show that it is
// alive.
func (c *Conn) pause() {
	l := &c.life
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	l.schedule(c.out.sent.Load() + l.peerInterval.Load())
}

// resume gives the peer a full Timeout from now on.
func (c *Conn) resume() {
	l := &c.life
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	l.beat.resume(now())
	l.schedule(l.beat.wake)
}

// sendPing queues a ping with the Payload of the application.
func (c *Conn) sendPing() {
	var payload []byte
	if c.cfg.Payload != nil {
		c.call(func() { payload = c.cfg.Payload() })
	}
	if len(payload) > maxPingPayload {
		c.fail(fmt.Errorf("heartbeat: Payload returned %d bytes: must be at most %d", len(payload), maxPingPayload))
		return
	}
	c.out.queuePing(payload)
}

// call calls a function of the application, unless Close was called. Close waits for
// it.
func (c *Conn) call(f func()) {
	l := &c.life
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.calling++
	}
	l.mu.Unlock()
	if closed {
		return
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.calling--
		l.cond.Broadcast()
	}()
	f()
}

// handleControl handles what has arrived besides data.
func (c *Conn) handleControl() {
	frames := &c.in.frames
	for control := frames.control; len(control) > 0; {
		var kind byte
		var payload []byte
		kind, payload, control = nextControl(control)
		switch kind {
		case framePreface:
			c.life.peerInterval.Store(int64(controlNumber(kind, payload)) * int64(time.Millisecond))
		case framePing:
			c.out.queuePong(controlNumber(kind, payload))
			if c.cfg.OnPing != nil {
				c.call(func() { c.cfg.OnPing(payload[numberLen:]) })
			}
		case framePong:
			c.handlePong(controlNumber(kind, payload))
		}
	}
	if cap(frames.control) > 2*maxControl {
		frames.control = nil
	}
	frames.control = frames.control[:0]
}

func (c *Conn) handlePong(number uint32) {
	c.out.mu.Lock()
	rtt, received := c.out.control.answered(number)
	c.out.mu.Unlock()
	if rtt > 0 {
		c.rtt.Store(rtt)
	}
	if received {
		c.in.setReceived()
	}
}

// answerData sets the timer, if data has arrived since this side last sent something:
// the peer's ping may be stuck behind its own data. If nothing is sent until then, step
// has a pong sent.
func (c *Conn) answerData() {
	l := &c.life
	sent := c.out.sent.Load()
	if c.in.data.Load() < sent || l.answering.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answering.Store(true)
	l.schedule(sent + l.peerInterval.Load())
}

// queuePong has a pong sent. The number 0 answers no ping.
func (w *writer) queuePong(number uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if number != 0 || !w.control.pong {
		w.control.pong, w.control.pongNumber = true, number
		w.start()
	}
}

func (w *writer) queuePing(payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.control.ping, w.control.payload = true, append([]byte(nil), payload...)
	w.start()
}

// pingState reports whether a ping waits to be sent, and why sending failed.
func (w *writer) pingState() (pinging bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.control.ping, w.failure
}
