package heartbeat

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

// TestConnNoAllocation: a Conn moves data without allocating.
func TestConnNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("cannot be had here: the race detector allocates")
	}
	x, y := tcpPair(t)
	near, far := wrap(t, x, y, minute)
	for _, size := range []int{100, 512, 64 << 10} {
		out, in := make([]byte, size), make([]byte, size)
		exchange := func() {
			near.Write(out)
			io.ReadFull(far, in)
		}
		exchange()
		assert.Zero(t, testing.AllocsPerRun(1000, exchange), size)
	}
}

// TestHeard holds the cost of Heard against its limit, or on a slow machine against
// that of reading the clock.
func TestHeard(t *testing.T) {
	if raceEnabled {
		t.Skip("cannot be had here: the race detector slows it down")
	}
	var m Monitor
	defer m.Stop()
	p, err := m.Add(minute.Config, func() error { return nil }, func(*DeadError) {})
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(1000, p.Heard))
	least := func(f func()) time.Duration { // for others use this machine, too
		const n = 10000
		least := time.Hour
		for range 100 {
			start := time.Now()
			for range n {
				f()
			}
			least = min(least, time.Since(start)/n)
		}
		return least
	}
	heard, clock := least(p.Heard), least(func() { now() })
	t.Logf("Heard takes %v, the clock %v of it", heard, clock)
	assert.Less(t, heard, max(50*time.Nanosecond, 2*clock))
}

// inUse is the memory of heap and stacks, after a collection.
func inUse() int {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc + s.StackInuse)
}

// addPeers watches over n peers whose pings are answered at once.
func addPeers(t testing.TB, m *Monitor, n int, cfg Config, pings *atomic.Int64) {
	for range n {
		var p *Peer
		var err error
		p, err = m.Add(cfg, func() error {
			pings.Add(1)
			p.Heard()
			return nil
		}, func(e *DeadError) { t.Error(e) })
		require.NoError(t, err)
	}
}

// TestMonitorMemory: a million peers take 256 bytes each at most, what their
// functions capture included, and no goroutine.
func TestMonitorMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("cannot be had here: the race detector takes memory of its own")
	}
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	var m Monitor
	var pings atomic.Int64
	goroutines, before := runtime.NumGoroutine(), inUse()
	addPeers(t, &m, n, minute.Config, &pings)
	each := float64(inUse()-before) / float64(n)
	t.Logf("%d peers take %.0f bytes each", n, each)
	assert.LessOrEqual(t, each, 256.0)
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines+2)
	m.Stop()
	assert.Zero(t, pings.Load())
}
