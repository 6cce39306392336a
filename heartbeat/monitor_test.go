package heartbeat_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soon holds when got is want, or up to a tick later.
func soon(t *testing.T, want, got time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, got, want, "never early")
	assert.Less(t, got, want+heartbeat.TickLength, "late by a tick at most")
}

// idle holds when m has nothing left.
func idle(t *testing.T, m *heartbeat.Monitor) {
	t.Helper()
	synctest.Wait()
	assert.Zero(t, m.State())
}

func noPing(t *testing.T) func() error { return func() error { t.Error("a ping"); return nil } }

func noDeath(t *testing.T) func(*heartbeat.DeadError) {
	return func(e *heartbeat.DeadError) { t.Error(e) }
}

func TestMonitorDeath(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		start := time.Now()
		cause := errors.New("broken pipe")
		var pings []time.Duration
		died := make(chan *heartbeat.DeadError, 2)
		p, err := m.Add(tenSeconds, func() error {
			pings = append(pings, time.Since(start))
			return cause
		}, func(e *heartbeat.DeadError) { died <- e })
		require.NoError(t, err)
		e := <-died
		soon(t, 25*time.Second, time.Since(start))
		soon(t, 25*time.Second, e.Silence)
		assert.Equal(t, &heartbeat.DeadError{Silence: e.Silence, Unanswered: 2, Err: cause}, e)
		require.Len(t, pings, 2)
		soon(t, 10*time.Second, pings[0])
		soon(t, 10*time.Second, pings[1]-pings[0])
		idle(t, &m)

		p.Heard() // none of this brings it back
		p.Sent()
		p.Stop()
		time.Sleep(time.Minute)
		assert.Empty(t, died)
		idle(t, &m)
	})
}

// TestMonitorTraffic: while bytes come there is no ping.
func TestMonitorTraffic(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		p, err := m.Add(tenSeconds, noPing(t), noDeath(t))
		require.NoError(t, err)
		for range 20 {
			time.Sleep(10*time.Second - heartbeat.TickLength)
			p.Heard()
			p.Sent() // no matter
		}
		p.Stop()
		p.Stop()
		idle(t, &m)
	})
}

// TestMonitorAnswers: a peer that answers each ping lives, and is pinged each
// Interval after the answer.
func TestMonitorAnswers(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		heard := make(chan time.Time, 1)
		answered := make(chan bool)
		p, err := m.Add(tenSeconds, func() error {
			soon(t, 10*time.Second, time.Since(<-heard))
			answered <- true
			return nil
		}, noDeath(t))
		require.NoError(t, err)
		for range 100 {
			heard <- time.Now()
			<-answered
			time.Sleep(5 * time.Second)
			p.Heard()
		}
		m.Stop()
		idle(t, &m)
	})
}

func TestMonitorOneWay(t *testing.T) {
	virtual(t, func(t *testing.T) {
		m := heartbeat.Monitor{OneWay: true}
		c := tenSeconds
		start := time.Now()
		var mu sync.Mutex
		var announced []time.Duration
		p, err := m.Add(c, func() error {
			mu.Lock()
			defer mu.Unlock()
			announced = append(announced, time.Since(start))
			return nil
		}, noDeath(t))
		require.NoError(t, err)
		for i := range 100 { // the peer talks all the time; and so does this side, later
			time.Sleep(time.Second)
			p.Heard()
			if i >= 34 {
				p.Sent()
			}
		}
		time.Sleep(25 * time.Second)
		m.Stop()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, announced, 5)
		for i, at := range []time.Duration{10, 20, 30, 110, 120} {
			assert.InDelta(t, at*time.Second, announced[i], 4*float64(heartbeat.TickLength))
			assert.GreaterOrEqual(t, announced[i], at*time.Second)
		}

		died := make(chan *heartbeat.DeadError)
		start = time.Now()
		_, err = m.Add(c, func() error { return nil }, func(e *heartbeat.DeadError) { died <- e })
		require.NoError(t, err)
		e := <-died // this side announces itself, and the other does not
		soon(t, 25*time.Second, time.Since(start))
		assert.Equal(t, 2, e.Unanswered)
		idle(t, &m)
	})
}

