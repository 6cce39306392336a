package keepalive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDiagnose has every cause happen.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	quick := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}
	read := func(conn net.Conn) error {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := conn.Read(make([]byte, 1))
		return err
	}
	for name, c := range map[string]struct {
		want    keepalive.Cause
		provoke func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error
	}{
		"deaf peer": {keepalive.Dead, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			if err := keepalive.Enable(conn, quick); !errors.Is(err, errors.ErrUnsupported) {
				require.NoError(t, err)
			}
			testpeer.SkipIfUnsupported(t, far.Deaf())
			return read(conn)
		}},
		"deaf peer, data in flight": {keepalive.Dead, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Second}))
			testpeer.SkipIfUnsupported(t, far.Deaf())
			_, err := conn.Write([]byte{1})
			require.NoError(t, err)
			return read(conn)
		}},
		"vanished peer": {keepalive.Reset, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			testpeer.SkipIfUnsupported(t, far.Vanish())
			_, err := conn.Write([]byte{1})
			require.NoError(t, err)
			return read(conn)
		}},
		"RST": {keepalive.Reset, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			require.NoError(t, far.Reset())
			return read(conn)
		}},
		"writing after the end": {keepalive.Reset, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			require.NoError(t, far.Reset())
			read(conn)
			_, err := conn.Write([]byte{1})
			return err
		}},
		"read deadline": {keepalive.Deadline, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := conn.Read(make([]byte, 1))
			return err
		}},
		"write deadline": {keepalive.Deadline, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			conn.SetWriteDeadline(time.Now().Add(-time.Second))
			_, err := conn.Write([]byte{1})
			return err
		}},
		"closed here": {keepalive.Closed, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			conn.Close()
			return read(conn)
		}},
		"closed here, while reading": {keepalive.Closed, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			time.AfterFunc(10*time.Millisecond, func() { conn.Close() })
			return read(conn)
		}},
		"orderly end": {keepalive.EOF, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			far.Close()
			return read(conn)
		}},
		"dial refused": {keepalive.Reset, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			l.Close()
			_, err = net.DialTimeout("tcp", l.Addr().String(), 20*time.Second)
			return err
		}},
		"dial timeout": {keepalive.Deadline, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			_, err := net.DialTimeout("tcp", "127.0.0.1:1", time.Nanosecond)
			return err
		}},
		"dial canceled": {keepalive.Closed, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
			return err
		}},
		"http client timeout": {keepalive.Deadline, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			done := make(chan bool)
			s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
			t.Cleanup(s.Close)
			t.Cleanup(func() { close(done) })
			client := http.Client{Timeout: 50 * time.Millisecond}
			_, err := client.Get(s.URL)
			return err
		}},
		"http response header timeout": {keepalive.Deadline, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			done := make(chan bool)
			s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
			t.Cleanup(s.Close)
			t.Cleanup(func() { close(done) })
			client := http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 50 * time.Millisecond}}
			_, err := client.Get(s.URL)
			return err
		}},
		"pipe closed here": {keepalive.Closed, func(t *testing.T, conn *net.TCPConn, far *testpeer.Far) error {
			a, _ := net.Pipe()
			a.Close()
			_, err := a.Write([]byte{1})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, far := testpeer.New(t, "tcp")
			err := c.provoke(t, conn, far)
			require.Error(t, err)
			if c.want == keepalive.Reset && err == io.EOF && reset(err) {
				t.Skip("not supported here: Wine 8 reports a reset as io.EOF")
			}
			if untranslated(err) {
				t.Skipf("not supported here: qemu-user does not translate the error number: %v", err)
			}
			t.Logf("%v: %v", c.want, err)
			assert.Equal(t, c.want, keepalive.Diagnose(err), "%#v", err)
			assert.Equal(t, c.want, keepalive.Diagnose(&url.Error{Op: "Get", URL: "http://x", Err: fmt.Errorf("a library: %w", errors.Join(errors.New("else"), err))}), "wrapped")
			if c.want == keepalive.Dead {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "here is the trap")
				}
			}
		})
	}
}

// fakeErr is an error with any of the methods that Diagnose looks for.
type fakeErr struct {
	timeout, dead bool
	is            error
	wraps         []error
}

