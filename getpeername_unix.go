//go:build unix && !linux

package keepalive

import "golang.org/x/sys/unix"

// getpeername returns ENOTCONN where xnu returns EINVAL, for a socket that was shut down in
// both directions (bsd/kern/uipc_syscalls.c, getpeername).
func getpeername(fd uintptr) error {
	_, err := unix.Getpeername(int(fd))
	if err == unix.EINVAL {
		return unix.ENOTCONN
	}
	return err
}
