package heartbeat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// longestPayload is what a ping can carry.
	longestPayload = maxControl - numberLen

	// copied is the payload up to which a frame is copied behind its head, since
	// that takes less time than writev.
	copied = 4 << 10

	// maxPending is how much data is taken from a peer before the application asks
	// for it.
	maxPending = 16 << 10

	// smallRead is how much is read at least, so that a Read of a few bytes does
	// not take a system call for each part of a frame.
	smallRead = 512

	// busyFor is how long there may be no Read until the background reads in its
	// place.
	busyFor = 10 * time.Millisecond

	// lingerFor is how long a closed connection is kept open for a peer that takes
	// nothing and says that it lives, if Timeout is not longer.
	lingerFor = 5 * time.Minute

	// burst is how many pings and pongs a peer may send at any time, and perInterval
	// how many more in each interval of either side.
	burst, perInterval = 16, 4
)

// ConnConfig is how a [Conn] finds out whether its peer is alive, and what pings
// carry. The settings of the two ends need not be the same.
type ConnConfig struct {
	// Config says when to ping. OneWay is not for a Conn.
	Config

	// Payload returns what the next ping carries to the peer, at most 124 bytes. It
	// must not block, nor call Write. Nil is for nothing.
	Payload func() []byte

	// OnPing is called with what each ping from the peer carries, which may be
	// nothing. It must not block, nor call Read, nor keep payload. Nil is for
	// nobody who cares.
	OnPing func(payload []byte)
}

// Conn is a [net.Conn] that notices when its peer dies. Both ends of a connection
// must be wrapped in one, or in anything else that speaks its format, which
// FORMAT.md beside this package describes.
//
// When the peer has been silent for Timeout, the connection inside is closed, and
// all reads and writes, pending and later, return a [*DeadError] in a
// [*net.OpError]. Data that came before can still be read. A peer that breaks the
// format, does not speak it, or is a nuisance ends the connection as well, with an
// error that is [ErrProtocol].
//
// Otherwise it is like the connection inside: methods can be called at the same
// time, and deadlines work; CloseWrite works whatever is inside. A Write that ends
// at its deadline may leave a part of a frame to be sent, 64 KiB at most: that part
// counts as written, and goes out as soon as there is room. (Where a Write that
// ends at its deadline is the end of all writes, as with crypto/tls, it is that
// here, too.)
//
// An application that does not read is not taken for dead. For its part it judges
// the peer until 8 to 16 KiB of unread data have come, and from then on no longer,
// up to a Timeout after it reads again: that the peer died meanwhile shows in what
// is written, if TCP has a user timeout.
type Conn struct {
	inner    net.Conn
	cfg      ConnConfig
	vectored bool // inner takes two buffers in one system call
	start    int64
	ahead    int64 // of the wall clock, at start
	heard    atomic.Int64
	sent     atomic.Int64
	rtt      atomic.Int64

	reading sync.Mutex // held by Read
	writing sync.Mutex // held by Write

	mu     sync.Mutex
	err    error // why the connection is over
	closed bool  // Close was called
	beat   beat
	timer  *time.Timer

	// Reading. Who is the reader has what is marked so.
	reader       role
	frames       frames // the reader's
	controls     int64  // the reader's: how many pings and pongs have come
	small        []byte // the reader's, if that is Read
	readDeadline time.Time
	readWake     chan struct{} // the background has something for a waiting Read
	wanted       bool          // a Read waits
	pending      []byte        // data for Read
	readErr      error         // after pending
	gone         bool          // nothing more comes from the connection inside
	reads        int
	paused       bool
	watch        *time.Timer // looks whether there are Reads, after one
	watching     bool
	watched      int   // reads, when it last did
	peerInterval int64 // the reader's to set; 0 until the preface has come

	// Writing. Who is the writer has what is marked so.
	writer        role
	rest          []byte // the writer's: what is to be sent before all else
	control       []byte // the writer's: a buffer
	head          [headLen]byte
	vec           [2][]byte
	buffers       net.Buffers
	writeDeadline time.Time
	writeWake     chan struct{} // the background does not write any more
	writeEnded    bool
	endDue        bool
	writeErr      error // the kernel tells it once
	pongDue       bool
	pongNumber    uint32
	pingDue       bool
	pinging       bool // one is being sent
	pingNumber    uint32
	pingAt        int64 // when that one was sent
	pingErr       error
}

