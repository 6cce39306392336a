package heartbeat

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// The parts of a Conn, each in a file with its name:
//
//   - reader: one goroutine, readLoop, reads the connection inside from NewConn to
//     the end. Data goes into the buffer of a Read that waits, or into a bounded
//     buffer. The goroutine handles everything else itself.
//   - writer: sends frames. A goroutine sends what no Write sends. It runs only while
//     there is something to send.
//   - liveness: a timer sends pings and decides whether the peer is dead.
//   - close: what was written is delivered after Close.
//
// The deadlines of Read and Write are kept here. The connection inside gets none, so
// it needs none. The one exception is a Write to a socket of the kernel, which sends
// the bytes of its caller without a copy, and is interrupted by a deadline.
//
// The rule for locks: reader, writer and liveness have a mutex each. No goroutine holds
// two of them. No goroutine holds one while it calls the connection inside or the
// application, except for calls that do not block.

// ConnConfig has the settings of a [Conn]. The two ends may have different ones.
type ConnConfig struct {
	Config

	// Payload returns what the next ping carries to the peer, at most 124 bytes. It
	// must not block, and must not call Write or Close. If it returns more, the
	// connection ends with an error. If Payload is nil, pings carry nothing.
	Payload func() []byte

	// OnPing is called for each ping from the peer. The argument is what the ping
	// carries, and is valid during the call. It is empty if the peer's Payload is nil,
	// and in the ping by which Close finds out whether everything has arrived. While
	// OnPing runs, nothing is read from the peer, so it must not block, and must not
	// call Read or Close. If it blocks, no ping is answered, and the peer reports this
	// side as dead. OnPing may be nil.
	OnPing func(payload []byte)
}

// Conn is a [net.Conn] that detects a dead peer. Both ends of a connection must be
// wrapped in a Conn, or in another implementation of the format that FORMAT.md
// specifies.
//
// If nothing arrives from the peer for Timeout, Conn closes the connection inside.
// Read then returns the data that has arrived, and after it a [*DeadError] in a
// [*net.OpError]. Write returns the same error. If the peer violates the format, the
// error matches [ErrProtocol].
//
// Read returns [io.EOF] only if the peer has called Close or CloseWrite. If the
// connection ends without that, for example because the peer's process was killed, Read
// returns [io.ErrUnexpectedEOF], because data may be missing. When the peer's connection
// is closed, no more heartbeats arrive, and a dead peer is no longer detected.
//
// In all other respects a Conn behaves like the connection inside. Its methods may
// be called concurrently. Deadlines and CloseWrite work even if the connection inside
// does not have them. A Write that returns at its deadline may have begun a frame.
// The whole frame, at most 64 KiB, then counts as written and is sent in the
// background, so that later calls of Write work.
//
// You do not have to call Read all the time, because a Conn answers pings in the
// background. It buffers at most 16 KiB of unread data. While the buffer is full, a
// Conn does not detect a dead peer, and it tells the peer regularly that it is
// alive. When you read again, the peer has a full Timeout before it is reported dead.
// To detect a dead peer while you only write, set a TCP user timeout.
//
// Each side needs a Timeout that is longer than the time until the other side calls
// NewConn. Until then, the other side answers no pings.
//
// A busy machine takes time to schedule a goroutine. So a Conn waits at least 250 ms
// for the answer to a ping: it raises Timeout to Interval+250ms if it is less.
//
// For TLS, wrap the [crypto/tls.Conn], not the connection inside it. Set the sizes of
// socket buffers before the connection is made, with [net.Dialer.Control] and
// [net.ListenConfig.Control]. If you make a receive buffer small later, Linux delivers
// data with long gaps, with or without a Conn.
type Conn struct {
	inner net.Conn
	cfg   ConnConfig
	in    reader
	out   writer
	life  liveness
	rtt   atomic.Int64
}

var _ net.Conn = (*Conn)(nil)

