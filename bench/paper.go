package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-keepalive/keepalive"
)

// paper computes what it takes to keep many idle connections alive: the captured
// exchange, once in every interval, for each connection.
func paper(l *lab, s *section) error {
	find := func(what string) exchange {
		i := slices.IndexFunc(l.traffic, func(e exchange) bool { return e.What == what })
		if i < 0 {
			return exchange{}
		}
		return l.traffic[i]
	}
	probe := find(probe4)
	if len(probe.Packets) == 0 {
		s.lacks("the cost on paper", errors.New("it is computed from captured packets, and there are none"))
		return nil
	}
	s.say("Computed, not measured: each idle connection whose peer is alive has one exchange in an interval. The keepalive probe over IPv4 with timestamps "+
		"was captured as %d packets and %d bytes on Ethernet, %d on the wire. Both directions are added up. The kernel's timers may be late "+
		"by an eighth, so these are the most.", len(probe.Packets), probe.ethernet(), probe.wire())
	type setting struct {
		name  string
		every time.Duration
		e     exchange
	}
	settings := []setting{
		{"keepalive, package net's own 15 s", 15 * time.Second, probe},
		{"keepalive, `DetectWithin(1m)`", keepalive.DetectWithin(time.Minute).Idle, probe},
		{"keepalive, idle 45 s", 45 * time.Second, probe},
		{"keepalive, `KeepOpen(4m)`", keepalive.KeepOpen(4 * time.Minute).Idle, probe},
		{"keepalive, `KeepOpen(350s)`", keepalive.KeepOpen(350 * time.Second).Idle, probe},
		{"keepalive, `KeepOpen(10m)`", keepalive.KeepOpen(10 * time.Minute).Idle, probe},
		{"keepalive, Linux's own 2 h", 2 * time.Hour, probe},
		{"heartbeat.Conn, 30 s", 30 * time.Second, find(heartbeatPing)},
		{"yamux, its own 30 s", 30 * time.Second, find(yamuxPing)},
	}
	var rows [][]string
	for _, c := range settings {
		row := []string{c.name, fmt.Sprintf("%g s", c.every.Seconds())}
		for _, n := range []float64{1e6, 1e8} {
			packets := n * float64(len(c.e.Packets)) / c.every.Seconds()
			bytes := n * float64(c.e.ethernet()) / c.every.Seconds()
			bits := n * float64(c.e.wire()) * 8 / c.every.Seconds()
			row = append(row, grouped(int(packets+0.5)), withUnit(bytes, "B/s"), withUnit(bits, "bit/s"))
		}
		rows = append(rows, row)
	}
	s.table([]string{"setting", "every", "1 million: packets/s", "bytes/s", "on the wire", "100 million: packets/s", "bytes/s", "on the wire"}, rows)
	return nil
}
