package keepalive

import (
	"context"
	"net"
	"syscall"
)

// Dialer returns a copy of d, or of an empty net.Dialer when d is nil, whose
// TCP connections have o from the start. Package net's own keepalive is off in
// the copy, or it would overwrite o with 15 s, 15 s and 9.
//
// A Control or ControlContext hook of d's is called first. The copy works
// through its own hooks, so Dialer comes last: setting them on the copy takes o
// away again. A value that is negative or out of range fails the dial, with an
// [*OptionError] inside the [*net.OpError]; an option that this system lacks is
// left out, and networks other than TCP are dialed as ever. To know what is
// lacking, ask [Options.Validate].
//
// Package net dials Multipath TCP when SetMultipathTCP asks for it. Where Linux
// then lacks an option, the user timeout always and times and count before
// Linux 6.10, the connection is a plain TCP one, and d's hook is called for both
// sockets.
func Dialer(d *net.Dialer, o Options) *net.Dialer {
	if d == nil {
		d = &net.Dialer{}
	}
	c := *d
	c.KeepAlive = -1
	c.KeepAliveConfig = net.KeepAliveConfig{}
	c.Control = chain(d.Control, o.Control)
	if first := d.ControlContext; first != nil { // then package net does not call Control
		c.ControlContext = func(ctx context.Context, network, address string, rc syscall.RawConn) error {
			if err := first(ctx, network, address, rc); err != nil {
				return err
			}
			return o.Control(network, address, rc)
		}
	}
	return &c
}

// hook is the type of net.Dialer.Control and net.ListenConfig.Control.
type hook = func(network, address string, c syscall.RawConn) error

// chain is a hook that calls the given ones in turn until one fails.
func chain(first, second hook) hook {
	if first == nil {
		return second
	}
	return func(network, address string, c syscall.RawConn) error {
		if err := first(network, address, c); err != nil {
			return err
		}
		return second(network, address, c)
	}
}
