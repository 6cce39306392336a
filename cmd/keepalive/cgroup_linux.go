package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/cgroup"
)

// startCgroup moves this process to a cgroup of its own, to which o is attached.
func startCgroup(o keepalive.Options) error {
	if err := checkNotSupervised(); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := cgroup.Enter(cgroup.Settings{Options: o}); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

// checkNotSupervised returns an error if a new socket has keepalive. Then another process makes the
// sockets, and they belong to the cgroup of that process.
func checkNotSupervised() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	if err == nil && on != 0 {
		err = errors.New("another keepalive run with seccomp makes the sockets of this process: give OPTIONS to that one")
	}
	return err
}

// cgroupGaps returns what the cgroup of this process does not cover.
func cgroupGaps() []string {
	return []string{
		"later changes by 32-bit programs",
		"later changes of inherited sockets",
		"sockets received over a Unix socket",
		"programs that are moved to another cgroup",
	}
}

// outerSettings returns the settings that have priority over those of mechanism m: what is attached
// to the cgroup of this process, unless m is cgroup, or to one above.
func outerSettings(m *mechanism) (outer []string) {
	dir, err := cgroup.Own()
	if err != nil {
		return nil
	}
	if m.name != "cgroup" {
		dir = filepath.Join(dir, "below")
	}
	above, _ := cgroup.Above(dir) // without the rights to read them, there are none
	for _, a := range above {
		if !a.AllowOverride {
			outer = append(outer, fmt.Sprintf("%s is attached to %s and has priority", a.Options, cgroup.Name(a.Dir)))
		}
	}
	return outer
}

// is64Bit reports whether program makes the same system calls as this process. The kernel runs no
// eBPF for setsockopt calls of a 32-bit program on a 64-bit kernel.
func is64Bit(program string) bool {
	for _, path := range candidates(program) {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue // execvp(3) skips it, too. Opening a FIFO could wait for a writer
		}
		f, err := elf.Open(path)
		if err != nil {
			return true // a script
		}
		defer f.Close()
		return strconv.IntSize == 32 || f.Class == elf.ELFCLASS64
	}
	return true
}
