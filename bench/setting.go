package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/mikioh/tcp"
	"github.com/mikioh/tcpinfo"
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
	info := []way{{name: ours, run: calls(func() error { _, err := keepalive.Inspect(conn); return err })}}
	bare, err := bareCalls(conn)
	if err == nil {
		var i tcpinfo.Info
		b := make([]byte, 256)
		set = append(set, way{name: floor, run: calls(bare.set)})
		get = append(get, way{name: floor, run: calls(bare.get)})
		info = append(info, way{name: mikiohs, run: calls(func() error { _, err := mc.Option(i.Level(), i.Name(), b); return err })},
			way{name: floor, run: calls(bare.info)})
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
	inspected, err := compare(l.out, "Inspect", l.rounds(41), n, info...)
	if errors.Is(err, errors.ErrUnsupported) {
		s.lacks("Inspect", err)
	} else if err != nil {
		return err
	}
	s.say("On a `*net.TCPConn`: Enable with idle time, interval and count, Get, and Inspect. Package net reads nothing back. "+
		"The bare calls are what a program would write that has the descriptor, by golang.org/x/sys: four times setsockopt; five times getsockopt, the user "+
		"timeout with them; getsockopt(TCP_INFO). They do not take the lock that keeps a descriptor from being closed meanwhile; and Get "+
		"makes one call more, getpeername, to tell when a connection is over. %d rounds of %s calls.", l.rounds(41), grouped(n))
	costs(s, "Enable", enabled)
	costs(s, "Get", got)
	if inspected != nil {
		costs(s, "Inspect", inspected)
	}
	if bare != nil {
		s.promise(promise{what: "Enable against the bare calls", seen: enabled[0].over(named(enabled, floor)), limit: 1.15, unit: "times"})
		s.promise(promise{what: "Inspect against getsockopt(TCP_INFO)", seen: inspected[0].over(named(inspected, floor)), limit: 1.2, unit: "times"})
		s.promise(promise{what: "Inspect", seen: spreadOf(inspected[0].allocs), unit: "allocations"})
	}
	s.promise(promise{what: "Enable against SetKeepAliveConfig of package net", seen: enabled[0].over(named(enabled, nets)), limit: 1.1, unit: "times"})
	s.promise(promise{what: "Enable", seen: spreadOf(enabled[0].allocs), unit: "allocations"})
	s.promise(promise{what: "Get", seen: spreadOf(got[0].allocs), unit: "allocations"})

	s.picture("setting.svg", "Bars: the time of Enable, Get and Inspect, each way", bars("Setting, reading, inspecting a connection", "ns per call",
		group{"Enable", enabled}, group{"Get", got}, group{"Inspect", inspected}))
	return diagnosing(l, s)
}

// diagnosing measures Diagnose on errors as connections return them.
func diagnosing(l *lab, s *section) error {
	op := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	dead := op(os.NewSyscallError("read", syscall.ETIMEDOUT))
	if keepalive.Diagnose(dead) == keepalive.Unknown {
		s.lacks("Diagnose", errors.New("on this system the kernel's errors are unknown to it"))
		return nil
	}
	var ways []way
	for _, c := range []struct {
		name string
		err  error
		want keepalive.Cause
	}{
		{"dead", dead, keepalive.Dead},
		{"dead, wrapped twice", fmt.Errorf("get: %w", fmt.Errorf("read: %w", dead)), keepalive.Dead},
		{"deadline", op(os.ErrDeadlineExceeded), keepalive.Deadline},
		{"closed", op(net.ErrClosed), keepalive.Closed},
		{"EOF", io.EOF, keepalive.EOF},
	} {
		ways = append(ways, way{name: c.name, run: calls(func() error {
			if got := keepalive.Diagnose(c.err); got != c.want {
				return fmt.Errorf("%v is %v, not %v", c.err, got, c.want)
			}
			return nil
		})})
	}
	ways = append(ways, way{name: "errors.Is, for one of them", run: calls(func() error {
		if !errors.Is(dead, syscall.ETIMEDOUT) {
			return errors.New("it is not")
		}
		return nil
	})})
	all, err := compare(l.out, "Diagnose", l.rounds(21), 20_000, ways...)
	if err != nil {
		return err
	}
	var rows [][]string
	var worst spread
	for _, r := range all {
		t := spreadOf(r.ns)
		rows = append(rows, []string{r.way, t.String(), num(spreadOf(r.allocs).median)})
		if t.median > worst.median && r.way != all[len(all)-1].way {
			worst = t
		}
	}
	s.table([]string{"Diagnose", "ns", "allocations"}, rows)
	s.promise(promise{what: "Diagnose, the slowest of these errors", seen: worst, limit: 100, unit: "ns"})
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
