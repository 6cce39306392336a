package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/hashicorp/yamux"
)

// The variants of connections.
const (
	bareTCP = "bare connection (floor)"
	framed  = "heartbeat.Conn"
	stream  = "yamux"
)

// wrapper is a way to move bytes over a connection. It wraps both ends.
type wrapper struct {
	name string
	wrap func(near, far net.Conn, every time.Duration) (net.Conn, net.Conn, error)
}

var wrappers = []wrapper{
	{bareTCP, func(near, far net.Conn, _ time.Duration) (net.Conn, net.Conn, error) { return near, far, nil }},
	{framed, wrapHeartbeat},
	{stream, wrapYamux},
}

func wrapHeartbeat(near, far net.Conn, every time.Duration) (net.Conn, net.Conn, error) {
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: every, Timeout: timeouts * every}}
	n, err := heartbeat.NewConn(near, cfg)
	if err != nil {
		return nil, nil, err
	}
	f, err := heartbeat.NewConn(far, cfg)
	return n, f, err
}

// wrapYamux opens the one stream that a program needs if it does not multiplex.
func wrapYamux(near, far net.Conn, every time.Duration) (net.Conn, net.Conn, error) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.KeepAliveInterval = io.Discard, every
	client, err := yamux.Client(near, cfg)
	if err != nil {
		return nil, nil, err
	}
	server, err := yamux.Server(far, cfg)
	if err != nil {
		return nil, nil, err
	}
	n, err := client.Open()
	if err != nil {
		return nil, nil, err
	}
	f, err := server.Accept()
	return n, f, err
}

var connLoads = []load{
	{name: bareTCP, start: startConns(wrappers[0]), conns: true, bytes: 5000, silent: true},
	{name: framed, start: startConns(wrappers[1]), conns: true, bytes: 15_000},
	{name: stream, start: startConns(wrappers[2]), conns: true, bytes: 30_000},
}

// counted counts the writes of an end, which are all heartbeats.
type counted struct {
	*net.UnixConn
	writes *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.UnixConn.Write(b)
}

// startConns keeps connections over Unix socket pairs. Each of the n ends is in
// this process and has a goroutine that waits in Read.
func startConns(w wrapper) func(int, time.Duration, *atomic.Int64) (func(int) error, error) {
	return func(n int, every time.Duration, sent *atomic.Int64) (func(int) error, error) {
		ends := make([]net.Conn, n)
		return func(i int) error {
			if i%2 == 0 {
				return nil // comes with the next one
			}
			near, far, err := unixPair()
			if err != nil {
				return err
			}
			ends[i-1], ends[i], err = w.wrap(counted{near, sent}, counted{far, sent}, every)
			if err != nil {
				return err
			}
			for _, c := range ends[i-1 : i+1] {
				go func() {
					if _, err := c.Read(make([]byte, 1)); err != nil {
						fmt.Fprintln(os.Stderr, err)
					}
				}()
			}
			return nil
		}, nil
	}
}

// idling compares what idle connections cost.
func idling(l *lab, s *section) error {
	s.say("The connections are Unix socket pairs, so 10,000 connections are both ends of 5,000 pairs, and a goroutine waits in Read at each end. " +
		"A bare connection sends no heartbeats. yamux has one stream in each session. The processor time of the kernel is included, its memory is not.")
	// A longer interval for more of them, so that two cores suffice.
	for _, c := range []struct {
		n     int
		every time.Duration
	}{{10_000, beat}, {100_000, 5 * beat}} {
		err := l.hold(s, func(s *section, effort int) error {
			return idleSize(l, s, c.n, c.every, windows{20 * effort, 400 * time.Millisecond})
		})
		if err != nil || l.short {
			return err
		}
	}
	return nil
}

func idleSize(l *lab, s *section, n int, every time.Duration, win windows) error {
	seen, err := l.usages(s, connLoads, n, every, win)
	if seen == nil {
		return err
	}
	var rows [][]string
	for _, k := range connLoads {
		rows = append(rows, []string{k.name, seen[k.name].cores(), seen[k.name].memory()})
	}
	s.table([]string{fmt.Sprintf("%s connections, a heartbeat every %v", grouped(n), every), "% of one core", "bytes for each"}, rows)
	c, y := seen[framed], seen[stream]
	what := fmt.Sprintf("heartbeat.Conn / yamux, %s idle connections, ", grouped(n))
	s.promise(promise{what: what + "processor time", seen: spreadOf(ratios(c.CPU, y.CPU)), limit: 1, unit: "times"})
	s.promise(promise{what: what + "memory", seen: exact(c.Bytes / y.Bytes), limit: 1, unit: "times"})
	return nil
}
