package heartbeat_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// TestConnIdle: two idle connections live on, whether their applications wait in
// Read or have other things to do, and carry data after that.
func TestConnIdle(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, waits := range []bool{false, true} {
			near, far := pipe(t, cfg10s)
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
			for _, c := range []*heartbeat.Conn{near, far} {
				rtt, ok := c.RTT()
				assert.True(t, ok)
				assert.Less(t, rtt, time.Second)
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

// TestConnTraffic: a ping is sent after Interval without a byte from the peer, and not sooner. Its
// payload arrives.
func TestConnTraffic(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var pings atomic.Int32
		cfg := cfg10s
		cfg.Payload = func() []byte { return []byte("load 7") }
		var closing atomic.Bool // the ping of Close carries nothing
		cfg.OnPing = func(payload []byte) {
			if !closing.Load() {
				assert.Equal(t, "load 7", string(payload))
				pings.Add(1)
			}
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
		closing.Store(true)
	})
}

func TestConnDeath(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, cfg10s)
		r.drain()
		r.send(heartbeat.Preface(time.Hour), heartbeat.Frame(heartbeat.FrameData, "the end"))
		results := make(chan error)
		go func() {
			b := make([]byte, 100)
			n, err := c.Read(b)
			assert.NoError(t, err)
			assert.Equal(t, "the end", string(b[:n]))
			_, err = c.Read(b)
			results <- err
		}()
		dead := requireDeadError(t, <-results)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.Equal(t, &heartbeat.DeadError{Silence: 25 * time.Second, Unanswered: 2}, dead)
		_, err := r.Write([]byte{1})
		assert.ErrorIs(t, err, io.ErrClosedPipe, "the connection inside is closed")
		for range 2 {
			_, err = c.Read(make([]byte, 1))
			assert.Same(t, dead, requireDeadError(t, err))
			_, err = c.Write([]byte{1})
			assert.Same(t, dead, requireDeadError(t, err))
			assert.Same(t, dead, requireDeadError(t, c.CloseWrite()))
			assert.NoError(t, c.SetDeadline(time.Now()), "Read reports it, even after its deadline")
		}
		assert.NoError(t, c.Close())
		assert.ErrorIs(t, c.Close(), net.ErrClosed)
	})
}

// TestConnDeathWriting: a pending Write ends with the dead, too, and what came
// before it can still be read.
func TestConnDeathWriting(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, cfg10s)
		io.ReadFull(r, make([]byte, heartbeat.PrefaceLen))
		r.send(heartbeat.Preface(time.Hour), heartbeat.Frame(heartbeat.FrameData, "the end"))
		_, err := c.Write(make([]byte, 1<<20)) // into a pipe that nobody reads
		dead := requireDeadError(t, err)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.Equal(t, 1, dead.Unanswered, "one ping that has not got through")
		b := make([]byte, 100)
		n, err := c.Read(b)
		assert.NoError(t, err)
		assert.Equal(t, "the end", string(b[:n]))
		_, err = c.Read(b)
		assert.Same(t, dead, requireDeadError(t, err))
	})
}

// TestConnBlockedPing: a ping that cannot get out is no death while bytes come.
func TestConnBlockedPing(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, cfg10s)
		r.send(heartbeat.Preface(time.Hour))
		for range 100 {
			time.Sleep(20 * time.Second)
			r.send(heartbeat.Frame(heartbeat.FrameData, "x"))
		}
		b := make([]byte, 100)
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("x", 100), string(b))
	})
}

// TestConnSlowLine: a ping is stuck behind more data than the line carries in
// several Timeouts. The peer that takes that data lives.
func TestConnSlowLine(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		a, x := net.Pipe()
		y, b := net.Pipe()
		near, far := wrap(t, a, b, cfg10s)
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
		requireEqualBytes(t, data, got)
		assert.Greater(t, time.Since(start), 4*cfg10s.Timeout)
		time.Sleep(time.Hour)
		_, err = near.Write([]byte{1})
		assert.NoError(t, err, "it has taken nobody for dead")
		near.Close()
		far.Close()
		time.Sleep(time.Hour)
	})
}

