package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-keepalive/keepalive/internal/realtime"
)

// TestPackets: a probe and its answer are headers only. IP has 20 bytes, or 40 for IPv6,
// and TCP 20, and 12 with timestamps.
func TestPackets(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		n, err := newNamespace()
		need(t, err)
		defer n.close()
		packets, err := n.packets("127.0.0.1:0", false)
		need(t, err)
		if assert.Len(t, packets, 2) {
			assert.Equal(t, []int{52, 52}, []int{packets[0].IP, packets[1].IP})
		}
		packets, err = n.packets("127.0.0.1:0", true)
		need(t, err)
		assert.GreaterOrEqual(t, len(packets), 3)
		assert.Equal(t, 8, packets[0].Payload)
	})(t)
}

// TestProcessorTime: the measurement finds the segments, and a time.
func TestProcessorTime(t *testing.T) {
	t.Parallel()
	n, err := newNamespace()
	need(t, err)
	defer n.close()
	conns, stop, err := n.idleConnections(100)
	need(t, err)
	defer stop()
	fds, err := descriptors(conns)
	need(t, err)
	micros, err := n.byCall(fds)
	need(t, err)
	assert.Greater(t, micros, 0.0)
	assert.Less(t, micros, 1000.0)
	beat, err := n.heartbeatTime(expense{connections: 100, rounds: 2, window: 4 * time.Second})
	need(t, err)
	assert.Greater(t, beat.median, 0.0)
}

func TestFigures(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "3.0 (2.0 to 4.0)", figureOf([]float64{5, 1, 3, 2, 4}).String())
	assert.Equal(t, "1.5 (1.0 to 2.0)", figureOf([]float64{2, 1}).String())
	assert.Contains(t, figureOf(nil).String(), "NaN")
	for v, want := range map[float64]string{0.00002: "<0.0001", 0.0123: "0.012", 9.4: "9.4", 12.34: "12", 123: "120", 1440000: "1400000"} {
		assert.Equal(t, want, digits(v))
	}
	for v, want := range map[float64]string{12: "12 B", 8320: "8.3 kB", 55e6: "55 MB", 7e12: "7 TB"} {
		assert.Equal(t, want, unit(v, "B"))
	}
	for d, want := range map[time.Duration]string{15 * time.Second: "15s", 280 * time.Second: "4m40s", 2 * time.Hour: "2h", 3 * time.Minute: "3m"} {
		assert.Equal(t, want, short(d))
	}
}
