// Package descriptor lets package keepalive work on a socket that is not a connection of package
// net.
package descriptor

import (
	"errors"
	"net"
	"syscall"
)

// Conn returns a connection for keepalive.Enable and keepalive.Get. It has no other use. Unlike
// net.FileConn, it does not set O_NONBLOCK, which belongs to all processes that have the socket.
func Conn(fd int) net.Conn { return conn{fd: fd} }

type conn struct {
	net.Conn // nil
	fd       int
}

func (c conn) SyscallConn() (syscall.RawConn, error) { return rawConn(c.fd), nil }

type rawConn int

func (c rawConn) Control(f func(fd uintptr)) error { f(uintptr(c)); return nil }
func (rawConn) Read(func(uintptr) bool) error      { return errors.ErrUnsupported }
func (rawConn) Write(func(uintptr) bool) error     { return errors.ErrUnsupported }
