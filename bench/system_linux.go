package main

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func newBareSyscalls(conn *net.TCPConn) (*bareSyscalls, error) {
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
	// done is nil for errno 0, which is an error value that is not nil.
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

// busyCores is how many cores the machine used on average in a time in which this process does
// nothing. It is 0 if /proc/stat cannot be read.
func busyCores(d time.Duration) float64 {
	before, busyBefore := cpuTimes()
	time.Sleep(d)
	after, busyAfter := cpuTimes()
	if after == before {
		return 0
	}
	return float64(runtime.NumCPU()) * (busyAfter - busyBefore) / (after - before)
}

// cpuTimes returns the first line of /proc/stat: the time of all processors, and how much of it they
// were busy.
func cpuTimes() (total, busy float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu ")) {
		v, _ := strconv.ParseFloat(field, 64)
		switch i {
		case 3, 4: // idle, iowait
			total += v
		case 8, 9: // guest times, which user and nice contain
		default:
			total, busy = total+v, busy+v
		}
	}
	return total, busy
}

// availableMemory is how much memory this process may still use, in bytes.
func availableMemory() (float64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "MemAvailable:")
		if !ok {
			continue
		}
		kB, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
		available := kB * 1024
		// A container may have less. "max" is no number.
		if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
			if most, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64); err == nil {
				available = min(available, most)
			}
		}
		return available, err
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}

// descriptorLimit is how many connections a process may open. Package os has
// raised the soft limit to the hard one already.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1000
	}
	return int(min(limit.Max, 1<<20)) - 100
}

// unixPair returns both ends of a Unix socket pair.
func unixPair() (near, far *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		c, ferr := net.FileConn(f) // duplicates the descriptor
		f.Close()
		if ferr != nil {
			err = ferr
			continue
		}
		conns[i] = c.(*net.UnixConn)
	}
	return conns[0], conns[1], err
}

func kernel() string {
	var u unix.Utsname
	unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-") // the rest names who built it
	return "Linux " + release
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "unknown processor"
}
