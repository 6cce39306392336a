package heartbeat

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// bufferSize is the size of a pooled buffer, and so a limit to what is read before
	// the application asks for it.
	bufferSize = 16 << 10

	// idleSize is the size of the buffer in which an idle connection waits for bytes.
	idleSize = 512
)

type buffer [bufferSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// reader has what arrives. Only the goroutine of readLoop reads the connection. Data
// goes into the buffer of a Read that waits, or else into a buffer of the reader.
type reader struct {
	conn   net.Conn
	socket socketReader // if conn is a socket of the kernel
	frames frameReader
	heard  atomic.Int64 // when the last byte arrived
	data   atomic.Int64 // when the last byte of a data frame did

	mu         sync.Mutex
	cond       sync.Cond // for everything that waits
	pooled     *buffer   // nil if unread is in idle
	idle       []byte
	start, end int    // of the unread data
	lent       []byte // the buffer of a Read that waits
	filled     int    // bytes in the buffer that was lent
	deadline   deadline
	err        error // returned after the data
	state      readState
}

// readState is how far reading has got.
type readState struct {
	failed   bool // the connection has ended
	closed   bool // Close was called: data is dropped
	received bool // and the peer has received all that was written
	finished bool // readLoop has returned
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
		unread := r.end - r.start
		switch {
		case r.state.closed:
			err = net.ErrClosed
		case lending && r.filled > 0:
			n, r.filled = r.filled, 0
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
			if r.lent == nil && r.filled == 0 && r.socket.ok() {
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
	n := copy(b, r.buf()[r.start:r.end])
	r.start += n
	if r.start == r.end && (r.socket.ok() || r.state.finished) { // readLoop does not use it
		r.release()
	}
	if r.end-r.start <= bufferSize/2 && r.end-r.start+n > bufferSize/2 {
		r.cond.Broadcast()
	}
	return n
}

func (r *reader) buf() []byte {
	if r.pooled != nil {
		return r.pooled[:]
	}
	return r.idle
}

// release gives the pooled buffer back. The caller has mu.
func (r *reader) release() {
	if r.pooled != nil {
		buffers.Put(r.pooled)
		r.pooled = nil
	}
	r.start, r.end = 0, 0
}

// full reports whether there is too much unread data to read more.
func (r *reader) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isFull()
}

func (r *reader) isFull() bool {
	return !r.state.closed && r.end == len(r.buf()) && r.end-r.start > bufferSize/2
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
	old, unread := r.buf(), r.buf()[r.start:r.end]
	switch {
	case len(unread) == 0 && r.state.last < idleSize && !r.socket.ok():
		r.release()
		if r.idle == nil {
			r.idle = make([]byte, idleSize)
		}
	case len(unread) == 0 && r.pooled != nil:
		r.start, r.end = 0, 0
	case r.pooled == nil || r.end == len(old):
		if r.pooled == nil {
			r.pooled = buffers.Get().(*buffer)
		}
		r.start, r.end = 0, copy(r.pooled[:], unread)
	}
	return r.buf()[r.end:]
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
		r.filled, r.lent = n, nil
	default:
		r.end += n
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
	if r.start == r.end {
		r.release()
	}
	r.cond.Broadcast()
}
