package heartbeat_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

// TestConnNonsense: whatever breaks the format ends the connection with an error
// that says how.
func TestConnNonsense(t *testing.T) {
	virtual(t, func(t *testing.T) {
		hello := heartbeat.Preface(time.Second)
		for sent, want := range map[string]string{
			"HTTP/1.1 400 Bad Request\r\n":  `invalid preface "HTTP/1.1"`,
			"\xb7h":                         "", // the beginning of a preface
			"\xb7hX":                        `invalid preface "\xb7hX"`,
			"\xb7hb\x02":                    "version 2: must be 1",
			heartbeat.Preface(0):            "interval 0 in the preface: must be at least 1",
			hello + "\x00\x00\x00\x00":      "unknown frame type 0",
			hello + "\x07":                  "",
			hello + heartbeat.Frame(7, "x"): "unknown frame type 7",
			hello + heartbeat.Frame(heartbeat.FrameData, ""):                                            "frame of type 1 has a payload of 0 bytes: must be 1 to 65536",
			hello + "\x01\x01\x00\x01":                                                                  "frame of type 1 has a payload of 65537 bytes: must be 1 to 65536",
			hello + "\x02\xff\xff\xff":                                                                  "frame of type 2 has a payload of 16777215 bytes: must be 4 to 128",
			hello + heartbeat.Frame(heartbeat.FramePing, "abc"):                                         "frame of type 2 has a payload of 3 bytes: must be 4 to 128",
			hello + heartbeat.Frame(heartbeat.FramePong, "abcde"):                                       "frame of type 3 has a payload of 5 bytes: must be 4 to 4",
			hello + heartbeat.Frame(heartbeat.FrameEnd, "x"):                                            "frame of type 4 has a payload of 1 bytes: must be 0 to 0",
			hello + heartbeat.Numbered(heartbeat.FramePing, 0, ""):                                      "ping number 0: must be at least 1",
			hello + heartbeat.Frame(heartbeat.FrameEnd, "") + heartbeat.Frame(heartbeat.FrameData, "x"): "data frame after end frame",
			hello + heartbeat.Frame(heartbeat.FrameEnd, "") + heartbeat.Frame(heartbeat.FrameEnd, ""):   "duplicate end frame",
		} {
			c, r := rawPeer(t, cfg10s)
			r.drain()
			r.send(sent)
			synctest.Wait()
			_, err := c.Write([]byte{1})
			if want == "" {
				assert.NoErrorf(t, err, "%q", sent)
				c.Close()
				continue
			}
			assert.ErrorIs(t, err, heartbeat.ErrProtocol)
			assert.ErrorContains(t, err, "heartbeat: protocol error: "+want)
			if _, err = c.Read(make([]byte, 1)); err != io.EOF { // which came first, after end
				assert.ErrorIs(t, err, heartbeat.ErrProtocol)
			}
			_, err = r.Write([]byte{1})
			assert.ErrorIs(t, err, io.ErrClosedPipe, "the connection inside is closed")
		}
	})
}

// TestConnNoPreface: a peer that sends nothing is reported dead. If the preface is incomplete after
// Timeout, the connection ends with an error.
func TestConnNoPreface(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, said := range []string{"", heartbeat.Magic} {
			start := time.Now()
			c, r := rawPeer(t, cfg10s)
			r.drain()
			r.send(said)
			_, err := c.Read(make([]byte, 1))
			assert.Equal(t, 25*time.Second, time.Since(start))
			if said == "" {
				requireDeadError(t, err)
				continue
			}
			dead := new(heartbeat.DeadError)
			if !errors.As(err, &dead) { // both are true in the same moment
				assert.ErrorIs(t, err, heartbeat.ErrProtocol)
			}
		}

		start := time.Now()
		c, r := rawPeer(t, cfg10s)
		r.drain()
		go func() {
			for _, b := range []byte(heartbeat.Preface(time.Hour)) {
				if _, err := r.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(8 * time.Second)
			}
		}()
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, heartbeat.ErrProtocol)
		assert.ErrorContains(t, err, "no complete preface after 25s")
		assert.Equal(t, 25*time.Second, time.Since(start))
		time.Sleep(time.Minute) // until the goroutine is gone
	})
}

