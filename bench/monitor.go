package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
)

// beat is the interval of all heartbeats, so there are ten in a minute. A peer
// is dead after three intervals without an answer.
const (
	beat     = 6 * time.Second
	timeouts = 3
)

// The ways to send heartbeats to many peers. Each heartbeat is counted and
// answered at once. Nothing is sent, so only the timekeeping is measured.
const (
	array     = "one loop over an array (floor)"
	monitor   = "heartbeat.Monitor"
	afterFunc = "one time.AfterFunc for each peer"
	ticker    = "goroutine and ticker for each peer"
)

var peerLoads = []load{
	{name: array, start: startArray, bytes: 10},
	{name: monitor, start: startMonitor, bytes: 300},
	{name: afterFunc, start: startAfterFunc, bytes: 300},
	{name: ticker, start: startTickers, bytes: 4000},
}

// monitoring compares what it costs to watch many peers.
func monitoring(l *lab, s *section) error {
	sizes := []int{1000, 10_000, 100_000, 1_000_000}
	if l.short {
		sizes = []int{100_000}
	}
	err := l.hold(s, func(s *section, effort int) error { return monitorSizes(l, s, sizes, effort) })
	if err != nil {
		return err
	}
	return hearing(l, s)
}

func monitorSizes(l *lab, s *section, sizes []int, effort int) error {
	win := windows{20 * effort, 400 * time.Millisecond}
	seen := map[int]map[string]*usage{}
	for _, n := range sizes {
		var err error
		if seen[n], err = l.usages(s, peerLoads, n, beat, win); err != nil {
			return err
		}
	}
	s.say("Each process watches peers in one way, with a heartbeat for each peer every %v. The answer comes at once and nothing is sent, so only the timekeeping costs. "+
		"Processor time is measured in all processes at once, in %d windows of %v. Memory is the growth of Go's heap and stacks.", beat, win.n, win.length)
	s.usageTables(peerLoads, sizes, seen)
	if all := seen[100_000]; all != nil {
		m, t := all[monitor], all[afterFunc]
		s.promise(promise{what: "Monitor / one time.AfterFunc for each of 100,000 peers, processor time", seen: spreadOf(ratios(m.CPU, t.CPU)), limit: 0.6, unit: "times"})
		s.promise(promise{what: "Monitor, memory", seen: exact(m.Bytes), limit: 256, unit: "bytes for each peer"})
	}
	if !l.short && seen[sizes[0]] != nil {
		s.picture("monitor.svg", usageChart("Processor time for ten heartbeats a minute", peerLoads, sizes, seen))
	}
	return nil
}

// hearing compares what it costs to record that a peer has sent something, which
// a program does after each Read.
func hearing(l *lab, s *section) error {
	near, far, err := tcpPair()
	if err != nil {
		return err
	}
	defer far.Close()
	defer near.Close()
	var m heartbeat.Monitor
	defer m.Stop()
	peer, err := m.Add(heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour}, func() error { return nil }, func(*heartbeat.DeadError) {})
	if err != nil {
		return err
	}
	timer := time.AfterFunc(time.Hour, func() {})
	defer timer.Stop()
	var at atomic.Int64
	s.say("After each Read, a program records that the peer has sent something:")
	return l.hold(s, func(s *section, effort int) error {
		all, err := compare(l.rounds(100)*effort, 2000,
			variant{"heartbeat.Peer.Heard", calls(func() error { peer.Heard(); return nil })},
			variant{"time.Timer.Reset", calls(func() error { timer.Reset(time.Hour); return nil })},
			variant{"net.Conn.SetReadDeadline", calls(func() error { return near.SetReadDeadline(time.Now().Add(time.Hour)) })},
			variant{"time.Since and an atomic store (floor)", calls(func() error { at.Store(clock()); return nil })},
		)
		if err != nil {
			return err
		}
		s.timeTable("after each Read", all)
		s.promise(promise{what: "Peer.Heard / time.Timer.Reset", seen: all[0].against(all[1]), limit: 1, unit: "times"})
		s.noAllocation("Peer.Heard", all)
		return nil
	})
}

// clock is a cheap time to compare with another.
func clock() int64 { return int64(time.Since(began)) }

var began = time.Now()

// check is what each load does before a heartbeat. Every peer answers, so it
// reports only that the machine was stopped.
func check(now, heard int64, every time.Duration) {
	if silence := time.Duration(now - heard); silence >= timeouts*every {
		fmt.Fprintf(os.Stderr, "a peer that answers was silent for %v\n", silence)
	}
}

// startArray is the least code that could do it if all peers had one interval,
// and none could block or leave. Every 10 ms it handles those that are due.
func startArray(n int, every time.Duration, sent *atomic.Int64) (func(int) error, error) {
	heard := make([]int64, n)
	var added atomic.Int64
	start := clock()
	go func() {
		done := 0 // heartbeats since the start
		for range time.Tick(10 * time.Millisecond) {
			due := int(float64(clock()-start) / float64(every) * float64(n))
			for ; done < due; done++ {
				if i := done % n; i < int(added.Load()) {
					now := clock()
					check(now, heard[i], every)
					sent.Add(1)
					heard[i] = now
				}
			}
		}
	}()
	return func(i int) error {
		heard[i] = clock()
		added.Store(int64(i) + 1)
		return nil
	}, nil
}

func startMonitor(n int, every time.Duration, sent *atomic.Int64) (func(int) error, error) {
	var m heartbeat.Monitor
	cfg := heartbeat.Config{Interval: every, Timeout: timeouts * every}
	peers := make([]*heartbeat.Peer, n)
	dead := func(err *heartbeat.DeadError) { fmt.Fprintln(os.Stderr, err) }
	return func(i int) (err error) {
		peers[i], err = m.Add(cfg, func() error {
			sent.Add(1)
			peers[i].Heard()
			return nil
		}, dead)
		return err
	}, nil
}

// startAfterFunc is what a careful program does: a timer whose function runs in
// a goroutine and sets the timer again.
func startAfterFunc(n int, every time.Duration, sent *atomic.Int64) (func(int) error, error) {
	type peer struct {
		timer *time.Timer
		heard atomic.Int64
	}
	peers := make([]peer, n)
	return func(i int) error {
		p := &peers[i]
		p.heard.Store(clock())
		due := time.Now().Add(every)
		p.timer = time.AfterFunc(every, func() {
			now := clock()
			check(now, p.heard.Load(), every)
			sent.Add(1)
			p.heard.Store(now)
			due = due.Add(every) // as a ticker does, so that a late timer does not shift the next
			p.timer.Reset(time.Until(due))
		})
		return nil
	}, nil
}

// startTickers is what most programs do.
func startTickers(n int, every time.Duration, sent *atomic.Int64) (func(int) error, error) {
	heard := make([]atomic.Int64, n)
	done := make(chan struct{})
	return func(i int) error {
		h := &heard[i]
		h.Store(clock())
		go func() {
			t := time.NewTicker(every)
			defer t.Stop()
			for {
				select {
				case <-t.C:
					now := clock()
					check(now, h.Load(), every)
					sent.Add(1)
					h.Store(now)
				case <-done:
					return
				}
			}
		}()
		return nil
	}, nil
}
