package heartbeat

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

var tens = ConnConfig{Config: tenSeconds}

// pipe returns both ends of a connection in memory, each a Conn.
func pipe(t *testing.T, cfg ConnConfig) (near, far *Conn) {
	a, b := net.Pipe()
	return wrap(t, a, b, cfg)
}

// raw is a peer that a test plays by hand.
type raw struct {
	t *testing.T
	net.Conn
}

// rawPeer returns a Conn and the bare connection at its other end.
func rawPeer(t *testing.T, cfg ConnConfig) (*Conn, raw) {
	a, b := net.Pipe()
	c, err := NewConn(a, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); b.Close() })
	return c, raw{t, b}
}

func (r raw) send(b ...string) {
	r.t.Helper()
	_, err := io.WriteString(r.Conn, strings.Join(b, ""))
	require.NoError(r.t, err)
}

// hears reads all there is, for ever.
func (r raw) hears() { go io.Copy(io.Discard, r.Conn) }

func preface(interval time.Duration) string {
	return string(binary.BigEndian.AppendUint32([]byte(magic), uint32(interval.Milliseconds())))
}

func frame(kind byte, payload string) string {
	return string(appendHead(nil, kind, len(payload))) + payload
}

func numbered(kind byte, number uint32, payload string) string {
	return frame(kind, string(binary.BigEndian.AppendUint32(nil, number))+payload)
}

// deadly checks what a connection says for which the verdict has fallen.
func deadly(t *testing.T, err error) *DeadError {
	t.Helper()
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	var verdict *DeadError
	require.ErrorAs(t, err, &verdict)
	assert.False(t, op.Timeout(), "code that retries on Timeout would spin")
	return verdict
}

func same(t *testing.T, want, got []byte) {
	t.Helper()
	require.True(t, bytes.Equal(want, got), "the data differs: %d bytes sent, %d received", len(want), len(got))
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestConnIdle: two idle connections live on, whether their applications wait in
// Read or have other things to do, and carry data after that.
func TestConnIdle(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, waits := range []bool{false, true} {
			near, far := pipe(t, tens)
			answer := make(chan byte)
			read := func() {
				b := make([]byte, 1)
				_, err := far.Read(b)
				assert.NoError(t, err)
				answer <- b[0]
			}
			if waits {
				go read()
			}
			time.Sleep(time.Hour)
			for _, c := range []*Conn{near, far} {
				rtt, ok := c.RTT()
				assert.True(t, ok)
				assert.Less(t, rtt, 2*busyFor)
			}
			if !waits {
				go read()
			}
			_, err := near.Write([]byte{7})
			require.NoError(t, err)
			assert.EqualValues(t, 7, <-answer)
			near.Close()
			far.Close()
		}
	})
}

// TestConnTraffic: a ping goes out after Interval without a byte from the peer, and
// not sooner; what it carries arrives.
func TestConnTraffic(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var pings atomic.Int32
		cfg := tens
		cfg.Payload = func() []byte { return []byte("load 7") }
		cfg.OnPing = func(payload []byte) {
			assert.Equal(t, "load 7", string(payload))
			pings.Add(1)
		}
		near, far := pipe(t, cfg)
		go io.Copy(far, far) // echoes
		b := make([]byte, 100)
		for range 100 {
			time.Sleep(9 * time.Second)
			_, err := near.Write(b)
			require.NoError(t, err)
			_, err = io.ReadFull(near, b)
			require.NoError(t, err)
		}
		assert.Zero(t, pings.Load(), "no ping in spite of traffic")
		_, ok := near.RTT()
		assert.False(t, ok)
		time.Sleep(11 * time.Second)
		assert.NotZero(t, pings.Load())
	})
}

