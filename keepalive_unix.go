//go:build unix

package keepalive

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

type sockets struct{}

func (sockets) set(fd uintptr, level, opt int, v int32) error {
	return unix.SetsockoptInt(int(fd), level, opt, int(v))
}

func (sockets) get(fd uintptr, level, opt int) (int32, error) {
	v, err := unix.GetsockoptInt(int(fd), level, opt)
	return int32(v), err
}

func (sockets) setTimes(uintptr, bool, uint32, uint32) error { return unix.ENOPROTOOPT }

func (s sockets) inetStream(fd uintptr) (bool, error) {
	typ, err := s.get(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || typ != unix.SOCK_STREAM {
		return false, err
	}
	sa, err := unix.Getsockname(int(fd))
	switch sa.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		return true, nil
	}
	return false, err
}

// peer says it as most systems do: xnu has EINVAL for a socket that was shut
// down both ways (bsd/kern/uipc_syscalls.c, getpeername).
func (sockets) peer(fd uintptr) error {
	_, err := unix.Getpeername(int(fd))
	if err == unix.EINVAL {
		return unix.ENOTCONN
	}
	return err
}

func (sockets) missing(err error) bool {
	return err == unix.ENOPROTOOPT || err == unix.EOPNOTSUPP || err == unix.ENOTSUP
}

// errnoCause is the cause of an error of the kernel's.
func errnoCause(err error, traffic bool) Cause {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch errno {
	case unix.ETIMEDOUT, unix.ENETRESET:
		return Dead
	case unix.ECONNRESET, unix.ECONNREFUSED, unix.EPIPE:
		return Reset
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN:
		return Unreachable
	case unix.EACCES:
		if traffic { // a firewall's answer over IPv6
			return Unreachable
		}
	case unix.ECONNABORTED:
		return Closed
	case unix.ENOTCONN:
		if traffic && system.proto != nil { // Multipath TCP, which has lost its last path
			return Dead
		}
	}
	return Unknown
}

func brokenPipe(err error) bool { return errors.Is(err, unix.EPIPE) }
