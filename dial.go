package keepalive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Dialer returns a copy of d whose TCP connections have o. If d is nil, it copies an empty
// net.Dialer. The copy does not set the keepalive options of package net. It sets o in its
// Control hooks, after calling those of d, so do not replace them.
//
// A dial returns an [*OptionError] in a [*net.OpError] if a value in o is negative or out of
// range, or if the kernel refuses it, for example with EPERM in a sandbox that forbids
// TCP_KEEPIDLE. A dial ignores options that the system does not support, see [Options.Validate]. Networks
// other than TCP are dialed without o.
//
// On Linux, a user timeout also limits connect. For example, with UserTimeout 4.5s and a
// Timeout of 30s in d a dial to a dead peer fails after about 4.5s. To avoid that, call
// [Enable] with the user timeout after dialing.
//
// If SetMultipathTCP is on and Linux lacks an option for Multipath TCP (the user timeout
// always, and times and count before Linux 6.10), the connection is a plain TCP connection.
// The hook of d is then called for both sockets.
func Dialer(d *net.Dialer, o Options) *net.Dialer { return host.variant().dialer(d, o) }

func (p *platform) dialer(d *net.Dialer, o Options) *net.Dialer {
	if d == nil {
		d = &net.Dialer{}
	}
	c := *d
	c.KeepAlive = -1
	c.KeepAliveConfig = net.KeepAliveConfig{}
	if p.setAfterConnect && !o.Disabled { // once more, after connect
		c.KeepAliveConfig = p.netConfig(o)
	}
	set := func(network, _ string, rc syscall.RawConn) error { return p.control(network, rc, o) }
	c.Control = chain(d.Control, set)
	if first := d.ControlContext; first != nil { // package net then ignores Control
		c.ControlContext = func(ctx context.Context, network, address string, rc syscall.RawConn) error {
			if err := first(ctx, network, address, rc); err != nil {
				return err
			}
			return set(network, address, rc)
		}
	}
	return &c
}

// hook is the type of net.Dialer.Control and net.ListenConfig.Control.
type hook = func(network, address string, c syscall.RawConn) error

// chain returns a hook that calls both hooks, until one returns an error. first may be nil.
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

// Control sets o on a socket before it is connected or bound. It is a hook for
// [net.Dialer.Control] and, on Linux only, for [net.ListenConfig.Control]. [Dialer] and
// [ListenConfig] do more than this hook, and are correct on every system.
//
// It returns an [*OptionError] as a dial does, and ignores unsupported options and networks
// other than TCP. On a Multipath TCP socket that lacks an option it returns an error.
// Package net then creates a plain TCP socket and calls the hook again.
//
// Package net sets its own keepalive options (Idle 15s, Interval 15s, Count 9) after the
// hook. To prevent that, set KeepAlive to -1, and leave KeepAliveConfig.Enable false.
//
// Do not use the hook for listeners on other systems. NetBSD, and macOS before 14, close a
// listener on which keepalive options are set (libuv issue 2474, syslog-ng issue 3751).
// On gVisor, options that are set before connect do not start the timer.
func (o Options) Control(network, address string, c syscall.RawConn) error {
	return host.control(network, c, o)
}

func (p *platform) control(network string, c syscall.RawConn, o Options) error {
	if !isTCPNetwork(network) {
		return nil
	}
	if err := p.check(&o); err != nil || p.opts[keepAlive] == nil {
		return err
	}
	var applied error
	multipath := false
	err := c.Control(func(fd uintptr) {
		applied = p.apply(fd, o)
		multipath = errors.Is(applied, errors.ErrUnsupported) && p.isMultipath(fd)
	})
	if err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	if errors.Is(applied, errors.ErrUnsupported) && !multipath {
		return nil
	}
	return applied
}

func isTCPNetwork(network string) bool { return strings.HasPrefix(network, "tcp") }
