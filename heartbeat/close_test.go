package heartbeat_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnClose: it ends what is pending, on both ends.
func TestConnClose(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, cfg10s)
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { _, err := near.Read(make([]byte, 1)); assert.ErrorIs(t, err, net.ErrClosed) })
		wg.Go(func() { _, err := far.Read(make([]byte, 1)); assert.Equal(t, io.EOF, err) })
		time.Sleep(time.Second)
		assert.NoError(t, near.Close())
		wg.Wait()
		assert.ErrorIs(t, near.Close(), net.ErrClosed)
		_, err := near.Read(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed)
		_, err = near.Write(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, near.SetDeadline(time.Time{}), net.ErrClosed)
		assert.ErrorIs(t, near.CloseWrite(), net.ErrClosed)
		time.Sleep(time.Hour)
		_, err = far.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err, "it is not dead, it has closed")
	})
}

// TestConnCloseWriting: Close ends a Write that is pending.
func TestConnCloseWriting(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, wait := range []time.Duration{0, time.Second, 11 * time.Second} {
			c, r := rawPeer(t, cfg10s)
			go r.Write([]byte(heartbeat.Preface(time.Hour)))
			var wg sync.WaitGroup
			wg.Go(func() { _, err := c.Write(make([]byte, 1<<20)); assert.ErrorIs(t, err, net.ErrClosed) })
			time.Sleep(wait)
			c.Close()
			wg.Wait()
		}
	})
}

// TestConnCloseDelivers: what was written arrives, though the peer is slow and sends
// heartbeats to a connection that is closed.
func TestConnCloseDelivers(t *testing.T) {
	t.Parallel()
	a, b := tcpPair(t)
	near, far := wrap(t, a, b, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Millisecond, Timeout: time.Minute, Jitter: 1}})
	data := random(4 << 20)
	go func() {
		_, err := near.Write(data)
		assert.NoError(t, err)
		assert.NoError(t, near.Close())
	}()
	var got []byte
	for len(got) < len(data) {
		time.Sleep(2 * time.Millisecond) // as an application does that has other work
		part := make([]byte, 100<<10)
		n, err := far.Read(part)
		require.NoError(t, err)
		got = append(got, part[:n]...)
	}
	requireEqualBytes(t, data, got)
	_, err := far.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
}

// TestConnLeavesNothing: over TCP, where Close leaves a goroutine for a while, that
// ends when the other end has closed, or after Timeout.
func TestConnLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	until := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(time.Millisecond) {
			if time.Since(start) > 20*time.Second {
				t.Fatal(what)
			}
		}
	}
	for range 50 {
		a, b := tcpPair(t)
		near, far := wrap(t, a, b, minute)
		go io.Copy(io.Discard, far)
		near.Write([]byte{1})
		near.Close()
		far.Close()
	}
	until("goroutines are left", func() bool { return runtime.NumGoroutine() <= before })

	a, _ := tcpPair(t) // whose other end does nothing
	start := time.Now()
	c, err := heartbeat.NewConn(a, quick)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	assert.Less(t, time.Since(start), quick.Timeout)
	until("the socket is not closed", func() bool { return errors.Is(a.SetNoDelay(true), net.ErrClosed) })
	assert.GreaterOrEqual(t, time.Since(start), quick.Timeout)
}

