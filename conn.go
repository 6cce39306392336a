package keepalive

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"syscall"
)

// maxDepth bounds the search for the socket, in case a wrapper wraps itself.
const maxDepth = 32

// control finds the TCP socket under conn and runs f on its descriptor.
func control(conn net.Conn, f func(fd uintptr)) error {
	c, inner, err := socket(conn)
	if err != nil {
		return err
	}
	if system.on == nil {
		f(0) // makes no call: all is missing
		return nil
	}
	tcp := false
	err = c.Control(func(fd uintptr) {
		if tcp = system.isTCP(fd); tcp {
			f(fd)
		}
	})
	if err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	if !tcp {
		return notTCP(inner)
	}
	return nil
}

// socket finds the innermost connection, and the descriptor's handle there.
func socket(conn net.Conn) (c syscall.RawConn, inner net.Conn, err error) {
	outer := conn
	// A wrapper around a nil pointer panics in its own methods. That is not
	// this package's to crash on: the caller asked a question.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("keepalive: %T, inside %T: %v", conn, outer, r)
		}
	}()
	for range maxDepth {
		if v := reflect.ValueOf(conn); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, nil, nilConn(conn, outer)
		}
		var reason error
		if sc, ok := conn.(syscall.Conn); ok {
			if c, reason = sc.SyscallConn(); reason == nil && c != nil {
				return c, conn, nil
			}
		}
		next, ok := unwrap(conn)
		if !ok {
			if reason != nil {
				return nil, nil, fmt.Errorf("keepalive: %w", reason)
			}
			return nil, nil, notTCP(conn)
		}
		conn = next
	}
	return nil, nil, fmt.Errorf("keepalive: %T wraps itself, or is wrapped more than %d deep", outer, maxDepth)
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
	return embedded(reflect.ValueOf(conn), maxDepth)
}

var connType = reflect.TypeFor[net.Conn]()

// embedded returns the connection that a struct embeds, as counting, limiting
// and logging wrappers do.
func embedded(v reflect.Value, depth int) (net.Conn, bool) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || depth == 0 {
		return nil, false
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.Anonymous {
			continue
		}
		if f.IsExported() && f.Type.Implements(connType) {
			conn, _ := v.Field(i).Interface().(net.Conn)
			return conn, true
		}
		if conn, ok := embedded(v.Field(i), depth-1); ok {
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

func notTCP(conn net.Conn) error {
	e := &notTCPError{conn: conn, network: "no address"}
	if a := conn.LocalAddr(); a != nil {
		e.network = a.Network()
	}
	return e
}

// notTCPError is ErrNotTCP with what it was instead.
type notTCPError struct {
	conn    net.Conn
	network string
}

func (e *notTCPError) Error() string {
	return fmt.Sprintf("keepalive: %T (%s): %v", e.conn, e.network, ErrNotTCP)
}

func (e *notTCPError) Unwrap() error { return ErrNotTCP }

// connected tells whether conn still has a peer.
func connected(conn net.Conn) error {
	var gone error
	if err := control(conn, func(fd uintptr) { gone = system.kernel.peer(fd) }); err != nil {
		return err
	}
	if gone != nil {
		return fmt.Errorf("keepalive: the connection is dead already: %w", os.NewSyscallError("getpeername", gone))
	}
	return nil
}
