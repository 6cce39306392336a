package keepalive

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"syscall"
	"unsafe"
)

// withSocket calls f with the descriptor of conn's socket and arg, and returns what
// f returns. For a *net.TCPConn it does not allocate, if f captures nothing.
func withSocket[A, R any](conn net.Conn, arg A, f func(fd uintptr, arg A) (R, error)) (result R, err error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || tcp == nil || host.opts[keepAlive] == nil {
		return withInnerSocket(conn, arg, f)
	}
	c, err := tcp.SyscallConn()
	if err != nil { // package net did not create tcp
		return result, fmt.Errorf("keepalive: %T has no socket: %w", conn, err)
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { result, ferr = f(fd, arg) }); err != nil {
		return result, fmt.Errorf("keepalive: %w", err)
	}
	return result, ferr
}

// withInnerSocket is withSocket for wrappers, and for connections that may not be
// TCP.
func withInnerSocket[A, R any](conn net.Conn, arg A, f func(fd uintptr, arg A) (R, error)) (result R, err error) {
	c, inner, err := findSocket(conn)
	if err != nil {
		return result, err
	}
	if host.opts[keepAlive] == nil {
		return f(0, arg) // makes no system call
	}
	ferr := fmt.Errorf("keepalive: RawConn.Control of %T did not call the function", inner)
	err = c.Control(func(fd uintptr) {
		isTCP, kerr := host.isTCP(fd)
		switch {
		case kerr != nil:
			ferr = fmt.Errorf("keepalive: socket of %T: %w", inner, kerr)
		case !isTCP:
			ferr = fmt.Errorf("keepalive: %T: %w", inner, ErrNotTCP)
		default:
			result, ferr = f(fd, arg)
		}
	})
	if err != nil {
		return result, fmt.Errorf("keepalive: %w", err)
	}
	return result, ferr
}

// isTCP reads an option that every TCP socket has. Linux answers for other sockets
// that there is no such option. BSD may return EINVAL, but also for a TCP socket that
// was reset; then the kind of socket decides.
func (p *platform) isTCP(fd uintptr) (bool, error) {
	const ipprotoTCP, tcpNoDelay = 6, 1 // on every system
	_, err := p.sys().getsockopt(fd, ipprotoTCP, tcpNoDelay)
	switch {
	case err == nil:
		return true, nil
	case p.sys().isUnsupported(err):
		return false, nil
	}
	return p.sys().isStream(fd)
}

// maxDepth bounds the search for the socket, in case a wrapper wraps itself.
const maxDepth = 32

// findSocket returns the innermost connection inside conn, and its RawConn.
func findSocket(conn net.Conn) (c syscall.RawConn, inner net.Conn, err error) {
	inner = conn
	defer func() { // the methods of a wrapper around a nil pointer panic
		if r := recover(); r != nil {
			err = fmt.Errorf("keepalive: %T inside %T: panic: %v", inner, conn, r)
		}
	}()
	var refused error
	for range maxDepth {
		if isNil(inner) {
			return nil, nil, nilConn(inner, conn)
		}
		if sc, ok := inner.(syscall.Conn); ok {
			c, err := sc.SyscallConn()
			switch {
			case err != nil:
				refused = fmt.Errorf("keepalive: %T has no socket: SyscallConn: %w", inner, err)
			case isNil(c):
				refused = fmt.Errorf("keepalive: SyscallConn of %T returned nil", inner)
			default:
				return c, inner, nil
			}
		}
		next, ok := unwrap(inner)
		switch {
		case ok:
			inner = next
		case refused != nil:
			return nil, nil, refused
		default:
			return nil, nil, noSocket(inner)
		}
	}
	return nil, nil, fmt.Errorf("keepalive: %T wraps itself, or is wrapped more than %d times", conn, maxDepth)
}

// isNil reports whether v is nil or a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// unwrap returns the connection inside conn.
func unwrap(conn net.Conn) (net.Conn, bool) {
	switch w := conn.(type) {
	case interface{ NetConn() net.Conn }: // for example crypto/tls
		return w.NetConn(), true
	case interface{ NetConn() *net.TCPConn }:
		return w.NetConn(), true
	case interface{ Unwrap() net.Conn }:
		return w.Unwrap(), true
	case interface{ Raw() net.Conn }: // PROXY protocol
		return w.Raw(), true
	case interface{ UnderlyingConn() net.Conn }: // WebSocket
		return w.UnderlyingConn(), true
	}
	return embedded(conn)
}

var connType = reflect.TypeFor[net.Conn]()

// embedded returns the first connection that a struct embeds. It may be an interface,
// a pointer, or a struct.
func embedded(conn net.Conn) (net.Conn, bool) {
	v := reflect.ValueOf(conn)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	} else { // a copy, so that fields have addresses
		v = reflect.New(v.Type()).Elem()
		v.Set(reflect.ValueOf(conn))
	}
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.Anonymous {
			continue
		}
		// By address, because the name of the field's type may be unexported.
		field := reflect.NewAt(f.Type, unsafe.Pointer(v.Field(i).UnsafeAddr()))
		switch {
		case f.Type.Implements(connType):
			inner, _ := field.Elem().Interface().(net.Conn)
			return inner, true
		case field.Type().Implements(connType): // methods of the pointer
			return field.Interface().(net.Conn), true
		}
	}
	return nil, false
}

func nilConn(conn, outer net.Conn) error {
	switch {
	case outer == nil:
		return errors.New("keepalive: connection is nil")
	case conn == nil:
		return fmt.Errorf("keepalive: connection inside %T is nil", outer)
	}
	return fmt.Errorf("keepalive: connection is a nil %T", conn)
}

// noSocket returns the error for a connection that leads to no socket.
func noSocket(conn net.Conn) error {
	if pipe, _ := net.Pipe(); reflect.TypeOf(conn) == reflect.TypeOf(pipe) {
		return fmt.Errorf("keepalive: %T: %w", conn, ErrNotTCP)
	}
	return fmt.Errorf("keepalive: cannot find the socket of %T: it has no SyscallConn method, no NetConn, Unwrap, Raw or UnderlyingConn method that returns a net.Conn, and embeds no net.Conn", conn)
}