func TestConnDeath(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, tens)
		r.hears()
		r.send(preface(time.Hour), frame(frameData, "last words"))
		results := make(chan error)
		go func() {
			b := make([]byte, 100)
			n, err := c.Read(b)
			assert.NoError(t, err)
			assert.Equal(t, "last words", string(b[:n]))
			_, err = c.Read(b)
			results <- err
		}()
		verdict := deadly(t, <-results)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.Equal(t, &DeadError{Silence: 25 * time.Second, Unanswered: 2}, verdict)
		_, err := r.Write([]byte{1})
		assert.ErrorIs(t, err, io.ErrClosedPipe, "the connection inside is closed")
		for range 2 {
			_, err = c.Read(make([]byte, 1))
			assert.Same(t, verdict, deadly(t, err))
			_, err = c.Write([]byte{1})
			assert.Same(t, verdict, deadly(t, err))
			assert.Same(t, verdict, deadly(t, c.CloseWrite()))
			assert.Same(t, verdict, deadly(t, c.SetDeadline(time.Now())))
		}
		assert.NoError(t, c.Close())
		assert.ErrorIs(t, c.Close(), net.ErrClosed)
	})
}

// TestConnDeathWriting: a pending Write ends with the verdict, too, and what came
// before it can still be read.
func TestConnDeathWriting(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, tens)
		io.ReadFull(r, make([]byte, prefaceLen))
		r.send(preface(time.Hour), frame(frameData, "last words"))
		_, err := c.Write(make([]byte, 1<<20)) // into a pipe that nobody reads
		verdict := deadly(t, err)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.Equal(t, 1, verdict.Unanswered, "one ping that has not got through")
		b := make([]byte, 100)
		n, err := c.Read(b)
		assert.NoError(t, err)
		assert.Equal(t, "last words", string(b[:n]))
		_, err = c.Read(b)
		assert.Same(t, verdict, deadly(t, err))
	})
}

// TestConnBlockedPing: a ping that cannot get out is no death while bytes come.
func TestConnBlockedPing(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, tens)
		r.send(preface(time.Hour))
		for range 100 {
			time.Sleep(20 * time.Second)
			r.send(frame(frameData, "x"))
		}
		b := make([]byte, 100)
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("x", 100), string(b))
	})
}

// TestConnNotReading: an application that reads nothing for an hour is not taken
// for dead, does not take the peer for dead, and holds little; nothing is lost.
func TestConnNotReading(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, tens)
		data := random(1 << 20)
		wrote := make(chan error)
		go func() {
			_, err := near.Write(data)
			near.CloseWrite()
			wrote <- err
		}()
		back := make(chan []byte)
		go func() {
			b, err := io.ReadAll(near)
			assert.NoError(t, err)
			back <- b
		}()
		time.Sleep(time.Hour)
		far.mu.Lock()
		assert.True(t, far.paused)
		assert.LessOrEqual(t, cap(far.pending), 2*maxPending)
		far.mu.Unlock()
		_, err := far.Write([]byte("still here"))
		require.NoError(t, err)

		got, err := io.ReadAll(iotestSlow{far})
		require.NoError(t, err)
		same(t, data, got)
		require.NoError(t, <-wrote)
		require.NoError(t, far.CloseWrite())
		assert.Equal(t, "still here", string(<-back))
		time.Sleep(time.Hour)
		_, err = far.Write(nil)
		assert.ErrorIs(t, err, errEnded)
		assert.NoError(t, far.Close())
	})
}

// TestConnSlowLine: a ping is stuck behind more data than the line carries in
// several Timeouts. The peer that takes that data lives.
func TestConnSlowLine(t *testing.T) {
	virtual(t, func(t *testing.T) {
		a, x := net.Pipe()
		y, b := net.Pipe()
		near, far := wrap(t, a, b, tens)
		line := make(chan []byte, 1000)
		go func() { // takes all there is
			defer close(line)
			for {
				b := make([]byte, 40_000)
				n, err := x.Read(b)
				if err != nil {
					return
				}
				line <- b[:n]
			}
		}()
		go func() { // and carries 40 kB each second, at most
			defer y.Close()
			for b := range line {
				time.Sleep(time.Second)
				y.Write(b)
			}
		}()
		go io.Copy(x, y)
		data := random(4 << 20)
		_, err := near.Write(data)
		require.NoError(t, err)
		start := time.Now()
		got := make([]byte, len(data))
		_, err = io.ReadFull(far, got)
		require.NoError(t, err)
		same(t, data, got)
		assert.Greater(t, time.Since(start), 4*tens.Timeout)
		time.Sleep(time.Hour)
		_, err = near.Write([]byte{1})
		assert.NoError(t, err, "it has taken nobody for dead")
		near.Close()
		far.Close()
		time.Sleep(time.Hour)
	})
}

