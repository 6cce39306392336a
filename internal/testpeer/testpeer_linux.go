package testpeer

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control carries out a command that needs the far end's descriptor.
func control(conn *net.TCPConn, cmd string) error {
	switch cmd {
	case "deaf":
		return Filter(conn, true)
	case "hear":
		return Filter(conn, false)
	case "vanish":
		// In repair mode close sends nothing (net/ipv4/tcp.c, __tcp_close).
		err := withDescriptor(conn, func(fd uintptr) error {
			return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		})
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return fmt.Errorf("no such command: %q", cmd)
}

func filter(c syscall.Conn, drop bool) error {
	return withDescriptor(c, func(fd uintptr) error { return setFilter(fd, drop) })
}

// withDescriptor calls f. The error matches errors.ErrUnsupported if the kernel has no such option.
func withDescriptor(c syscall.Conn, f func(fd uintptr) error) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = rc.Control(func(fd uintptr) { opErr = f(fd) })
	if err = errors.Join(err, opErr); errors.Is(err, unix.ENOPROTOOPT) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// setFilter attaches a classic BPF program to the socket (socket(7), SO_ATTACH_FILTER). Its only
// instruction returns how many bytes of a segment TCP receives. 0 drops the segment.
//
// Some kernels allow a filter on a TCP socket only to root (seen on 6.18). Then setFilter sets the
// lowest TTL that the socket accepts (ip(7), IP_MINTTL). Segments over loopback have 64, so 255
// drops them. qemu-user does not have that option.
func setFilter(fd uintptr, drop bool) error {
	bytes, least := uint32(math.MaxUint32), 0
	if drop {
		bytes, least = 0, 255
	}
	ret := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: bytes}
	err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &ret})
	switch err {
	case nil:
		return hasFilter(fd)
	case unix.EPERM:
	default:
		return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
	}
	err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, least)
	err6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least)
	if err6 == nil { // an IPv6 socket
		return nil
	}
	return os.NewSyscallError("setsockopt IP_MINTTL", err)
}

// hasFilter returns an error if the kernel cannot report a filter. gVisor accepts filters and
// ignores them. Linux reports one instruction, and qemu-user none.
func hasFilter(fd uintptr) error {
	var program [1]unix.SockFilter
	size := uint32(0) // asks for the number of instructions
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER, uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno == unix.ENOSYS: // 386 and s390x before Linux 4.3
		return nil
	case errno != 0:
		return fmt.Errorf("this kernel ignores socket filters: %w", os.NewSyscallError("getsockopt SO_GET_FILTER", errno))
	}
	return nil
}

// sockoptsOf returns the options of the socket with these addresses. The socket can be in any
// process. sockoptsOf duplicates it with pidfd_getfd(2).
func sockoptsOf(local, remote net.Addr) (Sockopts, error) {
	inode, err := inodeOf(local, remote)
	if err != nil {
		return Sockopts{}, err
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, _ := os.Readlink(link); target != "socket:["+inode+"]" {
			continue
		}
		parts := strings.Split(link, "/")
		pid, _ := strconv.Atoi(parts[2])
		n, _ := strconv.Atoi(parts[4])
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return Sockopts{}, unsupported("pidfd_open", err)
		}
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		unix.Close(pidfd)
		if err != nil {
			return Sockopts{}, unsupported("pidfd_getfd", err)
		}
		defer unix.Close(fd)
		get := func(level, opt int) int {
			v, gerr := unix.GetsockoptInt(fd, level, opt)
			err = errors.Join(err, os.NewSyscallError("getsockopt", gerr))
			return v
		}
		return Sockopts{
			KeepAlive:   get(unix.SOL_SOCKET, unix.SO_KEEPALIVE),
			Idle:        get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
			Interval:    get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
			Count:       get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
			UserTimeout: get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
		}, err
	}
	return Sockopts{}, fmt.Errorf("no process shows the socket %v -> %v", local, remote)
}

func unsupported(call string, err error) error {
	if err == unix.ENOSYS {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, os.NewSyscallError(call, err))
	}
	return os.NewSyscallError(call, err)
}

// inodeOf finds the socket in /proc/net/tcp or tcp6, by its ports.
func inodeOf(local, remote net.Addr) (string, error) {
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return "", err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], port(local)) && strings.HasSuffix(f[2], port(remote)) {
				return f[9], nil
			}
		}
	}
	return "", fmt.Errorf("%w: /proc/net/tcp does not show the socket %v -> %v", errors.ErrUnsupported, local, remote)
}
