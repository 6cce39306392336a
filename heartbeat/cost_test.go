//go:build !race

package heartbeat_test

// The race detector takes time and memory of its own.

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnNoAllocation: a Conn moves data without allocating.
func TestConnNoAllocation(t *testing.T) {
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
	var m heartbeat.Monitor
	defer m.Stop()
	p, err := m.Add(minute.Config, func() error { return nil }, func(*heartbeat.DeadError) {})
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
	heard, clock := least(p.Heard), least(heartbeat.ReadClock)
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
func addPeers(t testing.TB, m *heartbeat.Monitor, n int, cfg heartbeat.Config, pings *atomic.Int64) {
	for range n {
		var p *heartbeat.Peer
		var err error
		p, err = m.Add(cfg, func() error {
			pings.Add(1)
			p.Heard()
			return nil
		}, func(e *heartbeat.DeadError) { t.Error(e) })
		require.NoError(t, err)
	}
}

// TestMonitorMemory: many peers take 256 bytes each at most, what their
// functions capture included, and no goroutine.
func TestMonitorMemory(t *testing.T) {
	const n = 200_000
	var m heartbeat.Monitor
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
