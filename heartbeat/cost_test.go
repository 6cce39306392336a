package heartbeat

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tcpPair returns both ends of a connection over loopback.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// wrap makes a Conn of both ends.
func wrap(t testing.TB, a, b net.Conn, cfg ConnConfig) (near, far *Conn) {
	t.Helper()
	near, err := NewConn(a, cfg)
	require.NoError(t, err)
	far, err = NewConn(b, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

var minute = ConnConfig{Config: Config{Interval: time.Minute, Timeout: 2 * time.Minute}}

// move writes total bytes, size at a time, to one end and reads them at the other.
func move(b testing.TB, from, to net.Conn, size, total int, out, in []byte) time.Duration {
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		for left := total; left > 0; {
			n, err := to.Read(in[:min(len(in), left)])
			if err != nil {
				done <- err
				return
			}
			left -= n
		}
		done <- nil
	}()
	for left := total; left > 0; left -= size {
		_, err := from.Write(out[:size])
		require.NoError(b, err)
	}
	require.NoError(b, <-done)
	return time.Since(start)
}

// BenchmarkConn compares the throughput of a Conn with that of the bare TCP
// connection, in turns, and fails when it is less than it may be.
func BenchmarkConn(b *testing.B) {
	for _, c := range []struct {
		size, total int
		least       float64
	}{
		{64 << 10, 64 << 20, 0.9},
		{512, 4 << 20, 0.6},
	} {
		b.Run(fmt.Sprint(c.size), func(b *testing.B) {
			bareFrom, bareTo := tcpPair(b)
			x, y := tcpPair(b)
			from, to := wrap(b, x, y, minute)
			out, in := make([]byte, c.size), make([]byte, 64<<10)
			for b.Loop() {
				const rounds = 21
				var ratios, bare, wrapped []float64
				for range rounds {
					t := move(b, bareFrom, bareTo, c.size, c.total, out, in)
					u := move(b, from, to, c.size, c.total, out, in)
					ratios = append(ratios, float64(t)/float64(u))
					bare = append(bare, float64(c.total)/t.Seconds()/1e6)
					wrapped = append(wrapped, float64(c.total)/u.Seconds()/1e6)
				}
				b.ReportMetric(median(bare), "MB/s-bare")
				b.ReportMetric(median(wrapped), "MB/s-Conn")
				b.ReportMetric(median(ratios), "×bare")
				if r := median(ratios); r < c.least {
					b.Errorf("a Conn moves %.2f times what the bare connection does in writes of %d bytes: want %v at least", r, c.size, c.least)
				}
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

var _ = io.EOF