// role is who reads, or who writes.
type role uint8

const (
	nobody      role = iota
	application      // in a Read or Write
	background
)

var _ net.Conn = (*Conn)(nil)

// NewConn wraps one end of a connection, which must not be used by other means
// from then on, but for settings such as keepalive; its deadlines are forgotten.
// NewConn waits for nothing.
//
// Settings that make no sense are an error, and leave conn alone; see
// [Config.Validate].
func NewConn(conn net.Conn, cfg ConnConfig) (*Conn, error) {
	if err := cfg.validateAsking(); err != nil {
		return nil, err
	}
	if cfg.Interval < time.Millisecond {
		return nil, fmt.Errorf("heartbeat: Interval %v: want 1ms at least, the unit that the peer is told it in", cfg.Interval)
	}
	if conn == nil {
		return nil, errors.New("heartbeat: the connection is nil")
	}
	c := &Conn{
		inner:     conn,
		cfg:       cfg,
		readWake:  make(chan struct{}, 1),
		writeWake: make(chan struct{}, 1),
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.vectored = true
	}
	c.start, c.ahead = clock()
	c.heard.Store(c.start)
	c.sent.Store(c.start)
	c.beat = newBeat(cfg.Config, c.start, c.ahead)
	c.frames = newFrames(c.came)
	interval := min(cfg.Interval.Milliseconds(), math.MaxUint32)
	c.rest = binary.BigEndian.AppendUint32([]byte(magic), uint32(interval))

	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(time.Duration(c.beat.wake-c.start), c.tick)
	c.watching = true
	c.watch = time.AfterFunc(0, c.look) // until there is a Read, the preface must be read
	c.kick()
	return c, nil
}

// NetConn returns the connection inside, for settings such as keepalive.
func (c *Conn) NetConn() net.Conn { return c.inner }

// LocalAddr is that of the connection inside.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr is that of the connection inside.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// RTT returns the time from the last ping that was answered to the answer, and
// false before the first. There are pings only into silence. When one end does
// not wait in Read at that time, it may take 10 ms more at each end.
func (c *Conn) RTT() (time.Duration, bool) {
	rtt := c.rtt.Load()
	return time.Duration(rtt), rtt > 0
}

// Close ends all reads and writes, and returns at once. What was written is still
// delivered, if the connection inside has CloseWrite, as TCP, TLS and Unix sockets
// have: heartbeats from a peer that does not know yet would prevent it, so a
// goroutine keeps that open until the peer has closed, too, or sends data, or has
// been silent for Timeout, and no longer than five minutes, or a longer Timeout. A
// connection without CloseWrite is closed at once.
func (c *Conn) Close() error {
	c.mu.Lock()
	closed, over := c.closed, c.err != nil
	c.closed = true
	c.pending = nil
	c.end(net.ErrClosed)
	pinging := c.writer == background
	c.mu.Unlock()
	switch {
	case closed:
		return c.opError("close", net.ErrClosed)
	case over:
		return nil // it was closed then
	}
	half, ok := c.inner.(interface{ CloseWrite() error })
	if !ok {
		return c.inner.Close()
	}
	c.inner.SetReadDeadline(past)
	if pinging { // crypto/tls could not end in order, were its Write cut off
		c.inner.SetWriteDeadline(time.Now().Add(c.cfg.Timeout))
	} else {
		c.inner.SetWriteDeadline(past)
	}
	go func() {
		defer c.inner.Close()
		c.linger(half.CloseWrite)
	}()
	return nil
}