// TestConnDownload: a side that only receives is never silent for longer than the peer's interval,
// even if data rarely arrives. On an idle connection, there are only pings.
func TestConnDownload(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		for _, every := range []time.Duration{time.Millisecond, time.Second, 9 * time.Second} {
			c, r := rawPeer(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour}})
			go io.Copy(io.Discard, c)
			r.send(heartbeat.Preface(10 * time.Second))
			pongs := make(chan time.Duration, 1000)
			start := time.Now()
			go func() {
				io.ReadFull(r, make([]byte, heartbeat.PrefaceLen))
				b := make([]byte, heartbeat.HeaderLen+heartbeat.NumberLen)
				for {
					if _, err := io.ReadFull(r, b); err != nil {
						return
					}
					assert.Equal(t, heartbeat.Numbered(heartbeat.FramePong, 0, ""), string(b))
					pongs <- time.Since(start)
				}
			}()
			for time.Since(start) < 96*time.Second {
				r.send(heartbeat.Frame(heartbeat.FrameData, "x"))
				time.Sleep(every)
			}
			synctest.Wait()
			require.GreaterOrEqual(t, len(pongs), 9)
			require.LessOrEqual(t, len(pongs), 10)
			for i := range 9 {
				assert.Equal(t, time.Duration(i+1)*10*time.Second, <-pongs)
			}
			time.Sleep(50 * time.Minute)
			assert.LessOrEqual(t, len(pongs), 1, "no more than one after the end of the data")
			c.Close()
			r.Close()
		}
	})
}

// TestConnNobodyReads: both ends write, and neither reads, for an hour.
func TestConnNobodyReads(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, cfg10s)
		data := random(1 << 20)
		var wg sync.WaitGroup
		for _, c := range []*heartbeat.Conn{near, far} {
			wg.Go(func() {
				_, err := c.Write(data)
				assert.NoError(t, err)
				assert.NoError(t, c.CloseWrite())
			})
		}
		time.Sleep(time.Hour)
		for _, c := range []*heartbeat.Conn{near, far} {
			wg.Go(func() {
				got, err := io.ReadAll(c)
				assert.NoError(t, err)
				requireEqualBytes(t, data, got)
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
		assertAlive(t, near, far) // heartbeats go on after the end of the data
	})
}

// TestConnResumed: what dies while the application does not read is found when it
// reads again, after a full round.
func TestConnResumed(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, cfg10s)
		go func() {
			r.Write([]byte(heartbeat.Preface(time.Minute)))
			for range heartbeat.BufferSize >> 11 {
				r.Write([]byte(heartbeat.Frame(heartbeat.FrameData, strings.Repeat("x", 2<<10))))
			}
		}()
		var pongs, others int
		var mu sync.Mutex
		go func() {
			io.ReadFull(r, make([]byte, heartbeat.PrefaceLen))
			b := make([]byte, heartbeat.MaxControl)
			for {
				n, err := r.Read(b)
				if err != nil {
					return
				}
				mu.Lock()
				if bytes.Equal(b[:n], []byte(heartbeat.Numbered(heartbeat.FramePong, 0, ""))) {
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
		dead := requireDeadError(t, err)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.GreaterOrEqual(t, dead.Silence, time.Hour)
		assert.Equal(t, 2, dead.Unanswered)
	})
}

func TestConnRTT(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, cfg10s)
		go io.Copy(io.Discard, c)
		go func() {
			r.Write([]byte(heartbeat.Preface(time.Hour)))
			io.ReadFull(r, make([]byte, heartbeat.PrefaceLen))
			for i := uint32(1); ; i++ {
				b := make([]byte, heartbeat.HeaderLen+heartbeat.NumberLen)
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				assert.Equal(t, heartbeat.Numbered(heartbeat.FramePing, i, ""), string(b))
				time.Sleep(time.Duration(i) * time.Second)
				r.Write([]byte(heartbeat.Numbered(heartbeat.FramePong, i, "")))
				r.Write([]byte(heartbeat.Numbered(heartbeat.FramePong, i, ""))) // no matter
				r.Write([]byte(heartbeat.Numbered(heartbeat.FramePong, 0, "")))
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

func TestConnCallbacks(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cfg := cfg10s
		cfg.Payload = func() []byte { return make([]byte, heartbeat.MaxPingPayload+1) }
		c, r := rawPeer(t, cfg)
		r.drain()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorContains(t, err, "Payload returned 125 bytes: must be at most 124")

		closer := make(chan *heartbeat.Conn, 1)
		cfg = cfg10s
		cfg.Payload = func() []byte { return make([]byte, heartbeat.MaxPingPayload) }
		cfg.OnPing = func(payload []byte) {
			assert.Len(t, payload, heartbeat.MaxPingPayload)
			go (<-closer).Close() // Close waits for OnPing
		}
		c, r = rawPeer(t, cfg)
		closer <- c
		r.drain()
		go r.Write([]byte(heartbeat.Preface(time.Hour) + heartbeat.Numbered(heartbeat.FramePing, 1, string(make([]byte, heartbeat.MaxPingPayload)))))
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}

// TestConnResetPaused: the kernel returns ECONNRESET only once, here to the write of a pong. Read and
// Write still return it.
func TestConnResetPaused(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	c, err := heartbeat.NewConn(near, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 50 * time.Millisecond, Timeout: 20 * time.Second}})
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(far, heartbeat.Preface(50*time.Millisecond))
	go io.Copy(io.Discard, far)
	io.WriteString(far, heartbeat.Frame(heartbeat.FrameData, string(make([]byte, 64000))))
	require.Eventually(t, c.Paused, 10*time.Second, time.Millisecond)
	far.SetLinger(0)
	far.Close()
	require.Eventually(t, func() bool { return c.SendError() != nil }, 10*time.Second, time.Millisecond)
	_, err = io.Copy(io.Discard, c)
	if keepalive.Diagnose(err) != keepalive.Reset {
		t.Errorf("%v", err)
	}
	_, err = c.Write([]byte{1})
	assert.Equal(t, keepalive.Reset, keepalive.Diagnose(err), "%v", err)
}