func (fakeErr) Error() string          { return "fake" }
func (m fakeErr) Timeout() bool        { return m.timeout }
func (m fakeErr) PeerDead() bool       { return m.dead }
func (m fakeErr) Is(target error) bool { return m.is != nil && target == m.is }
func (m fakeErr) Unwrap() []error      { return m.wraps }

// quicErr matches net.ErrClosed as the errors of QUIC do, although the peer or a timeout ended
// the connection.
type quicErr struct{ timeout, wraps bool }

// quicErrs has the other form of Unwrap.
type quicErrs struct{}

func (quicErrs) Error() string   { return "quic" }
func (quicErrs) Unwrap() []error { return []error{net.ErrClosed, errors.New("x")} }

func (quicErr) Error() string        { return "quic" }
func (e quicErr) Timeout() bool      { return e.timeout }
func (quicErr) Is(target error) bool { return target == net.ErrClosed }
func (e quicErr) Unwrap() error {
	if e.wraps {
		return net.ErrClosed
	}
	return nil
}

func TestDiagnoseTrees(t *testing.T) {
	t.Parallel()
	for want, errs := range map[keepalive.Cause][]error{
		keepalive.Unknown: {
			nil, errors.New("timeout"), &net.OpError{Op: "read"},
			fakeErr{}, fakeErr{is: net.ErrClosed}, quicErr{}, quicErr{wraps: true}, quicErrs{}, errors.Join(errors.New("a"), errors.New("b")), keepalive.ErrNotTCP,
			&net.DNSError{Err: "no such host"},
		},
		keepalive.Dead: {fakeErr{dead: true}, fmt.Errorf("%w, %w", errors.New("x"), fakeErr{dead: true, timeout: true})},
		keepalive.Deadline: {
			os.ErrDeadlineExceeded, context.DeadlineExceeded, fakeErr{timeout: true}, fakeErr{is: context.DeadlineExceeded},
			fakeErr{timeout: true, wraps: []error{errors.New("else")}}, fmt.Errorf("%w (%w)", context.DeadlineExceeded, io.EOF),
			&net.DNSError{IsTimeout: true}, fakeErr{timeout: true, is: net.ErrClosed}, quicErr{timeout: true}, quicErr{timeout: true, wraps: true},
		},
		keepalive.Closed: {net.ErrClosed, os.ErrClosed, io.ErrClosedPipe, context.Canceled, fakeErr{is: context.Canceled},
			&net.OpError{Op: "read", Err: net.ErrClosed}, fmt.Errorf("x: %w", net.ErrClosed), errors.Join(net.ErrClosed)},
		keepalive.EOF: {io.EOF, io.ErrUnexpectedEOF, fmt.Errorf("header: %w", io.EOF), errors.Join(io.EOF, net.ErrClosed), fakeErr{timeout: true, wraps: []error{io.EOF}}},
	} {
		for _, err := range errs {
			assert.Equalf(t, want, keepalive.Diagnose(err), "%#v", err)
		}
	}
}

func TestCauseText(t *testing.T) {
	t.Parallel()
	for cause, want := range map[keepalive.Cause]string{
		keepalive.Unknown: "unknown", keepalive.Dead: "dead", keepalive.Reset: "reset", keepalive.Unreachable: "unreachable", keepalive.Deadline: "deadline", keepalive.Closed: "closed", keepalive.EOF: "EOF",
	} {
		assert.Equal(t, want, cause.String())
		b, err := json.Marshal(map[string]keepalive.Cause{"cause": cause})
		require.NoError(t, err)
		assert.Equal(t, `{"cause":"`+want+`"}`, string(b))
		var back map[string]keepalive.Cause
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, cause, back["cause"])
	}
	assert.Equal(t, "unknown", keepalive.Cause(99).String())
	c := keepalive.Reset
	require.EqualError(t, c.UnmarshalText([]byte("eof")), `keepalive: invalid cause "eof": must be one of unknown, dead, reset, unreachable, deadline, closed, EOF`)
	assert.Equal(t, keepalive.Reset, c)

	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cause", keepalive.Dead)
	assert.Contains(t, out.String(), `"cause":"dead"`)
}
