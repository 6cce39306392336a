package heartbeat

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxCopy is the largest payload that is copied behind its header. For more, a
// system call with two buffers takes less time.
const maxCopy = 4 << 10

var errWriteEnded = fmt.Errorf("heartbeat: write after CloseWrite: %w", net.ErrClosed)

// writer sends frames. One goroutine at a time is inside conn.Write: flush, which
// runs only while there is something to send, or a Write to a socket of the kernel.
// A Write whose deadline passes leaves the rest of its frame to flush.
type writer struct {
	conn net.Conn
	sent atomic.Int64 // when the last byte was sent

	mu       sync.Mutex
	cond     sync.Cond // for everything that waits
	rest     []byte    // of a frame, is sent before anything else
	pooled   *buffer   // holds rest, unless it is nil
	control  controlQueue
	direct   directWrite
	deadline deadline
	err      error // returned by Write
	failure  error // returned by conn
	state    writeState
}

// sendError is an error of conn, as an error that Write returns.
type sendError struct{ error }

// writeState is how far writing has got.
type writeState struct {
	writing  bool // a Write is under way
	sending  bool // a goroutine is inside conn.Write
	ended    bool // by CloseWrite
	failed   bool // nothing more can be sent
	timedOut bool // the last Write to conn returned a timeout
}

func (w *writer) init(conn net.Conn, preface []byte) {
	w.conn = conn
	w.cond.L = &w.mu
	w.deadline = deadline{mu: &w.mu, onPast: w.wake}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.direct.possible = true
	}
	w.rest = preface
}

// Write writes data to the peer. See [Conn] for the errors that it returns when the
// connection has ended.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	if err != nil {
		err = c.opError("write", c.writeError(err))
	}
	return n, err
}

func (w *writer) write(b []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.wait(&w.state.writing)
	switch {
	case err != nil:
		return 0, err
	case w.state.ended:
		return 0, errWriteEnded
	}
	w.state.writing = true
	for n < len(b) {
		if err = w.wait(&w.state.sending); err != nil {
			break
		}
		if w.direct.possible {
			n += w.sendDirect(b[n:min(len(b), n+maxData)])
		} else {
			n += w.sendCopy(b[n:])
			w.wait(&w.state.sending)
		}
	}
	w.state.writing = false
	w.start()
	w.cond.Broadcast()
	if err == nil && w.state.failed {
		err = w.err
	}
	return n, err
}

// wait waits until *busy is false. The caller has mu.
func (w *writer) wait(busy *bool) error {
	for {
		switch {
		case w.err != nil:
			return w.err
		case w.deadline.passed():
			return os.ErrDeadlineExceeded
		case !*busy:
			return nil
		}
		w.cond.Wait()
	}
}

// wake ends waiting, and a direct Write as well. The caller has mu.
func (w *writer) wake() {
	w.cond.Broadcast()
	if w.direct.active && !w.direct.interrupted {
		w.direct.interrupted = true
		w.conn.SetWriteDeadline(past)
	}
}

var past = time.Unix(1, 0)

// sendCopy gives flush a frame with the beginning of b, and returns how much of b
// that is. The caller has mu.
func (w *writer) sendCopy(b []byte) int {
	w.pooled = buffers.Get().(*buffer)
	frame := w.control.take(w.pooled[:0], false)
	b = b[:min(len(b), len(w.pooled)-len(frame)-headerLen)]
	w.rest = append(appendHeader(frame, frameData, len(b)), b...)
	w.start()
	return len(b)
}

// directWrite is a Write that sends the bytes of its caller without a copy. It is
// only for sockets of the kernel, where a deadline interrupts a Write and does
// nothing else.
type directWrite struct {
	possible    bool
	active      bool
	interrupted bool
	head        [maxQueued + headerLen]byte
	vector      [2][]byte
	buffers     net.Buffers
}

// sendDirect sends a frame with b, and returns how much of b counts as written: all
// of it, if the frame has begun. The caller has mu.
func (w *writer) sendDirect(b []byte) int {
	d := &w.direct
	control := w.control.take(d.head[:0], false)
	head := appendHeader(control, frameData, len(b))
	w.state.sending, d.active = true, true
	w.mu.Unlock()
	n, rest, err := w.sendFrame(head, b)
	w.mu.Lock()
	w.state.sending, d.active = false, false
	if d.interrupted {
		d.interrupted = false
		w.conn.SetWriteDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	if n == 0 {
		rest, b = append(rest[:0], control...), nil
	}
	w.rest = rest
	w.wrote(n, err)
	if err != nil && w.state.failed {
		return max(0, n-len(head))
	}
	return len(b)
}

// sendFrame returns how many bytes it has sent, and a copy of the others.
func (w *writer) sendFrame(head, b []byte) (n int, rest []byte, err error) {
	if len(b) <= maxCopy {
		buffer := buffers.Get().(*buffer)
		defer buffers.Put(buffer)
		frame := append(append(buffer[:0], head...), b...)
		n, err = w.conn.Write(frame)
		return n, append(rest, frame[n:]...), err
	}
	d := &w.direct
	d.vector = [2][]byte{head, b}
	d.buffers = d.vector[:]
	long, err := d.buffers.WriteTo(w.conn)
	for _, b := range d.buffers {
		rest = append(rest, b...)
	}
	d.vector, d.buffers = [2][]byte{}, nil
	return int(long), rest, err
}

// wrote notes that n bytes were sent, and all but rest; err is from conn.Write. The
// caller has mu.
func (w *writer) wrote(n int, err error) {
	if n > 0 {
		w.sent.Store(now())
	}
	switch {
	case err == nil:
		w.state.timedOut = false
	case isDeadline(err) && (n > 0 || !w.state.timedOut): // somebody else has set one
		w.state.timedOut = true
		w.conn.SetWriteDeadline(time.Time{})
	default:
		w.failure = err
		w.fail(&sendError{err})
	}
	if len(w.rest) == 0 && w.pooled != nil {
		buffers.Put(w.pooled)
		w.pooled = nil
	}
	w.start()
	w.cond.Broadcast()
}

// start has flush send what is due, unless another goroutine is sending. The caller
// has mu.
func (w *writer) start() {
	if !w.state.sending && !w.state.failed && (len(w.rest) > 0 || w.control.any(!w.state.writing)) {
		w.state.sending = true
		go w.flush()
	}
}

// flush sends what is due.
func (w *writer) flush() {
	var b [maxQueued]byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.state.failed {
		if len(w.rest) == 0 {
			w.rest = w.control.take(b[:0], !w.state.writing)
		}
		if len(w.rest) == 0 {
			break
		}
		rest := w.rest
		w.mu.Unlock()
		n, err := w.conn.Write(rest)
		if n < len(rest) && err == nil {
			err = io.ErrShortWrite
		}
		w.mu.Lock()
		w.rest = rest[n:]
		w.wrote(n, err)
	}
	w.state.sending = false
	w.cond.Broadcast()
}

// fail makes Write return err, and ends all sending. The caller has mu.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.state.failed = true
	w.rest = nil
	w.wake()
}

// SetWriteDeadline sets the deadline of Write, for calls that wait and for later
// ones. The zero time means none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	w := &c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == net.ErrClosed {
		return c.opError("set", net.ErrClosed)
	}
	w.deadline.set(t)
	return nil
}
