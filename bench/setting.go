package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/mikioh/tcp"
	"github.com/mikioh/tcpinfo"
	"github.com/mikioh/tcpopt"
)

// The settings of all parts in which the values do not matter.
var (
	typical    = keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}
	typicalNet = net.KeepAliveConfig{Enable: true, Idle: typical.Idle, Interval: typical.Interval, Count: typical.Count}
)

// The names of the variants.
const (
	ours      = "keepalive"
	nets      = "package net"
	mikiohs   = "mikioh/tcp"
	bareCalls = "bare system calls"
)

// setting compares the time that it takes to set and to read options.
func setting(l *lab, s *section) error {
	near, far, err := tcpPair()
	if err != nil {
		return err
	}
	defer far.Close()
	defer near.Close()
	conn := near.(*net.TCPConn)
	set, get, inspect, err := settingVariants(conn)
	if err != nil {
		return err
	}
	bare, bareErr := newBareSyscalls(conn)
	if bareErr == nil {
		set = append(set, variant{bareCalls, calls(bare.set)})
		get = append(get, variant{bareCalls, calls(bare.get)})
		inspect = append(inspect, variant{bareCalls, calls(bare.info)})
	} else {
		s.lacks("the bare system calls", bareErr)
	}

	// Many short rounds: then most rounds see no other work on the machine.
	rounds, n := l.rounds(600), 300
	s.say("Each function is called on one `*net.TCPConn`. Enable sets Idle, Interval and Count. Package net cannot read options. "+
		"The bare system calls are golang.org/x/sys on the descriptor, without the lock that keeps it open meanwhile. They are 4 × setsockopt, 5 × getsockopt, and getsockopt(TCP_INFO). "+
		"Get makes one more call, because it checks that the connection is still open. %s rounds of %d calls.", grouped(rounds), n)
	// comparison measures one function, which is the first of the variants. It
	// may take limit times as long as the last one, the bare system calls.
	comparison := func(what string, limit float64, variants []variant) error {
		return l.hold(s, func(s *section, effort int) error {
			all, err := compare(rounds*effort, n, variants...)
			if err != nil {
				return err
			}
			s.timeTable(what, all)
			if bareErr == nil {
				s.promise(promise{what: what + " / the bare system calls", seen: all[0].against(named(all, bareCalls)), limit: limit, unit: "times"})
			}
			if what == "Enable" {
				s.promise(promise{what: "Enable / SetKeepAliveConfig of package net", seen: all[0].against(named(all, nets)), limit: 1.05, unit: "times"})
			}
			s.noAllocation(what, all)
			return nil
		})
	}
	if err := errors.Join(comparison("Enable", 1.15, set), comparison("Get", 1.5, get)); err != nil {
		return err
	}
	if _, err := keepalive.Inspect(conn); errors.Is(err, errors.ErrUnsupported) {
		s.lacks("Inspect", err)
	} else if err := comparison("Inspect", 1.4, inspect); err != nil {
		return err
	}
	return diagnosing(l, s)
}

// settingVariants are the ways to set options, to read them, and to read
// TCP_INFO, by keepalive, package net and mikioh/tcp.
func settingVariants(conn *net.TCPConn) (set, get, inspect []variant, err error) {
	mc, err := tcp.NewConn(conn)
	if err != nil {
		return nil, nil, nil, err
	}
	set = []variant{
		{ours, calls(func() error { return keepalive.Enable(conn, typical) })},
		{nets, calls(func() error { return conn.SetKeepAliveConfig(typicalNet) })},
		{mikiohs, calls(func() error {
			return errors.Join(mc.SetOption(tcpopt.KeepAlive(true)), mc.SetOption(tcpopt.KeepAliveIdleInterval(typical.Idle)),
				mc.SetOption(tcpopt.KeepAliveProbeInterval(typical.Interval)), mc.SetOption(tcpopt.KeepAliveProbeCount(typical.Count)))
		})},
	}
	b := make([]byte, 256)
	option := func(o tcpopt.Option, size int) error {
		_, err := mc.Option(o.Level(), o.Name(), b[:size])
		return err
	}
	get = []variant{
		{ours, calls(func() error { _, err := keepalive.Get(conn); return err })},
		{mikiohs, calls(func() error {
			return errors.Join(option(tcpopt.KeepAlive(true), 4), option(tcpopt.KeepAliveIdleInterval(0), 4),
				option(tcpopt.KeepAliveProbeInterval(0), 4), option(tcpopt.KeepAliveProbeCount(0), 4))
		})},
	}
	var info tcpinfo.Info
	inspect = []variant{
		{ours, calls(func() error { _, err := keepalive.Inspect(conn); return err })},
		{mikiohs, calls(func() error { return option(&info, len(b)) })},
	}
	return set, get, inspect, nil
}

// diagnosing compares Diagnose with errors.Is on errors that connections return.
func diagnosing(l *lab, s *section) error {
	op := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	dead := op(os.NewSyscallError("read", syscall.ETIMEDOUT))
	if keepalive.Diagnose(dead) == keepalive.Unknown {
		s.lacks("Diagnose", errors.New("it does not know this system's error numbers"))
		return nil
	}
	return l.hold(s, func(s *section, effort int) error {
		var rows [][]string
		for _, c := range []struct {
			name        string
			err, target error
			want        keepalive.Cause
		}{
			{"dead peer", dead, syscall.ETIMEDOUT, keepalive.Dead},
			{"dead peer, wrapped twice", fmt.Errorf("get: %w", fmt.Errorf("read: %w", dead)), syscall.ETIMEDOUT, keepalive.Dead},
			{"deadline", op(os.ErrDeadlineExceeded), os.ErrDeadlineExceeded, keepalive.Deadline},
			{"closed", op(net.ErrClosed), net.ErrClosed, keepalive.Closed},
		} {
			both, err := compare(l.rounds(100)*effort, 2000,
				variant{"Diagnose", calls(func() error {
					if got := keepalive.Diagnose(c.err); got != c.want {
						return fmt.Errorf("%v is %v, not %v", c.err, got, c.want)
					}
					return nil
				})},
				variant{"errors.Is", calls(func() error {
					if !errors.Is(c.err, c.target) {
						return fmt.Errorf("%v is not %v", c.err, c.target)
					}
					return nil
				})})
			if err != nil {
				return err
			}
			ratio := both[0].against(both[1])
			rows = append(rows, []string{c.name, spreadOf(both[0].ns).String(), spreadOf(both[1].ns).String(), ratio.String()})
			if c.want == keepalive.Dead {
				s.promise(promise{what: "Diagnose / errors.Is, " + c.name, seen: ratio, limit: 2, unit: "times"})
				s.noAllocation("Diagnose, "+c.name, both)
			}
		}
		s.table([]string{"error", "Diagnose, ns", "errors.Is, ns", "ratio"}, rows)
		return nil
	})
}

// bareSyscalls are the system calls on the descriptor, and nothing else.
type bareSyscalls struct{ set, get, info func() error }