// linger ends the connection inside in a way that loses nothing: to close a TCP
// socket to which something comes still, or has come and was not read, resets the
// connection, and drops what it had to send (RFC 1122, 4.2.2.13).
func (c *Conn) linger(closeWrite func() error) {
	c.take(&c.writing, &c.writer, c.writeWake)
	c.take(&c.reading, &c.reader, c.readWake)
	end := time.Now().Add(max(lingerFor, c.cfg.Timeout))
	b := make([]byte, smallRead)
	ended := false
	for time.Now().Before(end) {
		if !ended {
			c.inner.SetWriteDeadline(time.Now().Add(c.cfg.Timeout))
			_, err := c.send(nil, nil)
			if err == nil {
				err, ended = closeWrite(), true
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
		c.inner.SetReadDeadline(time.Now().Add(c.cfg.Timeout)) // a peer that does not read says that it lives
		if n, err := c.fill(b); n > 0 || err != nil {
			return
		}
	}
}

// take makes the background the reader, or the writer, for good, when whoever it
// is has seen that the connection is over.
func (c *Conn) take(application *sync.Mutex, r *role, wake <-chan struct{}) {
	application.Lock()
	defer application.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for *r != nobody {
		c.wait(wake, time.Time{})
	}
	*r = background
}

// fail ends the connection for the reason err.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	over := c.err != nil
	c.end(err)
	c.mu.Unlock()
	if !over {
		c.inner.SetDeadline(past) // TLS may take its time to close
		c.inner.Close()
	}
}

var past = time.Unix(1, 0)

// end notes that the connection is over, under c.mu.
func (c *Conn) end(err error) {
	if c.err == nil {
		c.err = err
		c.timer.Stop()
		c.watch.Stop()
		signal(c.readWake)
		signal(c.writeWake)
	}
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// wait lets go of c.mu until wake is signaled or the deadline passes. Who calls it
// looks then what has become of what it waits for.
func (c *Conn) wait(wake <-chan struct{}, deadline time.Time) {
	c.mu.Unlock()
	defer c.mu.Lock()
	if deadline.IsZero() {
		<-wake
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && time.Until(deadline) <= 0 }

func (c *Conn) opError(op string, err error) error {
	e := &net.OpError{Op: op, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	if e.Source != nil {
		e.Net = e.Source.Network()
	}
	return e
}

// tick is what the timer calls: it pings, judges, or says that this side lives.
func (c *Conn) tick() {
	c.mu.Lock()
	if c.err != nil || c.gone {
		c.mu.Unlock()
		return
	}
	var over error
	t, ahead := clock()
	if c.paused {
		c.announce()
		c.timer.Reset(time.Duration(float64(c.peerInterval) * (1 - c.cfg.Jitter*rand.Float64())))
	} else {
		do := c.beat.step(t, ahead, c.heard.Load(), 0, c.pingDue || c.pinging)
		left := int64(c.cfg.Timeout) - (t - max(c.start, c.beat.round))
		switch {
		case do == dead:
			over = c.beat.verdict(t, c.pingErr)
		case c.peerInterval == 0 && left <= 0:
			over = protocolError("the peer has sent no whole preface for %v", time.Duration(t-c.start).Round(time.Millisecond))
		default:
			if do == ping {
				c.pingDue = true
				c.kick()
			}
			wake := c.beat.wake - t
			if c.peerInterval == 0 {
				wake = min(wake, left)
			}
			c.timer.Reset(time.Duration(wake))
		}
	}
	c.mu.Unlock()
	if over != nil {
		c.fail(over)
	}
}

// Reading.

// Read reads data from the peer; see [Conn] for what it returns when the
// connection is over.
func (c *Conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.opError("read", c.err)
		case passed(c.readDeadline):
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case len(c.pending) > 0:
			return c.takePending(b), nil
		case c.err != nil:
			return 0, c.opError("read", c.err)
		case c.readErr != nil:
			return 0, c.readErr
		case c.reader == nobody:
			if n, err := c.readSelf(b); n > 0 || err != nil {
				return n, err
			}
		default:
			c.wanted = true
			if c.peerInterval > 0 { // else the background lets go soon, and TLS must not be disturbed in its handshake
				c.inner.SetReadDeadline(past)
			}
			c.wait(c.readWake, c.readDeadline)
			c.wanted = false
		}
	}
}

// takePending takes data that came before, under c.mu.
func (c *Conn) takePending(b []byte) int {
	n := copy(b, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	if c.paused && len(c.pending) <= maxPending/2 {
		c.paused = false
		t, _ := clock()
		c.beat.refresh(t)
		c.timer.Reset(0)
	}
	c.lookLater()
	return n
}

// fillUnlocked is fill, without c.mu meanwhile, even if OnPing panics.
func (c *Conn) fillUnlocked(b []byte) (int, error) {
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.fill(b)
}

// readSelf reads once, as the reader. c.mu is held, but not meanwhile.
func (c *Conn) readSelf(b []byte) (int, error) {
	c.reader = application
	into := b
	if len(b) < smallRead {
		if c.small == nil {
			c.small = make([]byte, smallRead)
		}
		into = c.small
	}
	n, err := c.fillUnlocked(into)
	c.reader = nobody
	err = c.readFailed(err)
	if len(b) < smallRead && n > 0 {
		c.pending = into[:n:n] // read before small is used again
		return c.takePending(b), nil
	}
	c.lookLater()
	if n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// fill reads once from the connection inside, into b, deals with what is not
// data, and returns how much data is in b then. The caller is the reader.
func (c *Conn) fill(b []byte) (int, error) {
	f := &c.frames
	if f.kind == frameData && f.length > copied {
		// Read a large frame, and the head of what is likely another, but no
		// further: then parse has no data to move.
		b = b[:min(len(b), f.left+headLen)]
	}
	amid := f.amid()
	var began int64
	if amid {
		began = now()
	}
	n, err := c.inner.Read(b)
	t := now()
	timeout := int64(c.cfg.Timeout)
	if amid {
		f.waited += min(t-began, timeout) // no more, for the process may have slept
	}
	if n <= 0 {
		return 0, err
	}
	c.heard.Store(t)
	n, bad := f.parse(b[:n])
	if bad == nil && f.waited/timeout >= int64(2+f.length/1024) {
		bad = protocolError("a frame with %d bytes is not complete after %v", f.length, time.Duration(f.waited).Round(time.Millisecond))
	}
	if bad != nil {
		c.fail(bad)
		err = bad
	}
	if c.peerInterval > 0 && t-c.sent.Load() > c.peerInterval {
		// The peer has heard nothing, and its ping may be stuck behind its data.
		c.sent.Store(t) // as good as sent
		c.mu.Lock()
		c.announce()
		c.mu.Unlock()
	}
	return n, err
}

// announce has the background send a pong that answers no ping, under c.mu.
func (c *Conn) announce() {
	if !c.pongDue {
		c.pongDue, c.pongNumber = true, 0
		c.kick()
	}
}

// readFailed notes why the reader got no further, under c.mu, and returns what
// Read is to say about it.
func (c *Conn) readFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case c.err != nil:
		return c.opError("read", c.err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case (err == io.EOF || err == io.ErrUnexpectedEOF) && aborted(c.writeErr): // TLS says the latter
		err = c.opError("read", cause(c.writeErr))
	case err == io.EOF && c.frames.amidData():
		err = io.ErrUnexpectedEOF
	}
	c.gone = true
	c.timer.Stop()
	if c.readErr == nil {
		c.readErr = err
	}
	return c.readErr
}

// lookLater has the background look whether there are more Reads, under c.mu.
func (c *Conn) lookLater() {
	c.reads++
	if !c.watching && !c.gone && c.err == nil {
		c.watching = true
		c.watch.Reset(busyFor)
	}
}

// look reads in the background if there are no more Reads: so pings are answered,
// and the peer is heard, while the application has other things to do.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching = false
	switch {
	case c.err != nil || c.gone || c.reader != nobody:
	case c.reads != c.watched:
		c.watched = c.reads
		c.watching = true
		c.watch.Reset(busyFor)
	case len(c.pending) > maxPending/2:
		c.pause()
	default:
		c.readAhead()
	}
}

// readAhead reads until there is a Read or enough to read. c.mu is held, but not
// meanwhile.
func (c *Conn) readAhead() {
	c.reader = background
	b := make([]byte, smallRead)
	for !c.gone && c.err == nil && !c.wanted && len(c.pending) < maxPending {
		c.inner.SetReadDeadline(time.Time{}) // the application's, or what a Read has set to come between
		n, err := c.fillUnlocked(b)
		c.pending = append(c.pending, b[:n]...)
		c.readFailed(err)
	}
	c.reader = nobody
	c.inner.SetReadDeadline(c.readDeadline)
	signal(c.readWake)
	if !c.wanted && len(c.pending) >= maxPending {
		c.pause()
	} else {
		c.lookLater()
	}
}

// pause notes that nobody reads, for there is too much to read, under c.mu. The
// peer is not judged then; it is told each of its intervals that this side lives.
func (c *Conn) pause() {
	if !c.paused && !c.gone && c.err == nil {
		c.paused = true
		c.timer.Reset(time.Duration(c.peerInterval - (now() - c.sent.Load()))) // not at each pause, if they are many: that would be a flood
	}
}

// came deals with what is not data. The caller is the reader.
func (c *Conn) came(kind byte, payload []byte) error {
	number := uint32(0)
	if kind == framePing || kind == framePong {
		number = binary.BigEndian.Uint32(payload)
		if err := c.count(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case framePreface:
		ms := binary.BigEndian.Uint32(payload[len(magic):])
		if ms == 0 {
			return protocolError("the preface has an interval of 0")
		}
		c.peerInterval = int64(ms) * int64(time.Millisecond)
	case frameEnd:
		c.readErr = io.EOF
	case framePong:
		if number == c.pingNumber && c.pingAt != 0 {
			c.rtt.Store(max(now()-c.pingAt, 1))
			c.pingAt = 0
		}
	case framePing:
		if number == 0 {
			return protocolError("a ping has the number 0")
		}
		c.pongDue, c.pongNumber = true, number
		c.kick()
		if c.cfg.OnPing != nil {
			c.mu.Unlock()
			defer c.mu.Lock()
			c.cfg.OnPing(payload[numberLen:])
		}
	}
	return nil
}

// count counts a ping or pong from the peer. What it did not send for a while it
// may send later, as it must when this side has slept.
func (c *Conn) count() error {
	c.controls++
	t, ahead := clock()
	allowed := func(elapsed int64) int64 {
		return burst + perInterval*(elapsed/int64(c.cfg.Interval)+elapsed/c.peerInterval)
	}
	elapsed := t - c.start
	if c.controls <= allowed(elapsed) || c.controls <= allowed(elapsed+ahead-c.ahead) {
		return nil
	}
	return protocolError("the peer has sent %d pings and pongs in %v", c.controls, time.Duration(elapsed).Round(time.Millisecond))
}

// SetDeadline sets the deadlines of reads and writes, as in [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of reads, pending and later. The zero time is
// for none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.opError("set", c.err)
	}
	c.readDeadline = t
	if c.reader == background {
		signal(c.readWake)
		return nil
	}
	return c.inner.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of writes, pending and later. The zero time
// is for none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.opError("set", c.err)
	}
	c.writeDeadline = t
	if c.writer == background {
		signal(c.writeWake)
		return nil
	}
	return c.inner.SetWriteDeadline(t)
}

