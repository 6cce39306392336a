package keepalive

import (
	"cmp"
	"errors"
	"net"
	"syscall"
	"time"
)

// ListenConfig returns a copy of lc, or of an empty net.ListenConfig when lc is
// nil, whose listeners accept TCP connections that have o.
//
// On Linux o is set on the listening socket, once, and accepted connections
// inherit it: accepting costs no further system call, where package net makes
// four. A Multipath TCP socket, which package net makes by default, takes no
// user timeout, and before Linux 6.10 neither times nor count: then the
// listener is a plain TCP one, and lc's hook is called for both sockets. On a
// connection whose peer really speaks Multipath TCP, death is noticed about a
// minute late and Read fails with ENOTCONN (measured, Linux 6.18);
// SetMultipathTCP(false) on lc rules it out.
//
// On other systems a listener may not have keepalive on, or accepted
// connections may not inherit it, so package net is told to set each of them.
// It drops the errors that the kernel gives it, and knows no user timeout; with
// Disabled it sets nothing at all. Where these matter, use [Listener].
//
// A Control hook of lc's is called first. A value that is negative or out of
// range fails the listen, with an [*OptionError] inside the [*net.OpError]; an
// option that this system lacks is left out, and networks other than TCP are
// listened on as ever.
func ListenConfig(lc *net.ListenConfig, o Options) *net.ListenConfig {
	return system.listenConfig(lc, o)
}

func (p *platform) listenConfig(lc *net.ListenConfig, o Options) *net.ListenConfig {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	c := *lc
	c.KeepAlive = -1
	c.KeepAliveConfig = net.KeepAliveConfig{}
	if p.inherited(o) {
		c.Control = chain(lc.Control, func(network, _ string, rc syscall.RawConn) error { return p.control(network, rc, o) })
		return &c
	}
	c.Control = chain(lc.Control, func(network, _ string, _ syscall.RawConn) error { return p.checkTCP(network, o) })
	if !o.Disabled {
		c.KeepAliveConfig = p.netConfig(o)
	}
	return &c
}

// netConfig is o, which may be out of range, in package net's words: negative is
// "leave it alone", and the unit is the second on every system.
func (p *platform) netConfig(o Options) net.KeepAliveConfig {
	rows := p.current()
	if p.times != nil && rows[count] == nil && (o.Idle != 0 || o.Interval != 0) {
		// The control code takes both times, and package net no Interval alone.
		o.Idle, o.Interval = cmp.Or(o.Idle, p.times.idle), cmp.Or(o.Interval, p.times.interval)
	}
	orLeave := func(i param) time.Duration {
		v, r := o.get(i), rows[i]
		switch {
		case v <= 0 || r == nil:
			return -1
		case r.unit == time.Second/2: // NetBSD's, which package net takes for seconds
			return time.Duration(r.encode(v)) * time.Second
		}
		return time.Duration(v)
	}
	return net.KeepAliveConfig{Enable: true, Idle: orLeave(idle), Interval: orLeave(interval), Count: int(orLeave(count))}
}

// inherited reports whether accepted sockets have all of o from the listener.
func (p *platform) inherited(o Options) bool {
	if p.on == nil || !p.on.inherited {
		return false
	}
	for i := range numParams {
		if r := p.rows[i]; o.get(i) != 0 && r != nil && !r.inherited {
			return false
		}
	}
	return true
}

// Listener sets Options on each connection that an existing listener accepts.
// Where the listener is made by the program itself, [ListenConfig] does it at
// less cost.
//
// It serves what package net has set already: on connections accepted from a
// plain net.Listen or a [net.FileListener] (socket activation), a zero field
// means package net's 15 s, 15 s and 9. It serves listeners whose connections
// are wrapped, see [Enable] for what is understood, and hands them on as they
// are. Connections that are not TCP, from a Unix listener, pass through.
type Listener struct {
	net.Listener

	Options Options

	// OnError is told what went wrong with a connection, before Accept returns
	// it all the same. Without it, Options that are out of range set nothing,
	// and nobody knows: give it, or ask Options.Validate first. It gets an error
	// of [Get] or [Enable], that a connection is over among them, and is called
	// in the goroutine of Accept, so it should be quick.
	OnError func(net.Conn, error)
}

// Accept returns the underlying listener's next connection, of the same
// concrete type, with the Options set. It never fails because of them.
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
		err = over(conn)
	}
	if err != nil && !errors.Is(err, ErrNotTCP) {
		l.OnError(conn, err)
	}
	return conn, nil
}
