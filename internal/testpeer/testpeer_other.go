//go:build !linux

package testpeer

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

func control(_ *net.TCPConn, cmd string) error {
	return fmt.Errorf("%w: the command %q of a peer needs Linux", errors.ErrUnsupported, cmd)
}

func filter(syscall.Conn, bool) error {
	return fmt.Errorf("%w: dropping segments needs the socket filters of Linux", errors.ErrUnsupported)
}

func sockoptsOf(net.Addr, net.Addr) (Sockopts, error) {
	return Sockopts{}, fmt.Errorf("%w: reading the socket options of another process needs Linux", errors.ErrUnsupported)
}
