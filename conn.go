package keepalive

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"syscall"
)

// maxDepth bounds the search for the socket, in case a wrapper wraps itself.
const maxDepth = 32

// control finds the TCP socket under conn and runs f on its descriptor.
func control(conn net.Conn, f func(fd uintptr)) (err error) {
	// A wrapper around a nil pointer panics in its own methods. That is not
	// this package's to crash on: the caller asked a question.
	inner := conn
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("keepalive: %T, inside %T: panic: %q", inner, conn, fmt.Sprint(r))
		}
	}()
	c, err := socket(&inner)
	if err != nil {
		return err
	}
	if system.on == nil {
		f(0) // makes no call: all is missing
		return nil
	}
	kind := errors.New("its RawConn does nothing")
	err = c.Control(func(fd uintptr) {
		if kind = system.isTCP(fd); kind == nil {
			f(fd)
		}
	})
	switch {
	case err != nil:
		return fmt.Errorf("keepalive: %w", err)
	case kind == errNotTCP:
		return notTCP(inner)
	case kind != nil:
		return fmt.Errorf("keepalive: the socket of %T: %w", inner, kind)
	}
	return nil
}

// socket moves conn to the innermost connection and returns the handle of its
// descriptor.
func socket(conn *net.Conn) (syscall.RawConn, error) {
	outer := *conn
	for range maxDepth {
		if v := reflect.ValueOf(*conn); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, nilConn(*conn, outer)
		}
		var refused error
		if sc, ok := (*conn).(syscall.Conn); ok {
			c, err := sc.SyscallConn()
			switch {
			case err != nil:
				refused = fmt.Errorf("keepalive: %T has no socket: SyscallConn: %w", *conn, err)
			case c == nil:
				refused = fmt.Errorf("keepalive: the socket of %T: SyscallConn gives none", *conn)
			default:
				return c, nil
			}
		}
		next, ok := unwrap(*conn)
		if !ok {
			if refused != nil {
				return nil, refused
			}
			return nil, notTCP(*conn)
		}
		*conn = next
	}
	return nil, fmt.Errorf("keepalive: %T wraps itself, or is wrapped more than %d deep", outer, maxDepth)
}

// unwrap returns the connection one level down.
func unwrap(conn net.Conn) (net.Conn, bool) {
	switch w := conn.(type) {
	case interface{ NetConn() net.Conn }: // crypto/tls and its like
		return w.NetConn(), true
	case interface{ Unwrap() net.Conn }:
		return w.Unwrap(), true
	case interface{ Raw() net.Conn }: // PROXY protocol
		return w.Raw(), true
	case interface{ UnderlyingConn() net.Conn }: // WebSocket
		return w.UnderlyingConn(), true
	}
	visits := maxDepth
	return embedded(reflect.ValueOf(conn), &visits)
}

var connType = reflect.TypeFor[net.Conn]()

// embedded returns the connection that a struct embeds, as counting, limiting
// and logging wrappers do. It looks into an embedded struct only if that is a
// connection itself, of a type that cannot be had by reflection.
func embedded(v reflect.Value, visits *int) (net.Conn, bool) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if *visits--; v.Kind() != reflect.Struct || *visits < 0 {
		return nil, false
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.Anonymous || !f.Type.Implements(connType) {
			continue
		}
		if f.IsExported() {
			conn, _ := v.Field(i).Interface().(net.Conn)
			return conn, true
		}
		if conn, ok := embedded(v.Field(i), visits); ok {
			return conn, true
		}
	}
	return nil, false
}

func nilConn(conn, outer net.Conn) error {
	switch {
	case outer == nil:
		return errors.New("keepalive: the connection is nil")
	case conn == nil:
		return fmt.Errorf("keepalive: the connection inside %T is nil", outer)
	}
	return fmt.Errorf("keepalive: the connection is a nil %T", conn)
}

// over is an error when conn is over: Linux takes the options of such a one, too.
func over(conn net.Conn) error {
	var gone error
	if err := control(conn, func(fd uintptr) { gone = system.over(fd) }); err != nil {
		return err
	}
	return gone
}

// notTCP is the error for a connection without a TCP socket, or without a way to
// it: one that has TCP's addresses hides something.
func notTCP(conn net.Conn) error {
	network := "no address"
	if a := conn.LocalAddr(); a != nil {
		network = a.Network()
	}
	if _, ok := conn.(syscall.Conn); !ok && tcpNetwork(network) {
		return fmt.Errorf("keepalive: no way to the socket inside %T: it embeds no net.Conn and has no SyscallConn, nor a NetConn, Unwrap, Raw or UnderlyingConn that returns a net.Conn", conn)
	}
	return fmt.Errorf("keepalive: %T (%s): %w", conn, network, ErrNotTCP)
}
