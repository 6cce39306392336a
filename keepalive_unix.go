//go:build unix

package keepalive

import "golang.org/x/sys/unix"

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

func (sockets) peer(fd uintptr) error {
	_, err := unix.Getpeername(int(fd))
	return err
}

func (sockets) missing(err error) bool {
	return err == unix.ENOPROTOOPT || err == unix.EOPNOTSUPP || err == unix.ENOTSUP
}