// TestConnUserTimeout: when the kernel drops a connection, Read and Write both report a
// dead peer, although the kernel reports it once.
func TestConnUserTimeout(t *testing.T) {
	t.Parallel()
	conn, far := testpeer.New(t, "tcp")
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Second}))
	c, err := heartbeat.NewConn(conn, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 20 * time.Second, Timeout: time.Minute}})
	require.NoError(t, err)
	defer c.Close()
	for range heartbeat.PrefaceLen { // what was sent comes back, and is a preface
		require.NoError(t, far.Echo())
	}
	testpeer.SkipIfUnsupported(t, far.Deaf())
	err = nil
	for start := time.Now(); err == nil && time.Since(start) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		_, err = c.Write([]byte{1})
	}
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err), "%v", err)
	_, err = c.Read(make([]byte, 1))
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err), "%v", err)
}

// TestConnBacklog: what a peer sent while this side was stopped or suspended is no
// flood.
func TestConnBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := rawPeer(t, cfg10s)
		r.drain()
		r.send(heartbeat.Preface(10 * time.Second))
		heartbeat.Suspend(t, time.Hour)
		for i := range uint32(300) {
			r.send(heartbeat.Numbered(heartbeat.FramePing, i+1, ""))
		}
		_, err := c.Write([]byte{1})
		assert.NoError(t, err)
	})
}

func TestConnSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, cfg10s)
		r.drain()
		r.send(heartbeat.Preface(time.Hour))
		time.Sleep(24 * time.Second)
		heartbeat.Suspend(t, time.Hour)
		_, err := c.Read(make([]byte, 1))
		requireDeadError(t, err)
		assert.Equal(t, 50*time.Second, time.Since(start), "a full round from when it was noticed")
	})
}

// TestConnWrappedLater: the peer's application wraps its end when many pings wait. That
// is no reason to end the connection.
func TestConnWrappedLater(t *testing.T) {
	t.Parallel()
	a, b := tcpPair(t)
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 20 * time.Millisecond, Timeout: 10 * time.Second}}
	near, err := heartbeat.NewConn(a, cfg)
	require.NoError(t, err)
	defer near.Close()
	time.Sleep(900 * time.Millisecond) // more than 40 pings
	far, err := heartbeat.NewConn(b, cfg)
	require.NoError(t, err)
	defer far.Close()
	go near.Write([]byte("abc"))
	far.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, 3)
	_, err = io.ReadFull(far, got)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(got))
	require.Eventually(t, func() bool { _, ok := near.RTT(); return ok }, 20*time.Second, time.Millisecond)
	assertAlive(t, near, far)
}

// TestConnShortTimeout: a peer has 250 ms to answer a ping, even if Timeout is shorter,
// because a busy machine cannot schedule it sooner. Then it is dead.
func TestConnShortTimeout(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Millisecond, Timeout: 3 * time.Millisecond}})
		r.drain()
		r.send(heartbeat.Preface(time.Hour))
		time.Sleep(200 * time.Millisecond)
		r.send(heartbeat.Numbered(heartbeat.FramePong, 0, ""))
		_, err := c.Read(make([]byte, 1))
		requireDeadError(t, err)
		assert.Equal(t, 451*time.Millisecond, time.Since(start))
	})
}
