package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/mikioh/tcp"
	"github.com/mikioh/tcpopt"
)

// typical are the settings of the parts where any would do.
var (
	typical = keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}
	netsOwn = net.KeepAliveConfig{Enable: true, Idle: typical.Idle, Interval: typical.Interval, Count: typical.Count}
)

// The names of the ways.
const (
	ours    = "keepalive"
	nets    = "net"
	mikiohs = "mikioh/tcp"
	floor   = "bare calls"
)

// setting compares what it costs to set and to read keepalive on a connection.
func setting(l *lab, s *section) error {
	conn, far, err := testpeer.Dial("tcp")
	if err != nil {
		return err
	}
	defer far.Close()
	defer conn.Close()
	mc, err := tcp.NewConn(conn)
	if err != nil {
		return err
	}
	const n = 2000

	set := []way{
		{name: ours, run: calls(func() error { return keepalive.Enable(conn, typical) })},
		{name: nets, run: calls(func() error { return conn.SetKeepAliveConfig(netsOwn) })},
		{name: mikiohs, run: calls(func() error {
			return errors.Join(mc.SetOption(tcpopt.KeepAlive(true)), mc.SetOption(tcpopt.KeepAliveIdleInterval(typical.Idle)),
				mc.SetOption(tcpopt.KeepAliveProbeInterval(typical.Interval)), mc.SetOption(tcpopt.KeepAliveProbeCount(typical.Count)))
		})},
	}
	b := make([]byte, 4)
	option := func(o tcpopt.Option) error {
		_, err := mc.Option(o.Level(), o.Name(), b)
		return err
	}
	get := []way{
		{name: ours, run: calls(func() error { _, err := keepalive.Get(conn); return err })},
		{name: mikiohs, run: calls(func() error {
			return errors.Join(option(tcpopt.KeepAlive(true)), option(tcpopt.KeepAliveIdleInterval(0)),
				option(tcpopt.KeepAliveProbeInterval(0)), option(tcpopt.KeepAliveProbeCount(0)))
		})},
	}
	bare, err := bareCalls(conn)
	if err == nil {
		set = append(set, way{name: floor, run: calls(bare.set)})
		get = append(get, way{name: floor, run: calls(bare.get)})
	} else {
		s.lacks("the bare system calls", err)
	}

	enabled, err := compare(l.out, "Enable", l.rounds(41), n, set...)
	if err != nil {
		return err
	}
	got, err := compare(l.out, "Get", l.rounds(41), n, get...)
	if err != nil {
		return err
	}
	s.say("On a `*net.TCPConn`: Enable with idle time, interval and count, four calls of setsockopt; and Get, which reads the user timeout besides and "+
		"asks whether it is a TCP socket at all. Package net reads nothing back. The bare calls are made on the descriptor itself, without the "+
		"lock that keeps it from being closed meanwhile; for Get they are the five that read. %d rounds of %s calls.", l.rounds(41), grouped(n))
	costs(s, "Enable", enabled)
	costs(s, "Get", got)
	if bare != nil {
		s.promise(promise{what: "Enable against the bare calls", seen: enabled[0].over(enabled[3]), limit: 1.15, unit: "times"})
	}
	s.promise(promise{what: "Enable against SetKeepAliveConfig of package net", seen: enabled[0].over(enabled[1]), limit: 1.1, unit: "times"})
	s.promise(promise{what: "Enable", seen: spreadOf(enabled[0].allocs), unit: "allocations"})
	s.promise(promise{what: "Get", seen: spreadOf(got[0].allocs), unit: "allocations"})

	s.picture("setting.svg", "Bars: the time of Enable and Get, each way", bars("Setting and reading keepalive", "ns per call",
		group{"Enable", enabled}, group{"Get", got}))
	return nil
}

// costs is the table of a comparison, of which the first way is ours.
func costs(s *section, what string, all []series) {
	var rows [][]string
	for _, r := range all {
		ratio := "–"
		if r.way != all[0].way {
			ratio = all[0].over(r).String()
		}
		rows = append(rows, []string{r.way, spreadOf(r.ns).String(), ratio, num(spreadOf(r.allocs).median), num(spreadOf(r.bytes).median)})
	}
	s.table([]string{what, "ns", all[0].way + " against it, times", "allocations", "bytes allocated"}, rows)
}

// bareSyscalls are the floor: the system calls, on the descriptor, and nothing
// else.
type bareSyscalls struct{ set, get, info func() error }
