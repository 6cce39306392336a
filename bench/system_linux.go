package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func bareCalls(conn *net.TCPConn) (*bareSyscalls, error) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if err := rc.Control(func(d uintptr) { fd = int(d) }); err != nil {
		return nil, err
	}
	write := [4][3]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 45}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	}
	read := [5][2]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	}
	// done is a plain nil for the errno that is none.
	done := func(errno syscall.Errno) error {
		if errno != 0 {
			return errno
		}
		return nil
	}
	return &bareSyscalls{
		set: func() error {
			for _, o := range write {
				if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
					return err
				}
			}
			return nil
		},
		get: func() error {
			for _, o := range read {
				if _, err := unix.GetsockoptInt(fd, o[0], o[1]); err != nil {
					return err
				}
			}
			return nil
		},
		info: func() error { // package unix's own allocates what it returns
			var info unix.TCPInfo
			size := uint32(unsafe.Sizeof(info))
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
				uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
			return done(errno)
		},
	}, nil
}

// processorTime is what this process has used so far.
func processorTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// memory tells how much this process may still take, and how much it has, in
// bytes.
func memory() (available, resident int64, err error) {
	available, err = field("/proc/meminfo", "MemAvailable:")
	if err != nil {
		return 0, 0, err
	}
	if resident, err = field("/proc/self/status", "VmRSS:"); err != nil {
		return 0, 0, err
	}
	// A container may have less (cgroup-v2, memory.max; "max" is no number).
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if most, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			available = min(available, most)
		}
	}
	return available, resident, nil
}

// field reads one of the lines of a file in /proc that give kilobytes.
func field(file, name string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

func kernel() string {
	var u unix.Utsname
	unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-") // what follows is the builder's
	return "Linux " + release
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return ""
}