// iotestSlow reads with long pauses in between.
type iotestSlow struct{ io.Reader }

func (s iotestSlow) Read(b []byte) (int, error) {
	time.Sleep(30 * time.Second)
	return s.Reader.Read(b)
}

// TestConnNobodyReads: both ends write, and neither reads, for an hour.
func TestConnNobodyReads(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, tens)
		data := random(1 << 20)
		var wg sync.WaitGroup
		for _, c := range []*Conn{near, far} {
			wg.Go(func() {
				_, err := c.Write(data)
				assert.NoError(t, err)
				assert.NoError(t, c.CloseWrite())
			})
		}
		time.Sleep(time.Hour)
		for _, c := range []*Conn{near, far} {
			wg.Go(func() {
				got, err := io.ReadAll(c)
				assert.NoError(t, err)
				same(t, data, got)
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
		assert.NoError(t, near.SetDeadline(time.Time{}), "heartbeats go on after the end of the data")
		assert.NoError(t, far.SetDeadline(time.Time{}))
	})
}

// TestConnResumed: what dies while the application does not read is found when it
// reads again, after a full round.
func TestConnResumed(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, tens)
		go func() {
			r.Write([]byte(preface(time.Minute)))
			for range maxPending >> 11 {
				r.Write([]byte(frame(frameData, strings.Repeat("x", 2<<10))))
			}
		}()
		var pongs, others int
		var mu sync.Mutex
		go func() {
			io.ReadFull(r, make([]byte, prefaceLen))
			b := make([]byte, maxControl)
			for {
				n, err := r.Read(b)
				if err != nil {
					return
				}
				mu.Lock()
				if bytes.Equal(b[:n], []byte(numbered(framePong, 0, ""))) {
					pongs++
				} else {
					others++
				}
				mu.Unlock()
			}
		}()
		time.Sleep(time.Hour + time.Second)
		mu.Lock()
		assert.Equal(t, 60, pongs, "one for each minute, the peer's interval")
		assert.Zero(t, others)
		mu.Unlock()
		start := time.Now()
		_, err := io.Copy(io.Discard, c)
		verdict := deadly(t, err)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.GreaterOrEqual(t, verdict.Silence, time.Hour)
		assert.Equal(t, 3, verdict.Unanswered)
	})
}

func TestConnRTT(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, tens)
		go io.Copy(io.Discard, c)
		go func() {
			r.Write([]byte(preface(time.Hour)))
			io.ReadFull(r, make([]byte, prefaceLen))
			for i := uint32(1); ; i++ {
				b := make([]byte, headLen+numberLen)
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				assert.Equal(t, numbered(framePing, i, ""), string(b))
				time.Sleep(time.Duration(i) * time.Second)
				r.Write([]byte(numbered(framePong, i, "")))
				r.Write([]byte(numbered(framePong, i, ""))) // no matter
				r.Write([]byte(numbered(framePong, 0, "")))
			}
		}()
		_, ok := c.RTT()
		assert.False(t, ok)
		for i := range 3 {
			time.Sleep(10*time.Second + time.Duration(i+1)*time.Second)
			synctest.Wait()
			rtt, ok := c.RTT()
			assert.True(t, ok)
			assert.Equal(t, time.Duration(i+1)*time.Second, rtt)
		}
	})
}

