//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package sysdefault

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Read returns the value of a sysctl, in its unit. ok is false if there is no such sysctl.
func Read(name string) (value int64, ok bool, err error) {
	v, err := unix.SysctlUint32(name)
	if errors.Is(err, unix.ENOENT) {
		return 0, false, nil
	}
	return int64(v), err == nil, err
}