// TestMonitorBlocked: pings that block do not delay other peers. A peer from which bytes arrive is
// not reported dead.
func TestMonitorBlocked(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		full := make(chan struct{})
		const n = 1000
		calls := make([]int, n)
		peers := make([]*heartbeat.Peer, n)
		for i := range peers {
			var err error
			peers[i], err = m.Add(tenSeconds, func() error { calls[i]++; <-full; return nil }, noDeath(t))
			require.NoError(t, err)
		}
		start := time.Now()
		pings := make(chan time.Time, 1)
		p, err := m.Add(tenSeconds, func() error { pings <- time.Now(); return nil }, noDeath(t))
		require.NoError(t, err)
		for i := range 20 {
			late := (<-pings).Sub(start) - 10*time.Second
			assert.GreaterOrEqual(t, late, time.Duration(0))
			if i == 0 { // behind a thousand that block; callers double with each tick
				assert.Less(t, late, 12*heartbeat.TickLength)
			} else {
				assert.Less(t, late, 2*heartbeat.TickLength)
			}
			start = time.Now()
			p.Heard()
			for _, p := range peers {
				p.Heard()
			}
		}
		synctest.Wait()
		for i := range calls {
			assert.Equal(t, 1, calls[i], "one at a time")
		}
		close(full)
		synctest.Wait()
		m.Stop()
		idle(t, &m)
	})
}

// TestMonitorBlockedSilent: a silent peer whose ping blocks is reported dead in time. Functions that
// block, and many dead peers, do not delay that.
func TestMonitorBlockedSilent(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		full := make(chan struct{})
		start := time.Now()
		var died atomic.Int32
		const n = 1000
		for range n {
			_, err := m.Add(tenSeconds, func() error { <-full; return nil }, func(e *heartbeat.DeadError) {
				assert.Equal(t, 1, e.Unanswered)
				assert.GreaterOrEqual(t, time.Since(start), 25*time.Second)
				assert.Less(t, time.Since(start), 25*time.Second+12*heartbeat.TickLength)
				died.Add(1)
				<-full
			})
			require.NoError(t, err)
		}
		time.Sleep(26 * time.Second)
		assert.EqualValues(t, n, died.Load())
		close(full)
		idle(t, &m)
	})
}

// TestMonitorStopInside: Stop is safe in both functions, and ends all at once.
func TestMonitorStopInside(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, stop := range []func(*heartbeat.Monitor, *heartbeat.Peer){
			func(_ *heartbeat.Monitor, p *heartbeat.Peer) { p.Stop() },
			func(m *heartbeat.Monitor, _ *heartbeat.Peer) { m.Stop() },
		} {
			var m heartbeat.Monitor
			peer := make(chan *heartbeat.Peer, 1)
			var calls atomic.Int32
			p, err := m.Add(tenSeconds, func() error { calls.Add(1); stop(&m, <-peer); return nil }, noDeath(t))
			require.NoError(t, err)
			peer <- p
			time.Sleep(11 * time.Second)
			idle(t, &m)
			time.Sleep(time.Hour)
			assert.EqualValues(t, 1, calls.Load())

			p, err = m.Add(tenSeconds, func() error { return nil }, func(*heartbeat.DeadError) { calls.Add(1); stop(&m, <-peer) })
			require.NoError(t, err)
			peer <- p
			time.Sleep(time.Hour)
			assert.EqualValues(t, 2, calls.Load())
			idle(t, &m)
		}
	})
}

// TestMonitorStop ends many peers at once, whatever they are at: none of their
// functions is called any more.
func TestMonitorStop(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, after := range []time.Duration{0, 5 * time.Second, 10*time.Second + heartbeat.TickLength/2, 10*time.Second + 3*heartbeat.TickLength, 25*time.Second + 3*heartbeat.TickLength} {
			var m heartbeat.Monitor
			full := make(chan struct{})
			var stopped atomic.Bool
			check := func() {
				assert.False(t, stopped.Load())
				<-full
			}
			for range 100 {
				_, err := m.Add(tenSeconds, func() error { check(); return nil }, func(*heartbeat.DeadError) { check() })
				require.NoError(t, err)
			}
			time.Sleep(after)
			m.Stop()
			stopped.Store(true)
			assert.False(t, m.State().Timer)
			time.Sleep(time.Hour)
			close(full)
			idle(t, &m)
		}
	})
}

