//go:build !linux

package testpeer

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

func control(_ *net.TCPConn, cmd string) error {
	return fmt.Errorf("%w: a peer that can go %q takes Linux's socket filters", errors.ErrUnsupported, cmd)
}

func filter(syscall.Conn, bool) error {
	return fmt.Errorf("%w: dropping segments takes Linux's socket filters", errors.ErrUnsupported)
}

func sockoptsOf(net.Addr, net.Addr) (Sockopts, error) {
	return Sockopts{}, fmt.Errorf("%w: reading another's socket options takes Linux", errors.ErrUnsupported)
}
