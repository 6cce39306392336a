package heartbeat_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnNotReading: an application reads nothing for an hour. Neither side reports the other one
// dead, the buffer stays small, and no data is lost.
func TestConnNotReading(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, cfg10s)
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
		assert.True(t, far.Paused())
		_, err := far.Write([]byte("still here"))
		require.NoError(t, err)

		got, err := io.ReadAll(iotestSlow{far})
		require.NoError(t, err)
		requireEqualBytes(t, data, got)
		require.NoError(t, <-wrote)
		require.NoError(t, far.CloseWrite())
		assert.Equal(t, "still here", string(<-back))
		time.Sleep(time.Hour)
		_, err = far.Write(nil)
		assert.ErrorIs(t, err, heartbeat.ErrWriteEnded)
		assert.NoError(t, far.Close())
	})
}

// iotestSlow reads with long pauses in between.
type iotestSlow struct{ io.Reader }

func (s iotestSlow) Read(b []byte) (int, error) {
	time.Sleep(30 * time.Second)
	return s.Reader.Read(b)
}

// TestConnTakeover: calls of Read with short deadlines replace the reader in the background again
// and again. No byte is lost.
func TestConnTakeover(t *testing.T) {
	virtual(t, func(t *testing.T) {
		near, far := pipe(t, cfg10s)
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
		requireEqualBytes(t, data, got)
	})
}

// TestConnBursts: an application that takes what there is, and then has other
// things to do, pauses often. That is no flood of pongs.
func TestConnBursts(t *testing.T) {
	t.Parallel()
	for _, gap := range []time.Duration{25 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		t.Run(gap.String(), func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				near, far := pipe(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 5 * time.Second, Timeout: 15 * time.Second}})
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

// TestConnSmallPieces: an application reads a few bytes every few milliseconds, out of
// data that has arrived. Meanwhile, pings are answered and the peer is heard.
func TestConnSmallPieces(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, c := range []struct {
			bytes             int
			every             time.Duration
			interval, timeout time.Duration
		}{
			{20, 5 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond},
			{1, 3 * time.Millisecond, 5 * time.Second, 15 * time.Second},
		} {
			near, far := pipe(t, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: c.interval, Timeout: c.timeout}})
			data := random(40 << 10)
			wrote := make(chan error, 1)
			go func() { _, err := near.Write(data); wrote <- err }()
			time.Sleep(time.Second) // the buffer is full
			var got []byte
			for b := make([]byte, c.bytes); len(got) < len(data); {
				n, err := far.Read(b)
				require.NoError(t, err)
				got = append(got, b[:n]...)
				time.Sleep(c.every)
			}
			requireEqualBytes(t, data, got)
			require.NoError(t, <-wrote)
			assertAlive(t, near, far)
			near.Close()
			far.Close()
		}
	})
}

// TestConnPolled: an application that polls with read deadlines gets the DeadError, and
// does not spin.
func TestConnPolled(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		c, r := rawPeer(t, cfg10s)
		r.drain()
		r.send(heartbeat.Preface(time.Hour), heartbeat.Frame(heartbeat.FrameData, "abc"))
		reads, err := 0, error(os.ErrDeadlineExceeded)
		for errors.Is(err, os.ErrDeadlineExceeded) {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
			_, err = c.Read(make([]byte, 100))
			if err == nil { // the data
				err = os.ErrDeadlineExceeded
			}
			reads++
		}
		requireDeadError(t, err)
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.LessOrEqual(t, reads, 27)
		assert.NoError(t, c.SetReadDeadline(time.Now().Add(-time.Second)))
		_, err = c.Read(make([]byte, 100))
		requireDeadError(t, err)
	})
}

// TestConnEndAfterData: data and the end that arrive together are read in this order,
// however long OnPing takes.
func TestConnEndAfterData(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for range 200 {
			cfg := cfg10s
			cfg.OnPing = func([]byte) { time.Sleep(100 * time.Microsecond) }
			c, r := rawPeer(t, cfg)
			r.drain()
			go r.Write([]byte(heartbeat.Preface(time.Hour) + heartbeat.Frame(heartbeat.FrameData, "abc") + heartbeat.Frame(heartbeat.FrameEnd, "") + heartbeat.Numbered(heartbeat.FramePing, 1, "")))
			b := make([]byte, 100)
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			n, err := c.Read(b)
			require.NoError(t, err)
			require.Equal(t, "abc", string(b[:n]))
			_, err = c.Read(b)
			require.Equal(t, io.EOF, err)
			c.Close()
			r.Close()
		}
	})
}