// TestMonitorJitter: peers that come at the same moment do not stay in step.
func TestMonitorJitter(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		c := tenSeconds
		c.Jitter = 0.5
		var mu sync.Mutex
		perSecond := map[int]int{}
		start := time.Now()
		const n = 1000
		for range n {
			peer := make(chan *heartbeat.Peer, 1)
			p, err := m.Add(c, func() error {
				p := <-peer
				p.Heard()
				peer <- p
				mu.Lock()
				defer mu.Unlock()
				perSecond[int(time.Since(start).Seconds())]++
				return nil
			}, noDeath(t))
			require.NoError(t, err)
			peer <- p
		}
		time.Sleep(100 * time.Second)
		m.Stop()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for i := range 5 {
			assert.Zero(t, perSecond[i])
		}
		for i := 5; i < 10; i++ {
			assert.InDelta(t, n/5, perSecond[i], n/10)
		}
		for i := 50; i < 100; i++ {
			assert.InDelta(t, n/7.5, perSecond[i], n/10) // one each 7.5 s
		}
	})
}

func TestMonitorSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m heartbeat.Monitor
		start := time.Now()
		var pings atomic.Int32
		died := make(chan *heartbeat.DeadError)
		_, err := m.Add(tenSeconds, func() error { pings.Add(1); return nil }, func(e *heartbeat.DeadError) { died <- e })
		require.NoError(t, err)
		time.Sleep(24 * time.Second)
		assert.EqualValues(t, 2, pings.Load())
		heartbeat.Suspend(t, time.Hour)
		e := <-died // the pause is noticed after Timeout, and then the peer has another Timeout
		assert.InDelta(t, 50*time.Second+heartbeat.TickLength, time.Since(start), float64(heartbeat.TickLength))
		assert.EqualValues(t, 5, pings.Load())
		assert.Equal(t, 5, e.Unanswered)
		idle(t, &m)
	})
}

// TestMonitorManyTimes spreads settings over all levels of the wheel; every ping
// and every death come when they should.
func TestMonitorManyTimes(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var m heartbeat.Monitor
		start := time.Now()
		died := 0
		var mu sync.Mutex
		const n = 200
		for i := range n {
			c := heartbeat.Config{Interval: 1 + time.Duration(rand.Int64N(1<<(i%45+1)))}
			c.Timeout = c.Interval + 1 + time.Duration(rand.Int64N(1<<(i%45+1)))
			first := true
			_, err := m.Add(c, func() error {
				if first {
					soon(t, c.Interval, time.Since(start))
				}
				first = false
				return errors.New("no")
			}, func(e *heartbeat.DeadError) {
				soon(t, c.Timeout, time.Since(start))
				mu.Lock()
				defer mu.Unlock()
				died++
			})
			require.NoError(t, err)
		}
		time.Sleep(1 << 47)
		synctest.Wait()
		assert.Equal(t, n, died)
		idle(t, &m)
	})
}

func TestMonitorBad(t *testing.T) {
	_, err := new(heartbeat.Monitor).Add(tenSeconds, nil, func(*heartbeat.DeadError) {})
	assert.ErrorContains(t, err, "ping or dead is nil")
	_, err = new(heartbeat.Monitor).Add(tenSeconds, func() error { return nil }, nil)
	assert.ErrorContains(t, err, "ping or dead is nil")
	new(heartbeat.Monitor).Stop()
}

// TestMonitorRace does everything at once, in real time.
func TestMonitorRace(t *testing.T) {
	t.Parallel()
	var m heartbeat.Monitor
	var wg sync.WaitGroup
	var deaths, stops atomic.Int32
	c := heartbeat.Config{Interval: time.Millisecond, Timeout: 30 * time.Millisecond, Jitter: 1}
	for range 8 {
		wg.Go(func() {
			for range 100 {
				peer := make(chan *heartbeat.Peer, 1)
				over := make(chan struct{})
				p, err := m.Add(c, func() error {
					p := <-peer
					peer <- p
					switch rand.IntN(4) {
					case 0:
						p.Heard()
					case 1:
						p.Stop()
						stops.Add(1)
						select {
						case <-over:
						default:
							close(over)
						}
					}
					return nil
				}, func(*heartbeat.DeadError) { deaths.Add(1); close(over) })
				peer <- p
				if !assert.NoError(t, err) {
					return
				}
				p.Sent()
				if rand.IntN(2) == 0 {
					p.Stop()
				} else {
					select {
					case <-over:
					case <-time.After(20 * time.Second):
						t.Error("neither stopped nor dead")
					}
				}
			}
		})
	}
	wg.Wait()
	m.Stop()
	assert.NotZero(t, stops.Load())
	assert.NotZero(t, deaths.Load())
}
