//go:build !linux

package testpeer

import (
	"errors"
	"fmt"
	"net"
)

func control(_ *net.TCPConn, cmd string) error {
	return fmt.Errorf("%w: a peer that can go %q takes Linux's socket filters", errors.ErrUnsupported, cmd)
}

func sockoptsOf(net.Addr, net.Addr) (Sockopts, error) {
	return Sockopts{}, fmt.Errorf("%w: reading another's socket options takes Linux", errors.ErrUnsupported)
}
