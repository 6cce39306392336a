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

const (
	bareTCP = "bare connection (floor)"
	framed  = "heartbeat.Conn"
	stream  = "yamux"
)

// wrapper is a way to move bytes over a connection. It wraps both ends.
type wrapper struct {
	name string
	wrap func(near, far net.Conn) (net.Conn, net.Conn, error)
}

var wrappers = []wrapper{
	{bareTCP, func(near, far net.Conn) (net.Conn, net.Conn, error) { return near, far, nil }},
	{framed, wrapHeartbeat},
	{stream, wrapYamux},
}

func wrapHeartbeat(near, far net.Conn) (net.Conn, net.Conn, error) {
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: beat, Timeout: timeouts * beat}}
	n, err := heartbeat.NewConn(near, cfg)
	if err != nil {
		return nil, nil, err
	}
	f, err := heartbeat.NewConn(far, cfg)
	return n, f, err
}

// wrapYamux opens the one stream that a program needs if it does not multiplex.
func wrapYamux(near, far net.Conn) (net.Conn, net.Conn, error) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.KeepAliveInterval = io.Discard, beat
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
	{name: bareTCP, start: startConns(wrappers[0]), bytes: 5000, silent: true},
	{name: framed, start: startConns(wrappers[1]), bytes: 15_000},
	{name: stream, start: startConns(wrappers[2]), bytes: 30_000},
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
	return func(n int, _ time.Duration, sent *atomic.Int64) (func(int) error, error) {
		if err := allowDescriptors(n + 100); err != nil {
			return nil, err
		}
		ends := make([]net.Conn, n)
		return func(i int) error {
			if i%2 == 0 {
				return nil // comes with the next one
			}
			near, far, err := unixPair()
			if err != nil {
				return err
			}
			ends[i-1], ends[i], err = w.wrap(counted{near, sent}, counted{far, sent})
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
	sizes := []int{10_000, 100_000}
	if l.short {
		sizes = []int{10_000}
	}
	return l.hold(s, func(s *section, effort int) error { return idleSizes(l, s, sizes, effort) })
}

func idleSizes(l *lab, s *section, sizes []int, effort int) error {
	win := windows{10 * effort, 500 * time.Millisecond}
	seen, err := measureSizes(l, s, connLoads, sizes, win)
	if err != nil {
		return err
	}
	s.say("Each row keeps n connections in a process of its own. They are Unix socket pairs, so 10,000 connections are both ends of 5,000 pairs, and a goroutine waits in Read at each end. "+
		"Heartbeats are sent every %v. A bare connection sends none. yamux has one stream in each session. The kernel's time is included, its memory is not.", beat)
	usageTables(s, connLoads, sizes, seen)
	for _, n := range sizes {
		c, y := seen[framed][n], seen[stream][n]
		if c == nil || y == nil {
			continue
		}
		s.promise(promise{what: fmt.Sprintf("heartbeat.Conn / yamux, %s idle connections, processor time", grouped(n)), seen: spreadOf(ratios(c.CPU, y.CPU)), limit: 1, unit: "times"})
		s.promise(promise{what: fmt.Sprintf("heartbeat.Conn / yamux, %s idle connections, memory", grouped(n)), seen: exact(c.Bytes / y.Bytes), limit: 1, unit: "times"})
	}
	return nil
}
