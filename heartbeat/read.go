package heartbeat

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reader has what arrives. Only the goroutine of readLoop reads the connection. Data
// goes into the buffer of a Read that waits, or else into a buffer of the reader.
type reader struct {
	conn   net.Conn
	socket socketReader // if conn is a socket of the kernel
	frames frameReader
	heard  atomic.Int64 // when the last byte arrived
	data   atomic.Int64 // when the last byte of a data frame did

	mu       sync.Mutex
	cond     sync.Cond // for everything that waits
	unread   readBuffer
	lent     []byte // the buffer of a Read that waits
	deadline deadline
	err      error // returned after the data
	state    readState
}

// readState is how far reading has got.
type readState struct {
	failed   bool // the connection has ended
	closed   bool // Close was called: data is dropped
	received bool // and the peer has received all that was written
	finished bool // readLoop has returned
	filled   int  // bytes in the buffer that was lent
	last     int  // bytes that the last read returned
}

func (r *reader) init(conn net.Conn) {
	r.conn = conn
	r.frames = newFrameReader()
	r.cond.L = &r.mu
	r.deadline = deadline{mu: &r.mu, onPast: r.cond.Broadcast}
	r.socket.init(conn, r)
}

// Read reads data that the peer has sent. See [Conn] for the errors that it returns
// when the connection has ended.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

func (r *reader) read(b []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lending := false
	for {
		unread := r.unread.len()
		switch {
		case r.state.closed:
			err = net.ErrClosed
		case lending && r.state.filled > 0:
			n, r.state.filled = r.state.filled, 0
			return n, nil
		case r.deadline.passed() && (unread > 0 || r.err == nil):
			err = os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case unread > 0:
			n = r.take(b)
		case r.err != nil:
			err = r.err
		default:
			if r.lent == nil && r.state.filled == 0 && r.socket.ok() {
				r.lent, lending = b, true
			}
			r.cond.Wait()
			continue
		}
		if lending {
			r.lent = nil
		}
		return n, err
	}
}

// take takes unread data. The caller has mu.
func (r *reader) take(b []byte) int {
	n := copy(b, r.unread.data())
	r.unread.start += n
	left := r.unread.len()
	if left == 0 && (r.socket.ok() || r.state.finished) { // readLoop does not use it
		r.unread.release()
	}
	if left <= bufferSize/2 && left+n > bufferSize/2 {
		r.cond.Broadcast()
	}
	return n
}

// full reports whether there is too much unread data to read more.
func (r *reader) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isFull()
}

func (r *reader) isFull() bool {
	return !r.state.closed && r.unread.full()
}

// waitForRoom waits until the application has taken data.
func (r *reader) waitForRoom() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.isFull() && !r.state.failed {
		r.cond.Wait()
	}
}

// target returns where the next bytes go. The caller has mu.
func (r *reader) target() []byte {
	if r.lent != nil {
		return r.lent
	}
	return r.unread.room(r.state.last < idleSize && !r.socket.ok())
}

// fill reads once.
func (r *reader) fill(timeout time.Duration) error {
	if !r.frames.inFrame() {
		return r.fillOnce()
	}
	began := now()
	err := r.fillOnce()
	if slow := r.frames.wait(time.Duration(now()-began), timeout); err == nil {
		err = slow
	}
	return err
}

func (r *reader) fillOnce() error {
	if r.socket.ok() {
		return r.socket.fill()
	}
	r.mu.Lock()
	b := r.target()
	r.mu.Unlock()
	b = b[:r.frames.limit(len(b))]
	n, err := r.conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.last = n
	if n > 0 {
		if bad := r.received(b[:n]); bad != nil {
			return bad
		}
	}
	return err
}

// received handles bytes that were read into target. The caller has mu.
func (r *reader) received(b []byte) error {
	t := now()
	r.heard.Store(t)
	n, err := r.frames.parse(b)
	if n > 0 {
		r.data.Store(t)
	}
	switch {
	case n == 0 || r.state.closed:
	case r.lent != nil:
		r.state.filled, r.lent = n, nil
	default:
		r.unread.end += n
	}
	if r.frames.ended && r.err == nil {
		r.err = io.EOF
	}
	if n > 0 || r.err != nil {
		r.cond.Broadcast()
	}
	return err
}

// SetReadDeadline sets the deadline of Read, for calls that wait and for later ones.
// The zero time means none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	r := &c.in
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.closed {
		return c.opError("set", net.ErrClosed)
	}
	r.deadline.set(t)
	return nil
}

// fail makes Read return err after the data.
func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.state.failed = true
	r.cond.Broadcast()
}

// finish makes Read return err after the data, because readLoop returns.
func (r *reader) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.state.finished = true
	r.unread.releaseEmpty()
	r.cond.Broadcast()
}
