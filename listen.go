package keepalive

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"
)

// ListenConfig returns a copy of lc whose listeners accept TCP connections that have o. If
// lc is nil, it copies an empty net.ListenConfig. The copy sets o in its Control hook, after
// calling that of lc.
//
// On Linux, o is set on the listening socket, and accepted connections inherit it. So there
// are no system calls for each connection, where package net makes four. On other systems
// and on gVisor, package net sets the options of each connection. It ignores the kernel's
// errors, does not set UserTimeout, and sets nothing if o.Disabled is set. If that matters,
// use [Listener].
//
// Listen returns an [*OptionError] in a [*net.OpError] if a value in o is negative or out of
// range, or if the kernel refuses it, for example with EPERM in a sandbox that forbids
// TCP_KEEPIDLE. Listen ignores options that the system does not support. On networks other than TCP it
// ignores o.
//
// Package net listens with Multipath TCP. If Linux lacks an option for it (the user timeout
// always, and times and count before Linux 6.10), the listener is a plain TCP listener. The
// hook of lc is then called for both sockets. On a connection whose peer uses Multipath TCP,
// Linux drops the connection about a minute late, and Read returns ENOTCONN (measured, Linux
// 6.18). To avoid that, call SetMultipathTCP(false) on lc.
func ListenConfig(lc *net.ListenConfig, o Options) *net.ListenConfig {
	return host.variant().listenConfig(lc, o)
}

func (p *platform) listenConfig(lc *net.ListenConfig, o Options) *net.ListenConfig {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	c := *lc
	c.KeepAlive = -1
	c.KeepAliveConfig = net.KeepAliveConfig{}
	if p.inherits(o) {
		c.Control = chain(lc.Control, func(network, _ string, rc syscall.RawConn) error { return p.control(network, rc, o) })
		return &c
	}
	c.Control = chain(lc.Control, func(network, _ string, rc syscall.RawConn) error { return p.controlListener(network, rc, o) })
	if !o.Disabled {
		c.KeepAliveConfig = p.netConfig(o)
	}
	return &c
}

// controlListener sets what accepted sockets inherit, where they do not inherit all of o.
func (p *platform) controlListener(network string, c syscall.RawConn, o Options) error {
	if !isTCPNetwork(network) {
		return nil
	}
	var raw values
	if !p.encode(&o, &raw) {
		return p.check(&o)
	}
	user := p.opts[userTimeout]
	if o.UserTimeout == 0 || user == nil || !user.inherited {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = p.sys().setsockopt(fd, user.level, user.opt, raw[slices.Index(setOrder[:], userTimeout)])
	})
	switch {
	case err != nil:
		return fmt.Errorf("keepalive: %w", err)
	case set != nil && !p.sys().isUnsupported(set):
		return p.optionError(userTimeout, int64(o.UserTimeout), "setsockopt", set)
	}
	return nil
}

// netConfig returns o for package net, in which a negative value means unchanged, and the
// unit is the second on every system. o may be out of range.
func (p *platform) netConfig(o Options) net.KeepAliveConfig {
	if p.vals != "" && (o.Idle != 0 || o.Interval != 0) { // sets both times
		o.Idle, o.Interval = cmp.Or(o.Idle, p.defaults.Idle), cmp.Or(o.Interval, p.defaults.Interval)
	}
	orUnchanged := func(f field) time.Duration {
		v, opt := o.field(f), p.opts[f]
		switch {
		case v <= 0 || opt == nil:
			return -1
		case opt.unit == time.Second/2: // package net takes NetBSD's unit for seconds
			return time.Duration(opt.roundUp(v)) * time.Second
		}
		return time.Duration(v)
	}
	return net.KeepAliveConfig{Enable: true, Idle: orUnchanged(idle), Interval: orUnchanged(interval), Count: int(orUnchanged(count))}
}

// inherits reports whether accepted sockets inherit all of o from the listener.
func (p *platform) inherits(o Options) bool {
	if p.opts[keepAlive] == nil || !p.opts[keepAlive].inherited {
		return false
	}
	for f := range numFields {
		if opt := p.opts[f]; o.field(f) != 0 && opt != nil && !opt.inherited {
			return false
		}
	}
	return true
}

// Listener sets Options on each connection that another listener accepts. If your program
// creates the listener itself, [ListenConfig] costs less. Listener is for listeners
// that you get from elsewhere, for example from [net.FileListener] (socket activation), or
// that wrap their connections.
//
// Accepted connections keep the options that package net has set already. With a listener
// of net.Listen, a zero field therefore means Go's default (Idle 15s, Interval 15s, Count 9).
// Connections that are not TCP are returned unchanged.
type Listener struct {
	net.Listener

	Options Options

	// OnError is called if the options of a connection cannot be set, with the error of
	// [Enable], or if the connection has ended, with an error matching syscall.ENOTCONN. Accept
	// returns the connection after it. OnError is not called for [ErrNotTCP]. If OnError is nil,
	// errors are ignored, and Options that are out of range set nothing.
	OnError func(net.Conn, error)
}

// Accept returns the next connection of the underlying listener, with the Options set. Its
// type does not change. Accept returns only errors of the underlying listener.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || conn == nil {
		return conn, err
	}
	err = Enable(conn, l.Options)
	if l.OnError == nil {
		return conn, nil
	}
	if err == nil {
		err, _ = checkConnected(conn)
	}
	if err != nil && !errors.Is(err, ErrNotTCP) {
		l.OnError(conn, err)
	}
	return conn, nil
}
