//go:build unix || windows

package heartbeat

import (
	"errors"
	"syscall"
)

// aborted reports whether a write failed because the kernel dropped the connection.
// EPIPE means that the peer has closed it in an orderly way.
func aborted(err error) bool { return isErrno(err) && !errors.Is(err, syscall.EPIPE) }

// isErrno reports whether err is from the kernel.
func isErrno(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}
