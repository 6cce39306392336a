package main

import (
	"context"
	"net"
	"time"

	"github.com/go-keepalive/keepalive"
)

// none is the floor of dialing and accepting: no keepalive.
const none = "no keepalive"

func listenConfig(name string) *net.ListenConfig {
	switch name {
	case ours:
		return keepalive.ListenConfig(nil, typical)
	case nets:
		return &net.ListenConfig{KeepAliveConfig: typicalNet}
	}
	return &net.ListenConfig{KeepAlive: -1}
}

func dialer(name string) *net.Dialer {
	switch name {
	case ours:
		return keepalive.Dialer(nil, typical)
	case nets:
		return &net.Dialer{KeepAliveConfig: typicalNet}
	}
	return &net.Dialer{KeepAlive: -1}
}

// pair dials and accepts connections over loopback.
type pair struct {
	d *net.Dialer
	l net.Listener
}

func newPair(dial, accept string) (*pair, error) {
	l, err := listenConfig(accept).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &pair{dialer(dial), l}, nil
}

// connect makes a connection and returns how long its two ends took.
func (p *pair) connect() (near, far net.Conn, dialing, accepting time.Duration, err error) {
	start := time.Now()
	if near, err = p.d.Dial("tcp", p.l.Addr().String()); err != nil {
		return nil, nil, 0, 0, err
	}
	dialed := time.Now()
	if far, err = p.l.Accept(); err != nil {
		near.Close()
		return nil, nil, 0, 0, err
	}
	return near, far, dialed.Sub(start), time.Since(dialed), nil
}

// tcpPair returns both ends of a connection over loopback without keepalive.
func tcpPair() (near, far net.Conn, err error) {
	p, err := newPair(none, none)
	if err != nil {
		return nil, nil, err
	}
	defer p.l.Close()
	near, far, _, _, err = p.connect()
	return near, far, err
}

// dialing compares the time that Dial and Accept take.
func dialing(l *lab, s *section) error {
	rounds, n := l.rounds(60), 100
	s.say("Connections over loopback, one after the other. Accept returns a connection that is already waiting. "+
		"`keepalive.ListenConfig` sets the options once, on the listener, and accepted connections inherit them. Package net makes four system calls for each. %d rounds of %d connections.", rounds, n)
	for _, side := range []struct {
		name  string
		limit float64
	}{{"Dial", 1.15}, {"Accept", 0.9}} {
		err := l.hold(s, func(s *section, effort int) error {
			all, err := compareConnects(side.name == "Accept", rounds*effort, n)
			if err != nil {
				return err
			}
			s.timeTable(side.name, all)
			s.promise(promise{what: side.name + " / package net's with keepalive", seen: all[0].against(named(all, nets)), limit: side.limit, unit: "times"})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compareConnects compares variants that differ on one side.
func compareConnects(accept bool, rounds, n int) ([]series, error) {
	var all []variant
	for _, name := range []string{ours, nets, none} {
		dial, listen := name, none
		if accept {
			dial, listen = none, name
		}
		p, err := newPair(dial, listen)
		if err != nil {
			return nil, err
		}
		defer p.l.Close()
		all = append(all, variant{name, func(n int) (sum time.Duration, err error) {
			for range n {
				near, far, dialing, accepting, err := p.connect()
				if err != nil {
					return 0, err
				}
				if accept {
					sum += accepting
				} else {
					sum += dialing
				}
				near.(*net.TCPConn).SetLinger(0) // a reset leaves no socket in TIME_WAIT
				near.Close()
				far.Close()
			}
			return sum, nil
		}})
	}
	return compare(rounds, n, all...)
}
