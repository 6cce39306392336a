package heartbeat

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// cpu is the processor time that this process has used.
func cpu(t testing.TB) time.Duration {
	var u unix.Rusage
	assert.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMonitor measures what it costs to ping many peers ten times a minute,
// when pings cost nothing, and compares it with a goroutine and a ticker for each.
// It fails when that is more than it may be.
func BenchmarkMonitor(b *testing.B) {
	const peers = 100_000
	cfg := Config{Interval: 6 * time.Second, Timeout: time.Minute, Jitter: 0.1}
	const perSecond = peers * 10 / 60
	// measure returns the bytes of each peer, and the part of a core that all of
	// them take at ten pings a minute.
	measure := func(pings *atomic.Int64, start func()) (each, core float64) {
		before := inUse()
		start()
		each = float64(inUse()-before) / peers
		began := cpu(b)
		for pings.Load() < peers { // all once
			time.Sleep(100 * time.Millisecond)
		}
		return each, (cpu(b) - began).Seconds() / float64(pings.Load()) * perSecond
	}
	for b.Loop() {
		var m Monitor
		var pings atomic.Int64
		each, core := measure(&pings, func() { addPeers(b, &m, peers, cfg, &pings) })
		m.Stop()

		done := make(chan struct{})
		pings.Store(0)
		eachGoroutine, coreGoroutine := measure(&pings, func() {
			for range peers {
				var heard atomic.Int64
				go func() {
					ticker := time.NewTicker(cfg.Interval)
					defer ticker.Stop()
					for {
						select {
						case <-done:
							return
						case <-ticker.C:
							if time.Duration(now()-heard.Load()) > cfg.Interval {
								pings.Add(1)
								heard.Store(now())
							}
						}
					}
				}()
			}
		})
		close(done)
		b.ReportMetric(each, "B/peer")
		b.ReportMetric(eachGoroutine, "B/goroutine")
		b.ReportMetric(100*core, "%core")
		b.ReportMetric(100*coreGoroutine, "%core-goroutines")
		if each > 256 {
			b.Errorf("%.0f bytes for each peer: want 256 at most", each)
		}
		if core > 0.05 {
			b.Errorf("%d peers take %.1f %% of a core at ten pings a minute: want less than 5 %%", peers, 100*core)
		}
	}
}
