package keepalive_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// accepted returns the far end of a fresh connection to l, and its near end.
func accepted(t *testing.T, l net.Listener, d *net.Dialer) (far, near net.Conn) {
	t.Helper()
	if d == nil {
		d = &net.Dialer{KeepAlive: -1}
	}
	near, err := d.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { near.Close() })
	far, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })
	return far, near
}

func TestListenConfig(t *testing.T) {
	t.Parallel()
	times := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 5}
	all := times
	all.UserTimeout = 80 * time.Second
	for name, o := range map[string]keepalive.Options{
		"times": times, "all": all, "on": {}, "off": {Disabled: true}, "idle": {Idle: 45 * time.Second},
		"no user timeout": {Idle: 45 * time.Second, UserTimeout: keepalive.NoUserTimeout},
	} {
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				t.Parallel()
				hooked := 0
				given := &net.ListenConfig{Control: func(string, string, syscall.RawConn) error { hooked++; return nil }, KeepAlive: 33 * time.Second}
				addr := "127.0.0.1:0"
				if network == "tcp6" {
					addr = "[::1]:0"
				}
				l, err := keepalive.ListenConfig(given, o).Listen(context.Background(), network, addr)
				if err != nil && network == "tcp6" {
					t.Skipf("not supported here: %v", err)
				}
				require.NoError(t, err)
				defer l.Close()
				assert.Positive(t, hooked)
				assert.Equal(t, 33*time.Second, given.KeepAlive, "unchanged")

				fresh, _ := testpeer.New(t, network)
				want, err := keepalive.Get(fresh)
				testpeer.SkipIfUnsupported(t, err)
				far, _ := accepted(t, l, nil)
				assert.IsType(t, &net.TCPConn{}, far)
				if !keepalive.InheritsUserTimeout() {
					o.UserTimeout = 0 // as documented
				}
				got := inForce(t, far, o)
				for f := range keepalive.NumFields { // what o leaves alone is the system's, not package net's
					if f.Of(o) == 0 {
						assert.Equal(t, f.Of(want), f.Of(got), f.String())
					}
				}
			})
		}
	}
}

func TestListenConfigErrors(t *testing.T) {
	t.Parallel()
	_, err := keepalive.ListenConfig(nil, keepalive.Options{Interval: -1}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	var oe *keepalive.OptionError
	require.ErrorAs(t, op.Err, &oe)
	assert.Equal(t, "Interval", oe.Option)

	mine := errors.New("mine")
	lc := &net.ListenConfig{Control: func(string, string, syscall.RawConn) error { return mine }}
	_, err = keepalive.ListenConfig(lc, keepalive.Options{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, mine)
}

// limited is how netutil.LimitListener wraps connections.
type limited struct{ net.Listener }

func (l limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &embedsConn{c}, err
}

// hiding wraps connections so that the connection inside is not accessible.
type hiding struct{ net.Listener }

type hides struct {
	hidden
	c net.Conn
}

func (h hides) LocalAddr() net.Addr { return h.c.LocalAddr() }
func (h hides) Close() error        { return h.c.Close() }

func (l hiding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return hides{c: c}, err
}

func TestListener(t *testing.T) {
	t.Parallel()
	o := keepalive.Options{Idle: 46 * time.Second, Interval: 16 * time.Second, Count: 6, UserTimeout: 70 * time.Second}
	for name, c := range map[string]struct {
		wrap func(t *testing.T, l net.Listener) net.Listener
		conn net.Conn // of the type that is accepted
	}{
		"plain": {func(_ *testing.T, l net.Listener) net.Listener { return l }, &net.TCPConn{}},
		"FileListener": {func(t *testing.T, l net.Listener) net.Listener {
			f, err := l.(*net.TCPListener).File()
			if err != nil {
				t.Skipf("not supported here: %v", err)
			}
			defer f.Close()
			fl, err := net.FileListener(f)
			require.NoError(t, err)
			t.Cleanup(func() { fl.Close() })
			return fl
		}, &net.TCPConn{}},
		"tls.NewListener": {func(_ *testing.T, l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }})
		}, &tls.Conn{}},
		"LimitListener": {func(_ *testing.T, l net.Listener) net.Listener { return limited{l} }, &embedsConn{}},
		"both": {func(_ *testing.T, l net.Listener) net.Listener {
			return tls.NewListener(limited{l}, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }})
		}, &tls.Conn{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			var failed error
			far, _ := accepted(t, keepalive.Listener{Listener: c.wrap(t, l), Options: o, OnError: func(_ net.Conn, err error) { failed = err }}, nil)
			assert.IsType(t, c.conn, far)
			if failed != nil {
				require.ErrorIs(t, failed, errors.ErrUnsupported)
			}
			inForce(t, far, o)
		})
	}
}

// awaitsEnd accepts connections that have ended.
type awaitsEnd struct{ net.Listener }

func (l awaitsEnd) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, end := conn.Read(make([]byte, 1)); errors.Is(end, os.ErrDeadlineExceeded) {
		conn.Close()
		return nil, end
	}
	return conn, nil
}