// NewConn wraps one end of a connection. From then on, use the result instead of
// conn, except for settings such as keepalive. NewConn removes the deadlines of conn.
// It starts a goroutine that ends after Close. It does not wait for the peer.
//
// If cfg is invalid or conn is nil, NewConn returns an error and does not touch conn.
// See [Config.Validate]. Interval must be at least 1ms. If Timeout is less than
// Interval+250ms, NewConn uses Interval+250ms.
func NewConn(conn net.Conn, cfg ConnConfig) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Interval < time.Millisecond {
		return nil, fmt.Errorf("heartbeat: Interval %v: must be at least 1ms for a Conn", cfg.Interval)
	}
	if conn == nil {
		return nil, errors.New("heartbeat: NewConn: conn is nil")
	}
	conn.SetDeadline(time.Time{})
	cfg.Timeout = max(cfg.Timeout, cfg.Interval+minAnswerTime)
	c := &Conn{inner: conn, cfg: cfg}
	c.in.init(conn)
	c.out.init(conn, appendPreface(nil, uint32(min(cfg.Interval.Milliseconds(), math.MaxUint32))))
	c.life.init(cfg.Config, c.onTimer)
	c.in.heard.Store(c.life.began)
	c.out.sent.Store(c.life.began)
	go c.readLoop()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.start()
	return c, nil
}

// minAnswerTime is the least time that a peer has to answer a ping.
const minAnswerTime = 250 * time.Millisecond

// NetConn returns the connection inside, for settings such as keepalive.
func (c *Conn) NetConn() net.Conn { return c.inner }

// LocalAddr returns the local address of the connection inside.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the remote address of the connection inside.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// RTT returns the time between the last answered ping and its answer. It returns
// false before the first answer. Pings are only sent after a period of silence, so
// the value may be old.
func (c *Conn) RTT() (time.Duration, bool) {
	rtt := c.rtt.Load()
	return time.Duration(rtt), rtt > 0
}

// SetDeadline sets the deadlines of Read and Write.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// readLoop reads the connection inside until it ends.
func (c *Conn) readLoop() {
	timedOut := false
	for {
		if c.in.full() {
			c.pause()
			c.in.waitForRoom()
			c.resume()
		}
		err := c.in.fill(c.cfg.Timeout)
		c.handleControl()
		c.in.socket.yield()
		switch {
		case err == nil:
			timedOut = false
			c.answerData()
			continue
		case isDeadline(err) && !timedOut: // somebody else has set one
			timedOut = true
			c.inner.SetReadDeadline(time.Time{})
			continue
		case errors.Is(err, ErrProtocol):
			c.fail(err)
		}
		c.life.stop()
		c.in.finish(c.readError(err))
		return
	}
}

// readError returns what Read returns after the connection inside has returned err.
func (c *Conn) readError(err error) error {
	atEOF := err == io.EOF || err == io.ErrUnexpectedEOF // TLS returns the latter
	c.out.mu.Lock()
	writeErr := c.out.failure
	c.out.mu.Unlock()
	switch {
	case atEOF && aborted(writeErr): // the kernel reports it once
		return cause(writeErr)
	case err == io.EOF: // after an end frame, Read returns io.EOF without this
		return io.ErrUnexpectedEOF
	}
	return cause(err)
}

// writeError returns what Write returns after err. If the kernel has reported the
// reason to the reader, it is that.
func (c *Conn) writeError(err error) error {
	e, ok := err.(*sendError)
	if !ok {
		return err
	}
	c.in.mu.Lock()
	readErr := c.in.err
	c.in.mu.Unlock()
	if readErr == nil || readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
		return cause(e.error)
	}
	return readErr
}

// cause returns err without what package net adds to it.
func cause(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// isDeadline reports whether err is about a deadline that has passed. ETIMEDOUT, which
// ends a connection, is a timeout as well.
func isDeadline(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() && !isErrno(err)
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || op == "read" && (err == io.EOF || err == io.ErrUnexpectedEOF) {
		return err
	}
	e := &net.OpError{Op: op, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	if e.Source != nil {
		e.Net = e.Source.Network()
	}
	return e
}

// fail ends the connection at once, for the reason err.
func (c *Conn) fail(err error) {
	if !c.life.end() {
		return
	}
	c.in.fail(err)
	c.out.mu.Lock()
	c.out.fail(err)
	c.out.mu.Unlock()
	c.inner.SetDeadline(past) // crypto/tls may wait until it can send an alert
	c.inner.Close()
}