// Writing.

// Write writes data to the peer; see [Conn] for what it returns when the
// connection is over.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.beginWrite(); err != nil {
		return 0, err
	}
	most := maxData
	if !c.vectored {
		most = len(frameBuffer{}) - headLen
	}
	written := 0
	var err error
	for written < len(b) && err == nil {
		if err = c.sendControl(); err != nil {
			break
		}
		part := b[written:min(len(b), written+most)]
		var begun bool
		if begun, err = c.send(appendHead(c.head[:0], frameData, len(part)), part); begun {
			written += len(part)
		}
	}
	return written, c.endWrite(err)
}

// CloseWrite tells the peer that no more data comes: its Read returns [io.EOF]
// after what came before, a Write under way included. It waits for nothing.
// Heartbeats go on in both directions.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.opError("close", c.err)
	case c.writeErr != nil:
		return c.writeErr
	case !c.writeEnded:
		c.writeEnded, c.endDue = true, true
		c.kick()
	}
	return nil
}

// beginWrite makes the application the writer.
func (c *Conn) beginWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.err != nil:
			return c.opError("write", c.err)
		case c.writeEnded:
			return c.opError("write", errEnded)
		case c.writeErr != nil:
			return c.writeErr
		case passed(c.writeDeadline):
			return c.opError("write", os.ErrDeadlineExceeded)
		case c.writer == nobody:
			c.writer = application
			return nil
		}
		c.wait(c.writeWake, c.writeDeadline)
	}
}