// TestConnNonsense: whatever breaks the format ends the connection with an error
// that says how.
func TestConnNonsense(t *testing.T) {
	virtual(t, func(t *testing.T) {
		hello := preface(time.Second)
		for sent, want := range map[string]string{
			"HTTP/1.1 400 Bad Request\r\n":     `the peer does not speak it: it began with "HTTP/1.1"`,
			"\xb7h":                            "", // the beginning of a preface
			"\xb7hX":                           `the peer does not speak it: it began with "\xb7hX"`,
			"\xb7hb\x02":                       "the peer speaks version 2: want 1",
			preface(0):                         "the preface has an interval of 0",
			hello + "\x00\x00\x00\x00":         "no frame has the type 0",
			hello + "\x07":                     "",
			hello + frame(7, "x"):              "no frame has the type 7",
			hello + frame(frameData, ""):       "a frame of type 1 has 0 bytes: want 1 to 65536",
			hello + "\x01\x01\x00\x01":         "a frame of type 1 has 65537 bytes: want 1 to 65536",
			hello + "\x02\xff\xff\xff":         "a frame of type 2 has 16777215 bytes: want 4 to 128",
			hello + frame(framePing, "abc"):    "a frame of type 2 has 3 bytes: want 4 to 128",
			hello + frame(framePong, "abcde"):  "a frame of type 3 has 5 bytes: want 4 to 4",
			hello + frame(frameEnd, "x"):       "a frame of type 4 has 1 bytes: want 0 to 0",
			hello + numbered(framePing, 0, ""): "a ping has the number 0",
			hello + frame(frameEnd, "") + frame(frameData, "x"): "data after the end",
			hello + frame(frameEnd, "") + frame(frameEnd, ""):   "a second end",
		} {
			c, r := rawPeer(t, tens)
			r.hears()
			r.send(sent)
			synctest.Wait()
			_, err := c.Write([]byte{1})
			if want == "" {
				assert.NoErrorf(t, err, "%q", sent)
				c.Close()
				continue
			}
			assert.ErrorIs(t, err, ErrProtocol)
			assert.ErrorContains(t, err, "heartbeat: protocol error: "+want)
			if _, err = c.Read(make([]byte, 1)); err != io.EOF { // which came first, after end
				assert.ErrorIs(t, err, ErrProtocol)
			}
			_, err = r.Write([]byte{1})
			assert.ErrorIs(t, err, io.ErrClosedPipe, "the connection inside is closed")
		}
	})
}

// TestConnNoPreface: a peer that says nothing is dead, and one that says too little
// is not waited for.
func TestConnNoPreface(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, said := range []string{"", magic} {
			start := time.Now()
			c, r := rawPeer(t, tens)
			r.hears()
			r.send(said)
			_, err := c.Read(make([]byte, 1))
			assert.Equal(t, 25*time.Second, time.Since(start))
			if said == "" {
				deadly(t, err)
				continue
			}
			verdict := new(DeadError)
			if !errors.As(err, &verdict) { // both are true in the same moment
				assert.ErrorIs(t, err, ErrProtocol)
			}
		}

		start := time.Now()
		c, r := rawPeer(t, tens)
		r.hears()
		go func() {
			for _, b := range []byte(preface(time.Hour)) {
				if _, err := r.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(8 * time.Second)
			}
		}()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, ErrProtocol)
		assert.ErrorContains(t, err, "the peer has sent no whole preface for 25s")
		assert.Equal(t, 25*time.Second, time.Since(start))
		time.Sleep(time.Minute) // until the goroutine is gone
	})
}

// TestConnSlow: who sends a frame byte by byte is life only for so long; a slow
// line is no reason.
func TestConnSlow(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, c := range []struct {
			frame string
			every time.Duration
			dies  bool
		}{
			{"\x01\x00\x00\x01x", 24 * time.Second, true},
			{numbered(framePing, 1, "0123456789"), 24 * time.Second, true},
			{frame(frameData, strings.Repeat("x", maxData)), 24 * time.Second, true},
			{frame(frameData, strings.Repeat("x", maxData)), 20 * time.Millisecond, false}, // 400 bit/s
			{numbered(framePing, 1, "0123456789"), 2 * time.Second, false},
		} {
			conn, r := rawPeer(t, tens)
			r.hears()
			r.send(preface(time.Hour))
			start := time.Now()
			go func() {
				for _, b := range []byte(c.frame) {
					if _, err := r.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(c.every)
				}
				r.Close()
			}()
			_, err := io.Copy(io.Discard, conn)
			if c.dies {
				assert.ErrorIs(t, err, ErrProtocol)
				assert.ErrorContains(t, err, "is not complete after")
				assert.LessOrEqual(t, time.Since(start), time.Duration(3+len(c.frame)/1024)*25*time.Second)
			} else {
				assert.NoError(t, err)
			}
			conn.Close()
			time.Sleep(time.Minute) // until the goroutine is gone
		}
	})
}

