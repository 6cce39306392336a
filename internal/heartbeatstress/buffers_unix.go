//go:build unix

package heartbeatstress

import "syscall"

// setBuffers makes the buffers of a socket small before it is connected. Later, it would
// be too late: Linux does not send less than half of the largest window that it has
// seen, except in a window probe, so bare TCP is silent for seconds.
func setBuffers(_, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, smallReceive); err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, smallSend)
		}
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
