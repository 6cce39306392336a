package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// setInherited sets o on the TCP sockets that a program inherits when this process executes it.
func setInherited(o keepalive.Options) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || !isInherited(fd) {
			continue
		}
		err = keepalive.Enable(descriptor.Conn(fd), o)
		if err != nil && !errors.Is(err, unix.ENOTSOCK) && !errors.Is(err, keepalive.ErrNotTCP) {
			errs = append(errs, fmt.Errorf("descriptor %d: %w", fd, err))
		}
	}
	return errors.Join(errs...)
}

// isInherited reports whether descriptor fd stays open in a program that this process executes.
func isInherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