// TestConnFlood: as many pings as the intervals allow are answered; more end the
// connection.
func TestConnFlood(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, c := range []struct {
			every  time.Duration
			kind   byte
			floods bool
		}{
			{0, framePing, true},
			{0, framePong, true},
			{time.Second, framePing, true},
			{2 * time.Second, framePing, false},
		} {
			conn, r := rawPeer(t, tens) // both intervals are 10 s: 8 in 10 s, and 16
			r.hears()
			r.send(preface(10 * time.Second))
			go io.Copy(io.Discard, conn)
			var err error
			for i := uint32(1); i < 1000 && err == nil; i++ {
				time.Sleep(c.every)
				_, err = r.Write([]byte(numbered(c.kind, i, "")))
			}
			assert.Equal(t, c.floods, err != nil)
			_, err = conn.Write([]byte{1})
			if c.floods {
				assert.ErrorIs(t, err, ErrProtocol)
				assert.ErrorContains(t, err, "pings and pongs in")
			} else {
				assert.NoError(t, err)
			}
		}
	})
}

// TestConnBacklog: what a peer sent while this side was stopped or suspended is no
// flood.
func TestConnBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := rawPeer(t, tens)
		r.hears()
		r.send(preface(10 * time.Second))
		suspend(t, time.Hour)
		for i := range uint32(300) {
			r.send(numbered(framePing, i+1, ""))
		}
		_, err := c.Write([]byte{1})
		assert.NoError(t, err)
	})
}

func TestConnSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, tens)
		r.hears()
		r.send(preface(time.Hour))
		time.Sleep(24 * time.Second)
		suspend(t, time.Hour)
		_, err := c.Read(make([]byte, 1))
		deadly(t, err)
		assert.Equal(t, 50*time.Second, time.Since(start), "a full round from when it was noticed")
	})
}

// TestConnDeadlines: they hold while the background reads or writes, too, and a
// change counts for what is pending.
func TestConnDeadlines(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, ConnConfig{Config: Config{Interval: time.Hour, Timeout: 2 * time.Hour}})
		b := make([]byte, 10)
		for range 3 { // the background has both, for the preface has not come and not gone
			start := time.Now()
			c.SetDeadline(start.Add(time.Second))
			_, err := c.Read(b)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.True(t, err.(net.Error).Timeout())
			_, err = c.Write(b)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.True(t, err.(net.Error).Timeout())
			assert.Equal(t, time.Second, time.Since(start))

			c.SetDeadline(time.Time{})
			var wg sync.WaitGroup
			wg.Go(func() { _, err := c.Read(b); assert.ErrorIs(t, err, os.ErrDeadlineExceeded) })
			wg.Go(func() { _, err := c.Write(b); assert.ErrorIs(t, err, os.ErrDeadlineExceeded) })
			time.Sleep(time.Minute)
			c.SetDeadline(time.Now().Add(time.Second))
			wg.Wait()
			assert.Equal(t, time.Minute+2*time.Second, time.Since(start))
			c.SetDeadline(start)
			_, err = c.Read(b)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		c.SetDeadline(time.Time{})
		r.hears()
		r.send(preface(time.Hour), frame(frameData, "abc"))
		c.SetReadDeadline(time.Now().Add(-time.Second))
		synctest.Wait()
		_, err := c.Read(b)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "even if there is data")
		c.SetReadDeadline(time.Time{})
		n, err := c.Read(b)
		assert.NoError(t, err)
		assert.Equal(t, "abc", string(b[:n]))
		_, err = c.Write(b)
		assert.NoError(t, err)
	})
}

// TestConnExpired: a write deadline that the application left behind does not keep
// pings back.
func TestConnExpired(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, tens)
		for _, c := range []*Conn{near, far} {
			require.NoError(t, c.SetDeadline(time.Now().Add(time.Second)))
		}
		time.Sleep(time.Hour)
		assert.NoError(t, near.SetDeadline(time.Time{}))
		go near.Write([]byte("abc"))
		far.SetDeadline(time.Time{})
		n, err := far.Read(make([]byte, 10))
		assert.NoError(t, err)
		assert.Equal(t, 3, n)
	})
}

