package idletimeout

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-keepalive/keepalive"
)

// Config is what to measure, and how.
type Config struct {
	Address string // host:port
	Limits  Limits
	TLS     bool   // do a TLS handshake
	Send    []byte // what to send when a connection is open, or nil

	// These functions are called by Measure, if they are not nil.
	Connected func(net.Addr)
	Found     func(Finding)
	Progress  func(Progress) // every second
}

const (
	openInterval = 10 * time.Millisecond // between two connections
	dialTimeout  = 10 * time.Second
	// lostTimeout is the time after which the measurement ends if there is no connection.
	lostTimeout = time.Minute
	// outageTimeout is the time after which it ends if no connection answers.
	outageTimeout = 5 * time.Minute
	// maxReceived is the number of bytes of all connections after which it ends.
	maxReceived = 64 << 20
)

// measurement is the network of a search.
type measurement struct {
	Config
	ctx      context.Context
	start    time.Time
	search   *search
	first    *net.TCPConn // not yet used
	address  string       // that all connections are opened to
	sockets  map[*conn]*socket
	events   chan func()
	nextOpen time.Duration // when the next connection may be opened
	received atomic.Int64  // bytes of data, of all connections
	polled   time.Duration // when the sockets were read last
	lost     time.Duration // since when there has been no connection, or 0
	lastErr  error         // of opening a connection
	failed   error         // that ends the measurement
}

// Measure measures the idle timeout of the path to a server. If it returns an error, for example
// because ctx is done, the result has what is known so far.
func Measure(ctx context.Context, config Config) (Result, error) {
	first, err := dial(ctx, config.Address)
	if errors.Is(err, syscall.ECONNRESET) { // the server has reset it at once, as it may do later
		return Result{Verdict: ServerCloses, Closed: &Closing{Reset: true}, Refused: 1}, nil
	}
	if err != nil {
		return Result{}, err
	}
	if err := checkKernel(first); err != nil {
		first.Close()
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &measurement{
		Config:  config,
		ctx:     ctx,
		start:   time.Now(),
		first:   first,
		address: first.RemoteAddr().String(),
		sockets: make(map[*conn]*socket),
		events:  make(chan func()),
	}
	if m.Connected != nil {
		m.Connected(first.RemoteAddr())
	}
	m.search = newSearch(m, config.Limits)
	defer func() {
		cancel()
		for c := range m.sockets {
			m.close(c)
		}
	}()
	return m.run()
}

func (m *measurement) run() (Result, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	progress := time.NewTicker(time.Second)
	defer progress.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return m.search.partial(), m.ctx.Err()
		case event := <-m.events:
			event()
		case <-progress.C:
			if m.Progress != nil {
				m.Progress(m.search.progress())
			}
		case <-ticker.C:
			m.poll()
			result, done := m.search.step(m.now())
			m.report()
			if done {
				return result, nil
			}
			if err := m.checkLost(); err != nil {
				return m.search.partial(), err
			}
		}
	}
}

func (m *measurement) now() time.Duration { return time.Since(m.start) }

func (m *measurement) report() {
	for _, f := range m.search.evidence.found {
		if m.Found != nil {
			m.Found(f)
		}
	}
	m.search.evidence.found = nil
}

// checkLost returns an error if the first connection could not be used, or if no connection
// could be opened for a long time.
func (m *measurement) checkLost() error {
	switch {
	case m.failed != nil:
		return m.failed
	case m.search.outage.known && m.now()-m.search.outage.heard > outageTimeout:
		return fmt.Errorf("the network has been down for %v", outageTimeout)
	case len(m.sockets) > 0 || m.lastErr == nil:
		m.lost = 0
	case m.lost == 0:
		m.lost = m.now()
	case m.now()-m.lost > lostTimeout:
		return fmt.Errorf("no connection could be opened for %v: %w", lostTimeout, m.lastErr)
	}
	return nil
}

// post has the goroutine of run call f.
func (m *measurement) post(f func()) {
	select {
	case m.events <- f:
	case <-m.ctx.Done():
	}
}

func (m *measurement) open(c *conn) {
	first := m.first
	m.first = nil
	wait := max(0, m.nextOpen-m.now())
	m.nextOpen = m.now() + wait + openInterval
	go func() {
		s, err := m.connect(first, wait)
		if err != nil {
			m.post(func() { m.notOpened(c, err) })
			return
		}
		m.post(func() { m.opened(c, s) })
		s.read(m, c)
	}()
}

