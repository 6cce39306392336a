package keepalive

import (
	"cmp"
	"errors"
	"fmt"
	"net"
)

// Enable turns keepalive on for conn and sets the fields of o that are not zero.
// If o.Disabled is set, it sets the fields and turns keepalive off.
//
// conn is a [*net.TCPConn], a *tls.Conn, or another wrapper around a TCP
// connection. A wrapper must embed a net.Conn, or have the method SyscallConn of
// [syscall.Conn], or one of NetConn, Unwrap, Raw and UnderlyingConn that returns a
// net.Conn. No other method of a wrapper is called. Enable can be called concurrently with Read, Write and Close.
// It does not affect deadlines.
//
// Enable returns
//
//   - an [*OptionError] if a value is negative or out of range. Nothing is set;
//   - an error matching [errors.ErrUnsupported] if the system does not support some
//     of the options. All others are set. Most programs ignore this error, as the
//     example in the package documentation does;
//   - [ErrNotTCP], which also matches errors.ErrUnsupported, if conn is not a TCP
//     connection;
//   - another error if conn is nil, or if it is a wrapper whose socket cannot be
//     found;
//   - [net.ErrClosed] if this program has closed conn;
//   - an error matching [syscall.ENOTCONN] if the connection has ended otherwise and
//     the kernel refuses to set options. Linux does not refuse, so Enable returns nil
//     there. [Get], [Disable] and [Inspect] check on every system;
//   - an [*OptionError] with the kernel's error if the kernel refuses a value. The
//     options before it are set. The order is KeepAlive, Interval, Count,
//     UserTimeout, Idle.
//
// Call Enable when a connection is established, and not when a pool takes it out, or after it
// has waited in an accept queue. If the connection has been silent, the kernel may send a
// probe at once, or even drop it. See "Silent connections" in the package documentation.
//
// A Multipath TCP connection on Linux has no user timeout, and before Linux 6.10 no times and
// no count.
func Enable(conn net.Conn, o Options) error {
	var raw values
	if !host.encode(&o, &raw) {
		return host.check(&o)
	}
	// This is apply for the most common case. withSocket and apply cost 8 % of the system
	// calls (bench, Enable).
	if tcp, ok := conn.(*net.TCPConn); ok && tcp != nil && host.isPlain() {
		if c, err := tcp.SyscallConn(); err == nil {
			var failed error
			if err := c.Control(func(fd uintptr) { _, failed = host.setFrom(fd, &raw, 0) }); err == nil && failed == nil {
				return nil
			}
		}
	}
	_, err := withSocket(conn, o, func(fd uintptr, o Options) (struct{}, error) { return struct{}{}, host.apply(fd, o) })
	return ifClosed(conn, err)
}

// ifClosed returns err, which also matches syscall.ENOTCONN if conn has ended. macOS and
// illumos return EINVAL then.
func ifClosed(conn net.Conn, err error) error {
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if closed, _ := checkConnected(conn); closed != nil {
		return fmt.Errorf("%w (%w)", err, closed)
	}
	return err
}

// Disable turns keepalive off for conn. It leaves the times, the count and the user
// timeout unchanged. It accepts the same connections as [Enable] and returns the
// same errors. If the connection has ended, the error matches [syscall.ENOTCONN].
//
// FreeBSD sends probes although keepalive is off if the sysctl
// net.inet.tcp.always_keepalive is 1, which is the default (tcp(4)).
func Disable(conn net.Conn) error {
	if err := Enable(conn, Options{Disabled: true}); err != nil {
		return err
	}
	closed, err := checkConnected(conn)
	return cmp.Or(closed, err)
}

// checkConnected returns closed if conn has ended, and err if the kernel cannot be asked.
func checkConnected(conn net.Conn) (closed, err error) {
	return withSocket(conn, struct{}{}, func(fd uintptr, _ struct{}) (error, error) { return host.checkConnected(fd), nil })
}

// Get returns the options that are in effect on conn, as the kernel reports them.
// You can restore them later with Enable. It accepts the same connections as
// [Enable].
//
// A value that was never set is the default of the system. On Linux it changes with
// the sysctl. It can be out of the range that Enable accepts: Linux accepts
// net.ipv4.tcp_keepalive_time=86400, but not more than 32767 seconds for a socket.
// UserTimeout is [NoUserTimeout] if none is set, and 0 if the system, or a Multipath
// TCP connection, has no user timeout. Interval and Count are 0 on illumos until
// they are set.
//
// Get returns the errors of Enable. The error matches
//
//   - [errors.ErrUnsupported] if the system cannot report some options, for example
//     OpenBSD and Windows before 10 version 1709. Options has the others;
//   - [syscall.ENOTCONN] if the connection has ended. Options has what was read. The
//     next Read returns the reason, see [Diagnose].
func Get(conn net.Conn) (Options, error) {
	return withSocket(conn, struct{}{}, func(fd uintptr, _ struct{}) (Options, error) { return host.readConn(fd) })
}

// readConn is read for a connection. The error says if it has ended.
func (p *platform) readConn(fd uintptr) (Options, error) {
	o, err := p.variantOf(fd).read(fd)
	if p.opts[keepAlive] != nil && (err == nil || errors.Is(err, errors.ErrUnsupported)) {
		if closed := p.checkConnected(fd); closed != nil {
			return o, closed
		}
	}
	return o, err
}
