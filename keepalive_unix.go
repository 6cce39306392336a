//go:build unix

package keepalive

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// systemCalls is the kernel of Unix systems.
type systemCalls struct{}

// setsockopt uses package syscall, because it is faster than x/sys by a jump.
func setsockopt(fd uintptr, level, opt int, v int32) error {
	return syscall.SetsockoptInt(int(fd), level, opt, int(v))
}

func (systemCalls) setsockopt(fd uintptr, level, opt int, v int32) error {
	return setsockopt(fd, level, opt, v)
}

func (systemCalls) getsockopt(fd uintptr, level, opt int) (int32, error) {
	v, err := unix.GetsockoptInt(int(fd), level, opt)
	return int32(v), err
}

func (systemCalls) setKeepaliveVals(uintptr, bool, uint32, uint32) error { return unix.ENOPROTOOPT }

func (s systemCalls) isStream(fd uintptr) (bool, error) {
	typ, err := s.getsockopt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
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

func (systemCalls) getpeername(fd uintptr) error { return getpeername(fd) }

func (systemCalls) isUnsupported(err error) bool {
	return err == unix.ENOPROTOOPT || err == unix.EOPNOTSUPP || err == unix.ENOTSUP
}