// TestConnResync: writes that end at their deadline in the middle of a frame leave a
// stream that is whole.
func TestConnResync(t *testing.T) {
	for _, network := range []string{"pipe", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var a, b net.Conn = net.Pipe()
			if network == "tcp" {
				x, y := tcpPair(t)
				x.SetWriteBuffer(64 << 10)
				a, b = x, y
			}
			near, far := wrap(t, a, b, ConnConfig{Config: Config{Interval: time.Millisecond, Timeout: time.Minute, Jitter: 1}})
			data := random(4 << 20)
			timeouts := 0
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				defer near.Close()
				for sent := 0; sent < len(data); {
					near.SetWriteDeadline(time.Now().Add(time.Duration(rand.Int64N(int64(time.Millisecond)))))
					n, err := near.Write(data[sent:min(len(data), sent+1+rand.IntN(200<<10))])
					sent += n
					if err != nil {
						if !assert.ErrorIs(t, err, os.ErrDeadlineExceeded) {
							return
						}
						timeouts++
					}
				}
				near.SetWriteDeadline(time.Time{})
				assert.NoError(t, near.CloseWrite())
				assert.NotZero(t, timeouts)
				_, err := near.Read(make([]byte, 1)) // until the other end has all
				assert.Equal(t, io.EOF, err)
			})
			var got bytes.Buffer
			part := make([]byte, 10000)
			var err error
			for n := 0; err == nil; got.Write(part[:n]) {
				if rand.IntN(10) == 0 {
					time.Sleep(time.Millisecond) // so that the pipe is full at times
				}
				n, err = far.Read(part)
			}
			far.Close()
			require.Equal(t, io.EOF, err)
			same(t, data, got.Bytes())
		})
	}
}

// TestConnSizes moves writes and reads of all sizes, in both directions at once.
func TestConnSizes(t *testing.T) {
	a, b := tcpPair(t)
	near, far := wrap(t, a, b, minute)
	n, err := near.Write(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	n, err = near.Read(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	var wg sync.WaitGroup
	for _, ends := range [][2]*Conn{{near, far}, {far, near}} {
		data := random(3 << 20)
		wg.Go(func() {
			for sent := 0; sent < len(data); {
				n, err := ends[0].Write(data[sent:min(len(data), sent+1<<rand.IntN(21))])
				if !assert.NoError(t, err) {
					return
				}
				sent += n
			}
			assert.NoError(t, ends[0].CloseWrite())
		})
		wg.Go(func() {
			got := make([]byte, 0, len(data)+1)
			for {
				n, err := ends[1].Read(got[len(got):min(cap(got), len(got)+1<<rand.IntN(21))])
				got = got[:len(got)+n]
				if err != nil {
					assert.Equal(t, io.EOF, err)
					break
				}
			}
			same(t, data, got)
		})
	}
	wg.Wait()
}

// TestConnInside: other connections than TCP do, too, and Close loses nothing there,
// either.
func TestConnInside(t *testing.T) {
	t.Parallel()
	cfg := ConnConfig{Config: Config{Interval: 20 * time.Millisecond, Timeout: 20 * time.Second, Jitter: 0.5}}
	for name, connect := range map[string]func(t *testing.T) (a, b net.Conn){
		"TLS": func(t *testing.T) (a, b net.Conn) {
			server := httptest.NewTLSServer(nil) // has a certificate
			defer server.Close()
			near, far := tcpPair(t)
			return tls.Client(near, &tls.Config{InsecureSkipVerify: true}), tls.Server(far, server.TLS.Clone())
		},
		"Unix": func(t *testing.T) (a, b net.Conn) {
			dir, err := os.MkdirTemp("", "hb") // Wine 8 does not get rid of t.TempDir
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Skipf("not supported here: %v", err)
			}
			defer l.Close()
			near, err := net.Dial("unix", l.Addr().String())
			require.NoError(t, err)
			far, err := l.Accept()
			require.NoError(t, err)
			return near, far
		},
		"wrapper": func(t *testing.T) (a, b net.Conn) {
			near, far := tcpPair(t)
			return struct{ net.Conn }{near}, struct{ net.Conn }{far}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			near, far := wrap(t, a, b, cfg)
			data := random(1 << 20)
			for _, ends := range [][2]*Conn{{near, far}, {far, near}} {
				wrote := make(chan error, 1)
				go func() { _, err := ends[0].Write(data); wrote <- err }()
				got := make([]byte, len(data))
				_, err := io.ReadFull(ends[1], got)
				require.NoError(t, err)
				same(t, data, got)
				require.NoError(t, <-wrote)
				time.Sleep(10 * cfg.Interval) // heartbeats
			}
			_, near1 := near.RTT()
			_, far1 := far.RTT()
			assert.True(t, near1 || far1)
			go func() {
				_, err := near.Write(data)
				assert.NoError(t, err)
				if name == "wrapper" { // which hides CloseWrite
					assert.NoError(t, near.CloseWrite())
				} else {
					assert.NoError(t, near.Close())
				}
			}()
			got, err := io.ReadAll(far)
			require.NoError(t, err)
			same(t, data, got)
		})
	}
}