// connect returns a connection that is ready to be idle. tcp is used if it is not nil.
func (m *measurement) connect(tcp *net.TCPConn, wait time.Duration) (s *socket, err error) {
	if tcp == nil {
		select {
		case <-time.After(wait):
		case <-m.ctx.Done():
			return nil, m.ctx.Err()
		}
		if tcp, err = dial(m.ctx, m.address); err != nil {
			return nil, err
		}
	}
	s = &socket{tcp: tcp, stream: tcp}
	defer func() {
		if err != nil {
			tcp.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	defer cancel()
	if m.TLS {
		host, _, _ := net.SplitHostPort(m.Address)
		t := tls.Client(tcp, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		s.stream = t
	}
	if len(m.Send) > 0 {
		if _, err := s.stream.Write(m.Send); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (m *measurement) notOpened(c *conn, err error) {
	if (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) && !m.TLS {
		m.search.resetAtOnce(c, m.now())
		return
	}
	m.lastErr = err
	if c.control && m.search.started == 0 {
		m.failed = err // the first one, so that others fail as well
	}
	m.search.notOpened(c, m.now())
}

func (m *measurement) opened(c *conn, s *socket) {
	i, err := s.info()
	if err != nil || c.phase == ended { // the server has closed it already
		s.tcp.Close()
		if err != nil {
			m.search.refused++
		}
		m.search.remove(c)
		return
	}
	m.lastErr = nil
	s.segments, s.dataSegments = i.segments, i.dataSegments
	m.sockets[c] = s
	m.search.opened(c, m.now()-i.silence, i.rtt)
	if c.control {
		m.keepAlive(s, controlProbes)
	}
}

// controlProbes is the number of probes after which the kernel drops the control connection.
const controlProbes = 120

// keepAlive has the kernel send a probe at once if the connection has been idle for a second,
// and then every second.
func (m *measurement) keepAlive(s *socket, count int) {
	// It fails only if the connection has ended, which Read returns.
	_ = keepalive.Enable(s.tcp, keepalive.Options{Idle: time.Second, Interval: time.Second, Count: count})
}

func (m *measurement) probe(c *conn) time.Duration {
	m.keepAlive(m.sockets[c], probeCount)
	return m.now()
}

func (m *measurement) close(c *conn) {
	if s := m.sockets[c]; s != nil {
		s.tcp.Close()
		delete(m.sockets, c)
	}
}

// poll looks for segments that have arrived.
func (m *measurement) poll() {
	last := m.polled
	m.polled = m.now()
	for c, s := range m.sockets {
		i, err := s.info()
		now := m.now()
		if err != nil || !i.established || i.segments == s.segments {
			continue // if the connection has ended, Read returns
		}
		data := i.dataSegments != s.dataSegments
		s.segments, s.dataSegments = i.segments, i.dataSegments
		at := max(last, now-i.silence)
		switch {
		case c.phase == probing:
			_ = keepalive.Disable(s.tcp)
			m.search.answered(c, at)
		case data:
			m.search.idleFrom(c, now, max(pollInterval, now-last)) // Read returns, perhaps later
		case c.control:
			m.search.answered(c, at)
		default:
			m.search.arrived(c, now, now-last, false, "")
		}
	}
}

// arrived is called when Read has returned data.
func (m *measurement) arrived(c *conn, at time.Duration, text string) {
	if m.sockets[c] == nil {
		return
	}
	if c.phase == probing {
		_ = keepalive.Disable(m.sockets[c].tcp)
		m.search.answered(c, at)
	}
	m.search.arrived(c, at, pollInterval, true, text)
}

// ended is called when Read has returned an error.
func (m *measurement) ended(c *conn, at time.Duration, err error) {
	if m.sockets[c] == nil {
		return
	}
	m.close(c)
	reset := errors.Is(err, syscall.ECONNRESET)
	eof := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if (c.phase == probing || c.control) && !reset && !eof {
		m.search.dropped(c, at)
		return
	}
	m.search.closedByPeer(c, at, reset)
}

func dial(ctx context.Context, address string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func (s *search) progress() Progress {
	low, high := s.bounds(late)
	p := Progress{Low: low, High: high, Down: s.outage.down(s.now)}
	last := time.Duration(0)
	for _, c := range s.conns {
		if c.target == 0 {
			continue
		}
		in := max(0, c.target-c.idleFor(s.now))
		if p.Next == 0 || in < p.In {
			p.Next, p.In = c.target, in
		}
		last = max(last, in)
	}
	p.Left = last + 5*time.Second
	if high == 0 {
		p.Left += s.limits.Max + 5*time.Second // to divide the last range
	}
	return p
}

// notOpened is called when c could not be opened.
func (s *search) notOpened(c *conn, now time.Duration) {
	s.remove(c)
	s.retry = now + time.Second
}

// resetAtOnce is called when the server has reset c before it was open.
func (s *search) resetAtOnce(c *conn, now time.Duration) {
	s.refused++
	if s.started == 0 {
		s.started = max(now, 1)
	}
	s.notOpened(c, now)
}