// TestConnCutOff: only an end frame is the end of the data.
func TestConnCutOff(t *testing.T) {
	virtual(t, func(t *testing.T) {
		hello := heartbeat.Preface(time.Second)
		data := heartbeat.Frame(heartbeat.FrameData, "12345678")
		for sent, want := range map[string]error{
			"":                             io.ErrUnexpectedEOF,
			heartbeat.Magic:                io.ErrUnexpectedEOF,
			hello:                          io.ErrUnexpectedEOF,
			hello + data[:4]:               io.ErrUnexpectedEOF,
			hello + data[:1]:               io.ErrUnexpectedEOF,
			hello + "\x02\x00\x00\x04\x01": io.ErrUnexpectedEOF,
			hello + heartbeat.Frame(heartbeat.FrameEnd, ""):           io.EOF,
			hello + heartbeat.Frame(heartbeat.FrameEnd, "") + "\x02":  io.EOF,
			hello + heartbeat.Frame(heartbeat.FrameEnd, "")[:2]:       io.ErrUnexpectedEOF,
			hello + heartbeat.Numbered(heartbeat.FramePong, 0, ""):    io.ErrUnexpectedEOF,
			hello + heartbeat.Numbered(heartbeat.FramePing, 1, "abc"): io.ErrUnexpectedEOF,
		} {
			c, r := rawPeer(t, cfg10s)
			r.drain()
			r.send(sent)
			r.Close()
			for range 2 {
				_, err := c.Read(make([]byte, 1))
				assert.Equalf(t, want, err, "%q", sent)
			}
			c.Close()
		}
	})
}

// TestConnAborted: a Conn that ends because of an error does not end the data.
func TestConnAborted(t *testing.T) {
	t.Parallel()
	for name, abort := range map[string]func(c *heartbeat.Conn){
		"Payload":   func(c *heartbeat.Conn) { c.Read(make([]byte, 1)) },
		"protocol":  (*heartbeat.Conn).FailProtocol,
		"dead peer": (*heartbeat.Conn).FailDead,
		"NetConn":   func(c *heartbeat.Conn) { c.NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := net.Pipe() // TCP reports a reset if the preface of far was not read
			far, err := heartbeat.NewConn(b, minute)
			require.NoError(t, err)
			defer far.Close()
			cfg := minute
			var tooLong atomic.Bool
			if name == "Payload" {
				cfg.Interval = 100 * time.Millisecond
				cfg.Payload = func() []byte {
					if !tooLong.Load() {
						return nil
					}
					return make([]byte, heartbeat.MaxPingPayload+1)
				}
			}
			near, err := heartbeat.NewConn(a, cfg)
			require.NoError(t, err)
			defer near.Close()
			_, err = near.Write([]byte("abc"))
			require.NoError(t, err)
			far.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = io.ReadFull(far, make([]byte, 3))
			require.NoError(t, err)
			tooLong.Store(true)
			abort(near)
			near.Close()
			_, err = far.Read(make([]byte, 1))
			assert.Equal(t, io.ErrUnexpectedEOF, err)
		})
	}
}

// TestConnCloseWriteFull: CloseWrite returns at once, also if the buffer is full. The end is sent
// after all data.
func TestConnCloseWriteFull(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}})
		near.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := near.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		start := time.Now()
		require.NoError(t, near.CloseWrite())
		require.NoError(t, near.CloseWrite(), "it is closed")
		assert.Zero(t, time.Since(start))
		near.SetWriteDeadline(time.Time{})
		_, err = near.Write([]byte{1})
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, "write after CloseWrite")
		time.Sleep(time.Hour)
		got, err := io.Copy(io.Discard, far)
		require.NoError(t, err)
		assert.EqualValues(t, n, got)
		near.Close()
		far.Close()
	})
}

// noDeadlines is a connection like the channel of x/crypto/ssh: it has CloseWrite and no
// deadlines.
type noDeadlines struct{ net.Conn }

var errNoDeadlines = errors.New("deadlines are not supported")

func (noDeadlines) SetDeadline(time.Time) error      { return errNoDeadlines }
func (noDeadlines) SetReadDeadline(time.Time) error  { return errNoDeadlines }
func (noDeadlines) SetWriteDeadline(time.Time) error { return errNoDeadlines }
func (noDeadlines) CloseWrite() error                { return nil }