// TestConnTakeover: Reads with short deadlines take the reader's role from the
// background again and again, and neither spins nor loses a byte.
func TestConnTakeover(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, tens)
		time.Sleep(time.Minute)
		data := random(1000)
		go func() {
			for i := range data {
				time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Millisecond))))
				near.Write(data[i : i+1])
			}
			near.CloseWrite()
		}()
		var got []byte
		for {
			time.Sleep(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
			far.SetReadDeadline(time.Now().Add(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))))
			b := make([]byte, 1+rand.IntN(600))
			n, err := far.Read(b)
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
		}
		same(t, data, got)
	})
}

// TestConnClose: it ends what is pending, on both ends.
func TestConnClose(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, tens)
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

// TestConnCloseWriting: Close ends a Write that is pending, whoever writes.
func TestConnCloseWriting(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, wait := range []time.Duration{0, time.Second, 11 * time.Second} {
			c, r := rawPeer(t, tens)
			go r.Write([]byte(preface(time.Hour)))
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
	a, b := tcpPair(t)
	near, far := wrap(t, a, b, ConnConfig{Config: Config{Interval: time.Millisecond, Timeout: time.Minute, Jitter: 1}})
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
	same(t, data, got)
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
	c, err := NewConn(a, quick)
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, c.Close())
	assert.Less(t, time.Since(start), quick.Timeout)
	until("the socket is not closed", func() bool { return errors.Is(a.SetNoDelay(true), net.ErrClosed) })
	assert.GreaterOrEqual(t, time.Since(start), quick.Timeout)
}

// TestConnCutOff: an end in the middle of a frame is not taken for the end of the
// data.
func TestConnCutOff(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for sent, want := range map[string]error{
			"":                   io.EOF,
			magic:                io.EOF, // no data is lost
			preface(time.Second): io.EOF,
			preface(time.Second) + frame(frameData, "12345678")[:4]: io.ErrUnexpectedEOF,
			preface(time.Second) + "\x01":                           io.ErrUnexpectedEOF,
			preface(time.Second) + "\x02\x00\x00\x04\x01":           io.EOF,
		} {
			c, r := rawPeer(t, tens)
			r.hears()
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

func TestConnCallbacks(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cfg := tens
		cfg.Payload = func() []byte { return make([]byte, longestPayload+1) }
		c, r := rawPeer(t, cfg)
		r.hears()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorContains(t, err, "Payload has returned 125 bytes: want 124 at most")

		closer := make(chan *Conn, 1)
		cfg = tens
		cfg.Payload = func() []byte { return make([]byte, longestPayload) }
		cfg.OnPing = func(payload []byte) {
			assert.Len(t, payload, longestPayload)
			(<-closer).Close()
		}
		c, r = rawPeer(t, cfg)
		closer <- c
		r.hears()
		go r.Write([]byte(preface(time.Hour) + numbered(framePing, 1, string(make([]byte, longestPayload)))))
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestConnBad(t *testing.T) {
	a, _ := net.Pipe()
	_, err := NewConn(a, ConnConfig{})
	assert.EqualError(t, err, "heartbeat: Interval 0s: want more than 0")
	one := tens
	one.OneWay = true
	_, err = NewConn(a, one)
	assert.ErrorContains(t, err, "heartbeat: OneWay: want a Monitor")
	fast := tens
	fast.Interval = time.Millisecond - 1
	_, err = NewConn(a, fast)
	assert.ErrorContains(t, err, "heartbeat: Interval 999.999µs: want 1ms at least")
	_, err = NewConn(nil, tens)
	assert.EqualError(t, err, "heartbeat: the connection is nil")
}

// TestConnBursts: an application that takes what there is, and then has other
// things to do, pauses often. That is no flood of pongs.
func TestConnBursts(t *testing.T) {
	t.Parallel()
	for _, gap := range []time.Duration{25 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		t.Run(gap.String(), func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				near, far := pipe(t, ConnConfig{Config: Config{Interval: 5 * time.Second, Timeout: 15 * time.Second}})
				go io.Copy(io.Discard, near)
				go func() {
					for b := make([]byte, 64<<10); ; {
						if _, err := near.Write(b); err != nil {
							return
						}
					}
				}()
				b := make([]byte, 64<<10)
				for start := time.Now(); time.Since(start) < 2*time.Minute; time.Sleep(gap) {
					_, err := io.ReadFull(far, b)
					require.NoError(t, err, "after %v", time.Since(start))
				}
				near.Close()
				far.Close()
			})
		})
	}
}

