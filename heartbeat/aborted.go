//go:build unix || windows

package heartbeat

import (
	"errors"
	"os"
	"syscall"
)

// aborted tells whether a write failed because the kernel gave the connection up.
// It is EPIPE if the peer had ended in order.
func aborted(err error) bool {
	var e *os.SyscallError
	return errors.As(err, &e) && !errors.Is(err, syscall.EPIPE)
}
