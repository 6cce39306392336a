//go:build linux

package sockets

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// ErrGone means that the socket does not exist any more.
var ErrGone = errors.New("closed meanwhile")

// ErrDenied means that this process may not duplicate the sockets of the process that holds it.
var ErrDenied = errors.New("no right: requires CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")

// opener duplicates the sockets of other processes. It keeps the last process open.
type opener struct {
	pid   int
	pidfd int
}

func (o *opener) close() {
	if o.pid != 0 {
		unix.Close(o.pidfd)
		o.pid = 0
	}
}

// with calls f with a duplicate of s. It tries each owner of s.
func (o *opener) with(s *Socket, f func(conn net.Conn) error) error {
	result := ErrDenied
	if s.Closed() || len(s.Owners) > 0 {
		result = ErrGone
	}
	for _, owner := range s.Owners {
		fd, err := o.open(owner, s.cookie)
		if err == nil {
			defer unix.Close(fd)
			return f(descriptor.Conn(fd))
		}
		if !errors.Is(err, ErrGone) {
			result = err
		}
	}
	return result
}

// open duplicates a socket. The process may have closed the descriptor and opened another
// socket in its place, so open compares the cookie, which the kernel does not use twice.
func (o *opener) open(owner Owner, cookie uint64) (fd int, err error) {
	if o.pid != owner.PID {
		o.close()
		pidfd, err := unix.PidfdOpen(owner.PID, 0)
		switch {
		case errors.Is(err, unix.ESRCH):
			return 0, ErrGone
		case errors.Is(err, unix.ENOSYS):
			return 0, errors.New("pidfd_open: requires Linux 5.6 or later")
		case err != nil:
			return 0, fmt.Errorf("pidfd_open: %w", err)
		}
		o.pid, o.pidfd = owner.PID, pidfd
	}
	fd, err = unix.PidfdGetfd(o.pidfd, owner.FD, 0)
	switch {
	case err == nil:
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.ESRCH):
		return 0, ErrGone
	case errors.Is(err, unix.EPERM):
		return 0, ErrDenied
	case errors.Is(err, unix.ENOSYS):
		return 0, errors.New("pidfd_getfd: requires Linux 5.6 or later")
	default:
		return 0, fmt.Errorf("pidfd_getfd: %w", err)
	}
	if cookieOf(fd) != cookie {
		unix.Close(fd)
		return 0, ErrGone
	}
	return fd, nil
}

// cookieOf returns the number that the kernel gave to a socket. It is never 0 for a socket.
func cookieOf(fd int) (cookie uint64) {
	size := uint32(unsafe.Sizeof(cookie))
	unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_COOKIE, uintptr(unsafe.Pointer(&cookie)), uintptr(unsafe.Pointer(&size)), 0)
	return cookie
}
