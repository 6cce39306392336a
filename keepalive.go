package keepalive

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// system is the one this program runs on. Its table stands in the file of the
// system, or is empty where there are no socket options.
var system = &table

// Enable turns keepalive on for conn and sets the fields of o that are not
// zero; with o.Disabled it sets them and turns keepalive off.
//
// conn is anything that leads to a TCP socket: a *net.TCPConn, a *tls.Conn, or
// a wrapper that has a method SyscallConn, as in [syscall.Conn], or one of
// NetConn, Unwrap, Raw and UnderlyingConn that returns a net.Conn, or that
// embeds a net.Conn or *net.TCPConn; up to 32 deep. The descriptor is neither
// duplicated nor made blocking, so deadlines go on working, and reads and writes
// in progress are not disturbed. It is safe to call at any time, from several
// goroutines, during Close too.
//
// The errors:
//
//   - An [*OptionError] that names the option, its value and the range, when a
//     value is negative or out of the system's range. Nothing was set then.
//
//   - An error that is [errors.ErrUnsupported] and names all the options that
//     this system lacks. All the others were set. To make the best of every
//     system, overlook it:
//
//     if err != nil && !errors.Is(err, errors.ErrUnsupported)
//
//   - [ErrNotTCP], which is errors.ErrUnsupported as well. A wrapper that has
//     TCP addresses and shows no way to its socket is an error of its own, and
//     not errors.ErrUnsupported.
//
//   - [net.ErrClosed], when conn was closed on this side.
//
//   - An error that is [syscall.ENOTCONN], when the kernel refuses because the
//     connection is over: reset by the peer, timed out, or finished by both
//     sides. Linux does not refuse: there [Get], [Disable] and [Inspect] ask
//     whether it is over, and Enable, whose cost would grow by a fifth, does not.
//     Why it is over, the kernel tells once, and all of them leave that to the
//     next Read; see [Diagnose].
//
//   - An error that says so when conn is nil, or wraps nil or itself.
//
//   - An [*OptionError] with the kernel's error when it refuses a value. What
//     comes before it was set: Interval, Count, UserTimeout, Idle, in this order.
//
// Linux sends a probe at once, and counts it, when Idle is set to less than the
// connection has been silent. So set it when the connection is made, and not
// again and again: each time may add a probe to those unanswered. With a user
// timeout the old silence counts, too.
//
// On a Multipath TCP connection Linux lacks the user timeout and, before 6.10,
// the times and the count: Enable then returns errors.ErrUnsupported.
func Enable(conn net.Conn, o Options) error {
	if err := system.check(o); err != nil {
		if !o.complete() {
			return err
		}
		now, gerr := Get(conn)
		if o = system.restorable(o, now); gerr != nil || system.check(o) != nil {
			return err
		}
	}
	// This is written out, here and in Get, so that the compiler sees the
	// concrete type of the RawConn: then nothing is allocated.
	tcp, ok := conn.(*net.TCPConn)
	if !ok || tcp == nil || system.on == nil {
		return enableAny(conn, o)
	}
	c, err := tcp.SyscallConn()
	if err != nil { // it was not made by package net
		return fmt.Errorf("keepalive: %T has no socket: %w", conn, err)
	}
	var applied error
	if err := c.Control(func(fd uintptr) { applied = system.apply(fd, o) }); err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	return applied
}

// enableAny is Enable for what is not plainly a TCP connection.
func enableAny(conn net.Conn, o Options) error {
	var applied error
	if err := control(conn, func(fd uintptr) { applied = system.apply(fd, o) }); err != nil {
		return err
	}
	return applied
}

// Disable turns keepalive off for conn and leaves all else alone, the user
// timeout included. It takes the same connections as [Enable], with the same
// errors.
//
// FreeBSD goes on probing while its sysctl net.inet.tcp.always_keepalive is 1,
// as it is unless changed (tcp(4)).
func Disable(conn net.Conn) error {
	if err := Enable(conn, Options{Disabled: true}); err != nil {
		return err
	}
	return over(conn)
}

// Get returns what is in force on conn, read from the kernel:
// Enable(conn, what Get gave) restores it. It takes the same connections as
// [Enable].
//
// Values that were never set read as the system's own, and change with it; on
// illumos the interval and the count are zero until they are set. UserTimeout
// is [NoUserTimeout] where none is set, and zero where the system, or a Multipath
// TCP socket, has no such option.
//
// Of a value that the system has by its own default but takes from nobody, see
// [SystemDefaults], Enable sets the nearest that it takes, unless the connection
// still has it. A default of zero, which a sysctl may hold, too, cannot be
// restored at all.
//
// The error is [errors.ErrUnsupported] when a time or the count cannot be read
// on this system, as on OpenBSD and on Windows before 10 version 1709.
// The Options hold the rest, and zero for what is not known. Other errors are
// those of Enable; with ENOTCONN, too, the Options hold what was read.
func Get(conn net.Conn) (Options, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || tcp == nil || system.on == nil {
		return getAny(conn)
	}
	c, err := tcp.SyscallConn()
	if err != nil {
		return Options{}, fmt.Errorf("keepalive: %T has no socket: %w", conn, err)
	}
	var o Options
	var read error
	if err := c.Control(func(fd uintptr) { o, read = system.get(fd) }); err != nil {
		return Options{}, fmt.Errorf("keepalive: %w", err)
	}
	return o, read
}

// getAny is Get for what is not plainly a TCP connection.
func getAny(conn net.Conn) (Options, error) {
	var o Options
	var read error
	if err := control(conn, func(fd uintptr) { o, read = system.get(fd) }); err != nil {
		return Options{}, err
	}
	return o, read
}

// Control sets o on a socket that is being made: it is a hook for
// [net.Dialer.Control] and, on Linux, for [net.ListenConfig.Control].
//
// A value that is negative or out of range fails the dial or listen, with an
// [*OptionError]; an option that the system lacks does not, and networks other
// than TCP pass through untouched.
//
// Linux's Multipath TCP, which package net listens with by default, takes no
// user timeout, and before Linux 6.10 neither times nor count. There the hook
// fails, whereupon package net makes a plain TCP socket instead, and calls it
// again.
//
// Package net sets keepalive of its own after the hook, 15 s, 15 s and 9, on
// what is dialed and what is accepted, unless its KeepAlive field is negative
// and KeepAliveConfig.Enable is false.
//
// Only on Linux is it safe on a listening socket: macOS and NetBSD are
// reported to close a listener that has keepalive on (libuv issue 2474,
// syslog-ng issue 3751).
func (o Options) Control(network, address string, c syscall.RawConn) error {
	return system.control(network, c, o)
}

func (p *platform) control(network string, c syscall.RawConn, o Options) error {
	if err := p.checkTCP(network, o); err != nil || p.on == nil || !tcpNetwork(network) {
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

// checkTCP is check, for TCP's networks alone.
func (p *platform) checkTCP(network string, o Options) error {
	if !tcpNetwork(network) {
		return nil
	}
	return p.check(o)
}

func tcpNetwork(network string) bool { return strings.HasPrefix(network, "tcp") }
