package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
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
	{monitor, monitored},
	{timer, timers},
	{ticker, tickers},
	{wrapped, conns},
	{session, sessions},
}

const (
	array   = "one loop over an array (floor)"
	monitor = "heartbeat.Monitor"
	timer   = "timer for each peer"
	ticker  = "goroutine and ticker for each peer"
	wrapped = "heartbeat.Conn for each peer"
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

func monitored(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	var m heartbeat.Monitor
	cfg := heartbeat.Config{Interval: every, Timeout: timeouts * every}
	peers := make([]*heartbeat.Peer, n)
	dead := func(err *heartbeat.DeadError) { fmt.Fprintln(os.Stderr, err) }
	return func(i int) (err error) {
		peers[i], err = m.Add(cfg, func() error {
			pings.Add(1)
			peers[i].Heard()
			return nil
		}, dead)
		return err
	}, nil
}

// conns is what heartbeat.Conn does on its own, while the application waits in
// Read.
func conns(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	const preface, ping, pong = 0xb7, 2, 3 // heartbeat/FORMAT.md
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: every, Timeout: timeouts * every}}
	all := make([]*heartbeat.Conn, n)
	answer := func(sent []byte) []byte {
		if len(sent) != 8 {
			return nil
		}
		h := slices.Clone(sent)
		switch sent[0] {
		case preface:
		case ping:
			pings.Add(1)
			h[0] = pong
		default:
			return nil
		}
		return h
	}
	return func(i int) (err error) {
		all[i], err = heartbeat.NewConn(&echo{answer: answer, answers: make(chan []byte, 2)}, cfg)
		if err != nil {
			return err
		}
		go func() {
			if _, err := all[i].Read(make([]byte, 1)); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
		return nil
	}, nil
}

// sessions is yamux's keepalive.
func sessions(n int, every time.Duration, pings *atomic.Int64) (func(int) error, error) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.KeepAliveInterval, cfg.ConnectionWriteTimeout = os.Stderr, every, timeouts*every-every
	all := make([]*yamux.Session, n)
	answer := func(sent []byte) []byte {
		const ping, ack = 2, 2 // yamux's spec.md
		if len(sent) != 12 || sent[1] != ping {
			return nil
		}
		pings.Add(1)
		h := slices.Clone(sent)
		h[3] = ack
		return h
	}
	return func(i int) (err error) {
		all[i], err = yamux.Client(&echo{answer: answer, answers: make(chan []byte, 2)}, cfg)
		return err
	}, nil
}

// echo is a connection to a far end that answers at once.
type echo struct {
	net.Conn // nothing else is called
	answer   func(sent []byte) []byte
	answers  chan []byte
	rest     []byte
}

func (e *echo) Write(b []byte) (int, error) {
	if a := e.answer(b); a != nil {
		e.answers <- a
	}
	return len(b), nil
}

func (e *echo) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = <-e.answers
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *echo) Close() error                     { return nil }
func (e *echo) LocalAddr() net.Addr              { return nil }
func (e *echo) RemoteAddr() net.Addr             { return nil }
func (e *echo) SetDeadline(time.Time) error      { return nil }
func (e *echo) SetReadDeadline(time.Time) error  { return nil }
func (e *echo) SetWriteDeadline(time.Time) error { return nil }
