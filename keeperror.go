package keepalive

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
)

// KeepError returns conn with a memory for the error by which it dies. The
// kernel tells that error once, and after it [io.EOF]: who reads again, because
// ETIMEDOUT says that it is a Timeout(), or drops an error, takes a dead peer for
// one that has finished. With KeepError every later Read and Write returns the
// first error that [Diagnose] finds to be Dead, Reset or Unreachable, after Close,
// too. A broken pipe is not kept: it says nothing of its own, and the other
// direction may have more to tell.
//
// It is for libraries that do so, as pgx 5 and go-redis 9 do (measured), and
// return EOF then.
//
// [Enable] and its like find the socket in the result. It has SyscallConn and
// CloseWrite where conn has them; elsewhere they are [errors.ErrUnsupported]. It
// copies with a buffer where a *net.TCPConn does without (sendfile, splice).
func KeepError(conn net.Conn) net.Conn { return &keepError{Conn: conn} }

type keepError struct {
	net.Conn
	first atomic.Pointer[error]
}

// keep is what becomes of err.
func (c *keepError) keep(err error) error {
	if err == nil {
		return nil
	}
	if first := c.first.Load(); first != nil {
		return *first
	}
	if brokenPipe(err) {
		return err
	}
	switch Diagnose(err) {
	case Dead, Reset, Unreachable:
		c.first.CompareAndSwap(nil, &err)
		return *c.first.Load()
	}
	return err
}

func (c *keepError) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.keep(err)
}

func (c *keepError) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.keep(err)
}

// NetConn returns the connection itself.
func (c *keepError) NetConn() net.Conn { return c.Conn }

func (c *keepError) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, fmt.Errorf("keepalive: %T has no SyscallConn: %w", c.Conn, errors.ErrUnsupported)
}

func (c *keepError) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return fmt.Errorf("keepalive: %T has no CloseWrite: %w", c.Conn, errors.ErrUnsupported)
}