func TestListenerErrors(t *testing.T) {
	t.Parallel()
	type report struct {
		conn net.Conn
		err  error
	}
	var reports []report
	onError := func(c net.Conn, err error) { reports = append(reports, report{c, err}) }
	t.Run("unix passes through", func(t *testing.T) {
		dir, err := os.MkdirTemp("", "ka")
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		l, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Skipf("not supported here: %v", err)
		}
		t.Cleanup(func() { l.Close() })
		far, _ := accepted(t, keepalive.Listener{Listener: l, OnError: onError}, nil)
		assert.IsType(t, &net.UnixConn{}, far)
		assert.Empty(t, reports)
	})
	t.Run("a value out of range", func(t *testing.T) {
		reports = nil
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		far, _ := accepted(t, keepalive.Listener{Listener: l, Options: keepalive.Options{Idle: -1}, OnError: onError}, nil)
		require.Len(t, reports, 1)
		assert.Same(t, far, reports[0].conn)
		_, err = far.Write([]byte{1})
		assert.NoError(t, err, "it is alive")
		var oe *keepalive.OptionError
		require.ErrorAs(t, reports[0].err, &oe)
		accepted(t, keepalive.Listener{Listener: l, Options: keepalive.Options{Idle: -1}}, nil) // nobody to tell
	})
	t.Run("dead before it was accepted", func(t *testing.T) {
		reports = nil
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		near, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		near.(*net.TCPConn).SetLinger(0)
		near.Close() // with an RST
		l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
		first, err := keepalive.Listener{Listener: awaitsEnd{l}, OnError: onError}.Accept()
		if err != nil {
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			t.Skipf("not supported here: this system does not hand out connections that are dead: %v", err)
		}
		defer first.Close()
		if len(reports) == 0 {
			testpeer.SkipIfUnsupported(t, keepalive.Enable(first, keepalive.Options{})) // nothing works here
		}
		require.Len(t, reports, 1)
		assert.Same(t, first, reports[0].conn)
		assert.Truef(t, notConnected(reports[0].err), "%v", reports[0].err)
	})
	t.Run("no way to the socket", func(t *testing.T) {
		reports = nil
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		accepted(t, keepalive.Listener{Listener: hiding{l}, OnError: onError}, nil)
		require.Len(t, reports, 1)
		assert.ErrorContains(t, reports[0].err, "cannot find the socket of keepalive_test.hidden")
		assert.NotErrorIs(t, reports[0].err, errors.ErrUnsupported)
	})
	t.Run("closed", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l.Close()
		_, err = keepalive.Listener{Listener: l}.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// TestStorm dials and accepts 10,000 connections, 800 with -short, and reads each back on both
// sides. It runs alone, so that its descriptors can be counted.
func TestStorm(t *testing.T) {
	conn, _ := testpeer.New(t, "tcp")
	near := keepalive.Options{Idle: 44 * time.Second, Interval: 14 * time.Second, Count: 4}
	far := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 5}
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, near))
	descriptors := func() int {
		fds, _ := os.ReadDir("/proc/self/fd")
		return len(fds)
	}
	before := descriptors()

	const workers = 8
	total := 10_000
	if testing.Short() { // emulated systems
		total = 800
	}
	l, err := keepalive.ListenConfig(nil, far).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepted, wrong atomic.Int64
	check := func(conn net.Conn, want keepalive.Options) {
		got, err := keepalive.Get(conn)
		if err != nil || got.Idle != want.Idle || got.Interval != want.Interval || got.Count != want.Count || got.Disabled {
			wrong.Add(1)
			t.Errorf("%+v, %v", got, err)
		}
	}
	var server, clients sync.WaitGroup
	server.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			server.Go(func() {
				check(c, far)
				c.Write([]byte{1})
				c.Read(make([]byte, 1)) // until the client is done
				c.Close()
			})
		}
	})
	d := keepalive.Dialer(&net.Dialer{Timeout: 20 * time.Second}, near)
	for range workers {
		clients.Go(func() {
			for range total / workers {
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				check(c, near)
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				c.(*net.TCPConn).SetLinger(0) // no port is left in TIME_WAIT
				c.Close()
			}
		})
	}
	clients.Wait()
	l.Close()
	server.Wait()
	assert.EqualValues(t, total, accepted.Load())
	assert.Zero(t, wrong.Load())
	if before == 0 {
		t.Logf("%s does not show a process's descriptors in /proc", runtime.GOOS)
	}
	// Under Wine each thread has some of its own.
	assert.LessOrEqual(t, descriptors(), before+total/20, "no descriptor leaked")
}

// blocking is a connection whose addresses are not known before data arrives, as of
// armon/go-proxyproto.
type blocking struct{ hidden }

func (blocking) LocalAddr() net.Addr  { select {} }
func (blocking) RemoteAddr() net.Addr { select {} }

type blockingListener struct{ net.Listener }

func (blockingListener) Accept() (net.Conn, error) { return blocking{}, nil }

// TestListenerDoesNotBlock: one silent client must not block Accept.
func TestListenerDoesNotBlock(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	go keepalive.Listener{Listener: blockingListener{}, OnError: func(_ net.Conn, err error) { done <- err }}.Accept()
	select {
	case err := <-done:
		assert.ErrorContains(t, err, "cannot find the socket of keepalive_test.")
	case <-time.After(20 * time.Second):
		t.Fatal("Accept blocks")
	}
}
