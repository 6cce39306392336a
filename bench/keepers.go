package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// keeper is a way to watch n peers and to ping each in every interval: keep
// prepares for them, and the function that it returns begins to watch the i-th.
// Each ping is counted and answered at once, and is sent nowhere.
type keeper struct {
	name string
	keep func(n int, every time.Duration, pings *atomic.Int64) (add func(i int) error, err error)
}

// keepers stand in the order of their need for memory, the smallest first.
var keepers = []keeper{
	{array, loop},
	{timer, timers},
	{ticker, tickers},
	{session, sessions},
}

const (
	array   = "one loop over an array (floor)"
	timer   = "timer for each peer"
	ticker  = "goroutine and ticker for each peer"
	session = "yamux session for each peer"
)

// clock is a cheap time, for the ways that compare two of them.
func clock() int64 { return int64(time.Since(began)) }

var began = time.Now()

// timeouts is how many intervals of silence are death.
const timeouts = 3

// judge is what each way written here does before a ping. All peers answer, so
// there is no verdict but that the machine stood still.
func judge(now, heard int64, every time.Duration) {
	if silence := time.Duration(now - heard); silence >= timeouts*every {
		fmt.Fprintf(os.Stderr, "a peer that answers was silent for %v\n", silence)
	}
}

// loop is the floor: the least that could do the job, if all peers had the same
// interval, and none ever blocked or left. Every ten milliseconds it goes
// through those that are due.
func loop(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	type peer struct{ heard int64 }
	peers := make([]peer, n)
	var added atomic.Int64
	start := clock()
	go func() {
		done := 0 // pings that were due since the start
		for range time.Tick(10 * time.Millisecond) {
			due := int(float64(clock()-start) / float64(every) * float64(n))
			for ; done < due; done++ {
				i := done % n
				if i >= int(added.Load()) {
					continue
				}
				now := clock()
				judge(now, peers[i].heard, every)
				pings.Add(1)
				peers[i].heard = now
			}
		}
	}()
	return func(i int) error {
		peers[i].heard = clock()
		added.Store(int64(i) + 1)
		return nil
	}, nil
}

// timers is what a careful program does by hand: a timer for each peer, whose
// function runs in a goroutine while it lasts.
func timers(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
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
			judge(now, p.heard.Load(), every)
			pings.Add(1)
			p.heard.Store(now)
			due = due.Add(every) // like a ticker, so that one that is late stays out of step with the others
			p.timer.Reset(time.Until(due))
		})
		return nil
	}, nil
}

// tickers is what most programs do by hand.
func tickers(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	type peer struct{ heard atomic.Int64 }
	peers := make([]peer, n)
	done := make(chan struct{})
	return func(i int) error {
		p := &peers[i]
		p.heard.Store(clock())
		go func() {
			t := time.NewTicker(every)
			defer t.Stop()
			for {
				select {
				case <-t.C:
					now := clock()
					judge(now, p.heard.Load(), every)
					pings.Add(1)
					p.heard.Store(now)
				case <-done:
					return
				}
			}
		}()
		return nil
	}, nil
}

// sessions is yamux's keepalive, over a connection that answers pings.
func sessions(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.KeepAliveInterval, cfg.ConnectionWriteTimeout = io.Discard, every, timeouts*every-every
	all := make([]*yamux.Session, n)
	return func(i int) (err error) {
		all[i], err = yamux.Client(&echo{pings: pings, answer: make(chan [12]byte, 1)}, cfg)
		return err
	}, nil
}

// echo is a connection whose far end answers yamux's pings: the header comes
// back, with the flag of an answer.
type echo struct {
	pings  *atomic.Int64
	answer chan [12]byte
}

func (e *echo) Write(b []byte) (int, error) {
	var h [12]byte
	if copy(h[:], b) == len(h) && h[1] == 2 { // a ping
		e.pings.Add(1)
		h[3] = 2 // ACK
		e.answer <- h
	}
	return len(b), nil
}

func (e *echo) Read(b []byte) (int, error) {
	h := <-e.answer
	return copy(b, h[:]), nil
}

func (e *echo) Close() error { return nil }