// TestConnSlowPolled: read deadlines do not hide that a frame takes for ever.
func TestConnSlowPolled(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, ConnConfig{Config: Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}})
		r.hears()
		r.send(preface(time.Hour))
		go func() {
			for _, b := range []byte(frame(framePing, string(make([]byte, 100)))) {
				if _, err := r.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Second)
			}
		}()
		start, err := time.Now(), os.ErrDeadlineExceeded
		for assert.ObjectsAreEqual(keepalive.Deadline, keepalive.Diagnose(err)) {
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err = c.Read(make([]byte, 1000))
		}
		require.ErrorIs(t, err, ErrProtocol)
		assert.Less(t, time.Since(start), 2*time.Minute)
		time.Sleep(time.Minute) // until the peer has noticed
	})
}

// TestConnCloseWriteFull: CloseWrite waits neither for room nor for a deadline,
// and the end comes after all data.
func TestConnCloseWriteFull(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, ConnConfig{Config: Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}})
		near.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := near.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		start := time.Now()
		require.NoError(t, near.CloseWrite())
		require.NoError(t, near.CloseWrite(), "it is closed")
		assert.Zero(t, time.Since(start))
		_, err = near.Write([]byte{1})
		require.Error(t, err)
		time.Sleep(time.Hour)
		got, err := io.Copy(io.Discard, far)
		require.NoError(t, err)
		assert.EqualValues(t, n, got)
		near.Close()
		far.Close()
	})
}

// TestConnResetPaused: the kernel tells of a reset once, and to the pong that says
// that this side lives. It is no orderly end all the same.
func TestConnResetPaused(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	c, err := NewConn(near, ConnConfig{Config: Config{Interval: 50 * time.Millisecond, Timeout: 20 * time.Second}})
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(far, preface(50*time.Millisecond))
	go io.Copy(io.Discard, far)
	io.WriteString(far, frame(frameData, string(make([]byte, 64000))))
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.paused }, 10*time.Second, time.Millisecond)
	far.SetLinger(0)
	far.Close()
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.writeErr != nil }, 10*time.Second, time.Millisecond)
	_, err = io.Copy(io.Discard, c)
	if keepalive.Diagnose(err) != keepalive.Reset {
		t.Errorf("%v", err)
	}
	_, err = c.Write([]byte{1})
	assert.Equal(t, keepalive.Reset, keepalive.Diagnose(err), "%v", err)
}

// TestConnUserTimeout: when the kernel gives a connection up, who writes learns
// that the peer is dead, whoever was told first.
func TestConnUserTimeout(t *testing.T) {
	t.Parallel()
	conn, far := testpeer.New(t, "tcp")
	testpeer.Need(t, keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Second}))
	c, err := NewConn(conn, ConnConfig{Config: Config{Interval: 20 * time.Second, Timeout: time.Minute}})
	require.NoError(t, err)
	defer c.Close()
	for range prefaceLen { // what was sent comes back, and is a preface
		require.NoError(t, far.Echo())
	}
	testpeer.Need(t, far.Deaf())
	err = nil
	for start := time.Now(); err == nil && time.Since(start) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		_, err = c.Write([]byte{1})
	}
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err), "%v", err)
	_, err = c.Read(make([]byte, 1))
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err), "%v", err)
}