// TestConnSlow: a peer that sends a frame byte by byte cannot keep a connection open for
// ever. A slow line is no error.
func TestConnSlow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		for _, c := range []struct {
			frame string
			every time.Duration
			dies  bool
		}{
			{"\x01\x00\x00\x01x", 24 * time.Second, true},
			{heartbeat.Numbered(heartbeat.FramePing, 1, "0123456789"), 24 * time.Second, true},
			{heartbeat.Frame(heartbeat.FrameData, strings.Repeat("x", heartbeat.MaxData)), 24 * time.Second, true},
			{heartbeat.Frame(heartbeat.FrameData, strings.Repeat("x", heartbeat.MaxData)), 20 * time.Millisecond, false}, // 400 bit/s
			{heartbeat.Numbered(heartbeat.FramePing, 1, "0123456789"), 2 * time.Second, false},
		} {
			conn, r := rawPeer(t, cfg10s)
			r.drain()
			r.send(heartbeat.Preface(time.Hour))
			start := time.Now()
			go func() {
				for _, b := range []byte(c.frame) {
					if _, err := r.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(c.every)
				}
				r.Write([]byte(heartbeat.Frame(heartbeat.FrameEnd, "")))
				r.Close()
			}()
			_, err := io.Copy(io.Discard, conn)
			if c.dies {
				assert.ErrorIs(t, err, heartbeat.ErrProtocol)
				assert.ErrorContains(t, err, "incomplete after")
				assert.LessOrEqual(t, time.Since(start), time.Duration(3+len(c.frame)/1024)*25*time.Second)
			} else {
				assert.NoError(t, err)
			}
			conn.Close()
			time.Sleep(time.Minute) // until the goroutine is gone
		}
	})
}

// TestConnManyPings: a peer that was wrapped later, or a process that was stopped, has
// many pings waiting. They are answered.
func TestConnManyPings(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		conn, r := rawPeer(t, cfg10s)
		answers := make(chan uint32, 10_000)
		go func() {
			io.ReadFull(r, make([]byte, heartbeat.PrefaceLen))
			b := make([]byte, heartbeat.HeaderLen+heartbeat.NumberLen)
			for {
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				if b[0] == heartbeat.FramePong {
					answers <- binary.BigEndian.Uint32(b[heartbeat.HeaderLen:])
				}
			}
		}()
		r.send(heartbeat.Preface(10 * time.Second))
		const n = 5000
		for i := range uint32(n) {
			r.send(heartbeat.Numbered(heartbeat.FramePing, i+1, ""))
		}
		for number := range answers {
			if number == n {
				break
			}
		}
		r.send(heartbeat.Frame(heartbeat.FrameData, "x"))
		_, err := conn.Read(make([]byte, 1))
		assert.NoError(t, err)
	})
}

// TestConnSlowPolled: read deadlines do not hide that a frame takes for ever.
func TestConnSlowPolled(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}})
		r.drain()
		r.send(heartbeat.Preface(time.Hour))
		go func() {
			for _, b := range []byte(heartbeat.Frame(heartbeat.FramePing, string(make([]byte, 100)))) {
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
		require.ErrorIs(t, err, heartbeat.ErrProtocol)
		assert.Less(t, time.Since(start), 2*time.Minute)
		time.Sleep(time.Minute) // until the peer has noticed
	})
}

// TestConnSlowSocket is TestConnSlow with sockets of the kernel.
func TestConnSlowSocket(t *testing.T) { realtime.Test(testConnSlowSocket)(t) }

func testConnSlowSocket(t testing.TB) {
	near, far := tcpPair(t)
	go io.Copy(io.Discard, far)
	_, err := io.WriteString(far, heartbeat.Preface(time.Hour)+heartbeat.Frame(heartbeat.FrameData, "abc"))
	require.NoError(t, err)
	c, err := heartbeat.NewConn(near, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 50 * time.Millisecond, Timeout: time.Second}})
	require.NoError(t, err)
	defer c.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		got, err := io.ReadAll(c)
		assert.Equal(t, "abc", string(got))
		assert.ErrorIs(t, err, heartbeat.ErrProtocol)
		assert.ErrorContains(t, err, "incomplete after")
	}()
	for _, b := range []byte(heartbeat.Numbered(heartbeat.FramePing, 1, string(make([]byte, heartbeat.MaxPingPayload)))) {
		far.Write([]byte{b})
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("the ping had to be complete after two Timeouts")
}
