package heartbeat

import (
	"net"
	"time"
)

// maxLinger is how long Close waits in the background for a peer that does not read,
// unless Timeout is longer.
const maxLinger = 5 * time.Minute

// CloseWrite ends the data: the peer's Read returns [io.EOF] after everything that
// was written, including by a Write that has not returned. CloseWrite does not wait.
// Heartbeats go on in both directions. A later Write returns an error that matches
// [net.ErrClosed].
func (c *Conn) CloseWrite() error {
	w := &c.out
	w.mu.Lock()
	err := w.err
	if err == nil {
		w.end()
	}
	w.mu.Unlock()
	if err != nil {
		err = c.opError("close", c.writeError(err))
	}
	return err
}

// end has an end frame sent, once. The caller has mu.
func (w *writer) end() {
	if !w.state.ended {
		w.state.ended, w.control.end = true, true
		w.start()
	}
}

// Close ends all calls of Read and Write. It returns at once, and what Write has
// accepted is still delivered: a goroutine keeps the connection open until the
// peer's Conn has received everything. The goroutine stops waiting when the peer has
// been silent for Timeout, and after five minutes (or Timeout, if that is longer).
//
// A process that exits right after Close may cut off the end of the data. The peer's
// Read then returns [io.ErrUnexpectedEOF]. To know that everything was delivered, call
// CloseWrite first, and then Read until it returns [io.EOF], provided that the peer
// calls Close or CloseWrite only when it has read everything.
//
// A second Close returns an error that matches [net.ErrClosed].
//
// Close waits for a call of OnPing or Payload that is running, and none begins later.
func (c *Conn) Close() error {
	c.life.mu.Lock()
	closed, ended := c.life.closed, c.life.ended
	c.life.closed = true
	c.life.mu.Unlock()
	if closed {
		return c.opError("close", net.ErrClosed)
	}
	c.in.close()
	c.out.close()
	c.life.waitForCalls()
	if !ended {
		go c.linger()
	}
	return nil
}

func (l *liveness) waitForCalls() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.calling > 0 {
		l.cond.Wait()
	}
}

// close makes Read return [net.ErrClosed]. What arrives is dropped from now on.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.closed = true
	r.deadline.set(time.Time{})
	r.lent, r.state.filled, r.unread.start = nil, 0, r.unread.end
	if r.socket.ok() || r.state.finished {
		r.unread.release()
	}
	r.cond.Broadcast()
}

// close makes Write return [net.ErrClosed], and has an end frame sent, and a ping
// whose answer proves that everything was received.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = net.ErrClosed
	w.deadline.set(time.Time{})
	w.control.last = true
	w.end()
	w.start()
	w.wake()
}

// linger closes the connection when the peer has received everything. A TCP socket
// that is closed before, while the peer sends pings to it, resets the connection and
// drops what it has not sent (RFC 1122, 4.2.2.13).
func (c *Conn) linger() {
	timer := time.AfterFunc(max(maxLinger, c.cfg.Timeout), func() { c.fail(net.ErrClosed) })
	defer timer.Stop()
	if c.out.waitSent() && c.in.waitReceived() {
		c.life.end()
		c.inner.Close()
		return
	}
	c.fail(net.ErrClosed)
}

// waitSent waits until everything is sent, and returns false if that is impossible.
func (w *writer) waitSent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.state.failed && (w.state.sending || w.state.writing || len(w.rest) > 0 || w.control.last) {
		w.cond.Wait()
	}
	return !w.state.failed
}

// waitReceived waits until the peer has received everything, and returns false if
// the connection fails before. If the peer has closed, there is nothing to wait for.
func (r *reader) waitReceived() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.state.failed && !r.state.received && !r.state.finished {
		r.cond.Wait()
	}
	return !r.state.failed
}

func (r *reader) setReceived() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.received = true
	r.cond.Broadcast()
}
