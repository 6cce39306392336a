package keepalive

import (
	"net"
	"sync/atomic"
	"syscall"
)

// KeepError wraps conn so that the error that ended the connection is not lost. The kernel
// returns it only once; after that, Read returns io.EOF. Libraries that read again, or that
// replace errors by their own, therefore take a dead peer for one that closed the connection.
// For example, pgx 5 and go-redis 9 read again after ETIMEDOUT (measured).
//
// KeepError keeps the first error of Read or Write that [Diagnose] reports as Dead, Reset or
// Unreachable. Every later error of Read and Write is this one, also after Close. It does not
// keep EPIPE, because EPIPE does not contain the reason.
//
// If onError is not nil, it is called once, with conn and the error, before the Read or Write
// that got the error returns. A concurrent call may return the error earlier. Use it to learn the reason if a library replaces errors. For example, Exec of pgx
// 5.12 returns "conn closed" (measured).
//
// The kept error is a [*net.OpError] if the original is one. It matches the original with
// errors.Is and errors.As, but its method Timeout returns false. ETIMEDOUT's returns true, so
// that some libraries take a dead peer for an expired deadline.
//
// The result has the methods SyscallConn and CloseWrite if conn has them, and [Enable] and the
// other functions of this package accept it. It has no other methods, so it cannot use
// sendfile, splice or writev, and HTTP/2 does not recognize a *tls.Conn in it. Wrap the
// connection below TLS. If conn is nil, the result is nil. A *net.UDPConn or *net.IPConn, also
// in a wrapper, is returned unchanged, because an error does not end it.
func KeepError(conn net.Conn, onError func(conn net.Conn, err error)) net.Conn {
	if conn == nil {
		return nil
	}
	switch _, inner, _ := findSocket(conn); inner.(type) {
	case *net.UDPConn, *net.IPConn:
		return conn
	}
	c := &errorKeeper{Conn: conn, onError: onError}
	sc, hasSyscallConn := conn.(syscall.Conn)
	cw, hasCloseWrite := conn.(closeWriter)
	switch {
	case hasSyscallConn && hasCloseWrite:
		return struct {
			*errorKeeper
			syscall.Conn
			closeWriter
		}{c, sc, cw}
	case hasSyscallConn:
		return struct {
			*errorKeeper
			syscall.Conn
		}{c, sc}
	case hasCloseWrite:
		return struct {
			*errorKeeper
			closeWriter
		}{c, cw}
	}
	return c
}

type closeWriter interface{ CloseWrite() error }

// errorKeeper is the result of KeepError, without optional methods.
type errorKeeper struct {
	net.Conn
	onError func(net.Conn, error)
	kept    atomic.Pointer[error]
}

// keptError is an error that ended a connection. Its methods shadow those of ETIMEDOUT.
type keptError struct {
	error    // for its text
	original error
}

// newKeptError returns a *net.OpError if err is one, because some libraries test for this type
// without errors.As. For example, lib/pq removes a connection from the pool only then.
func newKeptError(err error) error {
	op, ok := err.(*net.OpError)
	if !ok {
		return &keptError{err, err}
	}
	kept := *op
	kept.Err = &keptError{op.Err, op}
	return &kept
}

func (e *keptError) Unwrap() error   { return e.original }
func (e *keptError) Timeout() bool   { return false }
func (e *keptError) Temporary() bool { return false }

// keep returns the error to return for err.
func (c *errorKeeper) keep(err error) error {
	if err == nil {
		return nil
	}
	if kept := c.kept.Load(); kept != nil {
		return *kept
	}
	if isBrokenPipe(err) {
		return err
	}
	switch Diagnose(err) {
	case Dead, Reset, Unreachable:
		kept := newKeptError(err)
		if !c.kept.CompareAndSwap(nil, &kept) {
			return *c.kept.Load()
		}
		if c.onError != nil {
			c.onError(c.Conn, kept)
		}
		return kept
	}
	return err
}

func (c *errorKeeper) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.keep(err)
}

func (c *errorKeeper) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.keep(err)
}

// NetConn returns the connection that was passed to KeepError.
func (c *errorKeeper) NetConn() net.Conn { return c.Conn }
