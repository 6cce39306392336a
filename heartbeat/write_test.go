package heartbeat_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnDeadlines: they hold while the background reads or writes, too, and a
// change counts for what is pending.
func TestConnDeadlines(t *testing.T) {
	virtual(t, func(t *testing.T) {
		c, r := rawPeer(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour}})
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
		r.drain()
		r.send(heartbeat.Preface(time.Hour), heartbeat.Frame(heartbeat.FrameData, "abc"))
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
		near, far := pipe(t, cfg10s)
		for _, c := range []*heartbeat.Conn{near, far} {
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
	t.Parallel()
	for _, network := range []string{"pipe", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var a, b net.Conn = net.Pipe()
			if network == "tcp" {
				x, y := tcpPair(t)
				x.SetWriteBuffer(64 << 10)
				a, b = x, y
			}
			near, far := wrap(t, a, b, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Millisecond, Timeout: time.Minute, Jitter: 1}})
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
			requireEqualBytes(t, data, got.Bytes())
		})
	}
}