var errEnded = errors.New("heartbeat: write after CloseWrite")

func (c *Conn) endWrite(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writer = nobody
	if c.pongDue || c.pingDue || c.endDue || len(c.rest) > 0 {
		c.kick()
	}
	switch {
	case err == nil:
		return nil
	case c.err != nil:
		return c.opError("write", c.err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case c.gone && c.readErr != io.EOF && c.readErr != io.ErrUnexpectedEOF:
		err = c.opError("write", cause(c.readErr)) // told to the reader alone
	}
	if c.writeErr == nil && aborted(err) {
		c.writeErr = err
	}
	return err
}

// cause is err without what the connection inside says about itself.
func cause(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// kick has the background send what is due, unless there is a writer, who sees to
// it in the end. c.mu is held.
func (c *Conn) kick() {
	if c.writer != nobody || c.err != nil {
		return
	}
	c.writer = background
	c.inner.SetWriteDeadline(time.Time{})
	go func() {
		err := c.sendControl()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && c.endDue { // after all data, for there is no Write
			c.endDue = false
			c.mu.Unlock()
			_, err = c.send(appendHead(c.head[:0], frameEnd, 0), nil)
			c.mu.Lock()
		}
		if err != nil && c.writeErr == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.writeErr = err
		}
		c.writer = nobody
		c.inner.SetWriteDeadline(c.writeDeadline)
		signal(c.writeWake)
		if err == nil && (c.pongDue || c.pingDue || c.endDue) {
			c.kick()
		}
	}()
}

// sendControl sends what is left of a frame, and the ping and pong that are due.
// The caller is the writer.
func (c *Conn) sendControl() error {
	c.mu.Lock()
	pong, number, ping := c.pongDue, c.pongNumber, c.pingDue
	c.pongDue, c.pingDue, c.pinging = false, false, ping
	c.mu.Unlock()
	if !pong && !ping && len(c.rest) == 0 {
		return nil
	}
	out := c.control[:0]
	if pong {
		out = binary.BigEndian.AppendUint32(appendHead(out, framePong, numberLen), number)
	}
	if ping {
		var payload []byte
		if c.cfg.Payload != nil {
			payload = c.cfg.Payload()
		}
		if len(payload) > longestPayload {
			err := fmt.Errorf("heartbeat: Payload has returned %d bytes: want %d at most", len(payload), longestPayload)
			c.fail(err)
			return err
		}
		c.mu.Lock()
		c.pingNumber = max(c.pingNumber+1, 1)
		c.pingAt = now()
		out = binary.BigEndian.AppendUint32(appendHead(out, framePing, numberLen+len(payload)), c.pingNumber)
		c.mu.Unlock()
		out = append(out, payload...)
	}
	c.control = out
	begun, err := c.send(out, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinging = false
	if ping && !errors.Is(err, os.ErrDeadlineExceeded) { // that is the application's, and no part of a verdict
		c.pingErr = err
	}
	if !begun && err != nil { // another may do better, at a later deadline
		if pong && !c.pongDue {
			c.pongDue, c.pongNumber = true, number
		}
		c.pingDue = ping
	}
	return err
}

type frameBuffer [16 << 10]byte

var frameBuffers = sync.Pool{New: func() any { return new(frameBuffer) }}

// send sends what is left of an earlier frame, and then head and body in one
// system call. When that ends before they are sent, it keeps the rest: begun tells
// that the frame counts as sent. The caller is the writer.
func (c *Conn) send(head, body []byte) (begun bool, err error) {
	if len(c.rest) > 0 {
		n, err := c.inner.Write(c.rest)
		if c.rest = c.rest[n:]; len(c.rest) > 0 {
			return false, shortWrite(err)
		}
		c.rest = nil
	}
	size := len(head) + len(body)
	if size == 0 {
		return true, nil
	}
	n := 0
	if c.vectored && len(body) > copied {
		c.vec = [2][]byte{head, body}
		c.buffers = c.vec[:]
		var long int64
		long, err = c.buffers.WriteTo(c.inner)
		if n = int(long); 0 < n && n < size {
			c.rest = slices.Concat(c.buffers...)
		}
		c.vec, c.buffers = [2][]byte{}, nil
	} else {
		buffer := frameBuffers.Get().(*frameBuffer)
		frame := append(append(buffer[:0], head...), body...)
		n, err = c.inner.Write(frame)
		if 0 < n && n < size {
			c.rest = slices.Clone(frame[n:])
		}
		frameBuffers.Put(buffer)
	}
	if n > 0 {
		c.sent.Store(now())
	}
	if n < size {
		err = shortWrite(err)
	}
	return n > 0, err
}

// shortWrite is err, or what is wrong if a connection wrote too little without one.
func shortWrite(err error) error {
	if err == nil {
		return io.ErrShortWrite
	}
	return err
}
