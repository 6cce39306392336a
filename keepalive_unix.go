//go:build unix

package keepalive

import (
	"syscall"

	"golang.org/x/sys/unix"
)

type sockets struct{}

func (sockets) set(fd uintptr, calls settings) (int, error) {
	for i := calls.next; i < calls.n; i++ {
		c := &calls.of[i]
		if err := unix.SetsockoptInt(int(fd), int(c.level), int(c.opt), int(c.v)); err != nil {
			return i, err
		}
	}
	return calls.n, nil
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

func (sockets) peer(fd uintptr) error {
	_, err := unix.Getpeername(int(fd))
	return err
}

func (sockets) missing(err error) bool {
	return err == unix.ENOPROTOOPT || err == unix.EOPNOTSUPP || err == unix.ENOTSUP
}

// errnoCause is the cause of an error of the kernel's.
func errnoCause(err error, transfer bool) Cause {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch errno {
	case unix.ETIMEDOUT, unix.ENETRESET:
		return Dead
	case unix.ECONNRESET, unix.ECONNREFUSED, unix.ECONNABORTED, unix.EPIPE:
		return Reset
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN:
		return Unreachable
	case unix.ENOTCONN:
		if transfer && system.proto != nil { // Multipath TCP, which has lost its last path
			return Dead
		}
	}
	return Unknown
}