// TestConnNoDeadlines: deadlines of a Conn work without those of the connection inside,
// Close ends what is pending, and the peer gets everything and the end.
func TestConnNoDeadlines(t *testing.T) {
	virtual(t, func(t *testing.T) {
		a, b := net.Pipe()
		near, far := wrap(t, noDeadlines{a}, noDeadlines{b}, cfg10s)
		start := time.Now()
		near.SetDeadline(start.Add(time.Second))
		_, err := near.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		data := random(100 << 10)
		n, err := near.Write(data)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		near.SetDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := near.Read(make([]byte, 1))
			assert.ErrorIs(t, err, net.ErrClosed)
		})
		var written int
		wg.Go(func() {
			var err error
			written, err = near.Write(data[n:]) // far does not read, so this one does not end
			assert.ErrorIs(t, err, net.ErrClosed)
		})
		time.Sleep(time.Minute)
		require.NoError(t, near.Close())
		wg.Wait()
		assert.Equal(t, time.Minute+time.Second, time.Since(start))
		got, err := io.ReadAll(far)
		assert.NoError(t, err)
		requireEqualBytes(t, data[:n+written], got)
		far.Close()
	})
}

// timeouts is a connection that reports deadlines like the streams of yamux and smux.
type timeouts struct{ net.Conn }

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o deadline reached" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func own(n int, err error) (int, error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = timeoutError{}
	}
	return n, err
}

func (c timeouts) Read(b []byte) (int, error)  { return own(c.Conn.Read(b)) }
func (c timeouts) Write(b []byte) (int, error) { return own(c.Conn.Write(b)) }

// TestConnOwnTimeouts: a deadline on the connection inside does not end the Conn, whatever error the
// connection inside returns.
func TestConnOwnTimeouts(t *testing.T) {
	virtual(t, func(t *testing.T) {
		a, b := net.Pipe()
		near, far := wrap(t, timeouts{a}, timeouts{b}, cfg10s)
		data := random(100 << 10)
		wrote := make(chan error, 1)
		time.AfterFunc(10*time.Second, func() { // as no application should
			near.NetConn().SetDeadline(time.Now())
			far.NetConn().SetDeadline(time.Now())
		})
		go func() {
			for sent := 0; sent < len(data); {
				near.SetWriteDeadline(time.Now().Add(time.Second))
				n, err := near.Write(data[sent:])
				sent += n
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					wrote <- err
					return
				}
			}
			wrote <- near.CloseWrite()
		}()
		got, err := io.ReadAll(iotestSlow{far})
		require.NoError(t, err)
		requireEqualBytes(t, data, got)
		require.NoError(t, <-wrote)
		near.Close()
		far.Close()
	})
}

// TestConnCloseCallbacks: neither OnPing nor Payload is called when Close has returned.
func TestConnCloseCallbacks(t *testing.T) {
	t.Parallel()
	for range 200 {
		a, b := tcpPair(t)
		var closed atomic.Bool
		cfg := heartbeat.ConnConfig{
			Config:  heartbeat.Config{Interval: time.Millisecond, Timeout: 20 * time.Second},
			Payload: func() []byte { assert.False(t, closed.Load()); return nil },
			OnPing:  func([]byte) { runtime.Gosched(); assert.False(t, closed.Load()) },
		}
		near, far := wrap(t, a, b, cfg)
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		near.Close()
		far.Close()
		closed.Store(true)
	}
}

// TestConnClosePeerPaused: the peer's application reads nothing for several Timeouts
// after Close, while it sends. It gets everything all the same.
func TestConnClosePeerPaused(t *testing.T) { realtime.Test(testConnClosePeerPaused)(t) }

func testConnClosePeerPaused(t testing.TB) {
	a, b := tcpPair(t)
	a.SetWriteBuffer(64 << 10)
	b.SetReadBuffer(64 << 10)
	near, far := wrap(t, a, b, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 50 * time.Millisecond, Timeout: time.Second}})
	data := random(2 << 20)
	near.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := near.Write(data)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, near.Close())
	for range 4 {
		time.Sleep(time.Second)
		_, err := far.Write(make([]byte, 1000))
		require.NoError(t, err)
	}
	got, err := io.ReadAll(far)
	require.NoError(t, err)
	requireEqualBytes(t, data[:n], got)
}
