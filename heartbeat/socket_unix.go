//go:build unix

package heartbeat

import (
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
)

// socketReader reads a socket of the kernel only when there is something to read. So
// an idle connection needs no buffer, and a Read can lend its own: nothing is read
// into it after its deadline.
type socketReader struct {
	raw   syscall.RawConn // nil for connections of other types
	ready func(fd uintptr) bool
	err   error // of the last call of ready
	lent  bool  // it has read into the buffer of a Read
}

func (s *socketReader) init(conn net.Conn, r *reader) {
	switch conn := conn.(type) { // no wrapper, which must see all reads
	case *net.TCPConn:
		s.raw, _ = conn.SyscallConn()
	case *net.UnixConn:
		s.raw, _ = conn.SyscallConn()
	}
	s.ready = func(fd uintptr) bool { return r.readReady(int(fd)) }
}

func (s *socketReader) ok() bool { return s.raw != nil }

// fill waits until there is something to read, and reads it.
func (s *socketReader) fill() error {
	if err := s.raw.Read(s.ready); err != nil {
		return err
	}
	return s.err
}

// yield lets the application take what was read into its buffer, so that it can lend the buffer
// again. On a busy machine, this takes long.
func (s *socketReader) yield() {
	if s.lent {
		runtime.Gosched()
	}
}

// readReady reads once. It returns false if there is nothing to read.
func (r *reader) readReady(fd int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket.err, r.socket.lent = nil, false
	for {
		b := r.target()
		n, err := syscall.Read(fd, b[:r.frames.limit(len(b))])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			r.unread.releaseEmpty()
			return false
		case err != nil:
			r.socket.err = os.NewSyscallError("read", err)
		case n == 0:
			r.socket.err = io.EOF
		default:
			lent := r.lent != nil
			r.socket.err = r.received(b[:n])
			r.socket.lent = lent && r.lent == nil
		}
		r.unread.releaseEmpty()
		return true
	}
}
