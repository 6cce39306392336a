//go:build linux

package seccomp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// Start prepares the calling goroutine to execute a program that has the options o on all of its TCP
// sockets. It locks the goroutine to its thread. If it returns an error, this process must end.
//
// The supervisor is this program. It gets the arguments in command, and then those of [Supervise].
func Start(o keepalive.Options, command ...string) error {
	if !slices.ContainsFunc(abis, func(a abi) bool { return a.goarch == runtime.GOARCH }) {
		return fmt.Errorf("seccomp: the numbers of the system calls of %s are not known: use --mechanism=cgroup as root", runtime.GOARCH)
	}
	if err := checkProc(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	want, err := newSocketOptions(&o)
	if err != nil {
		return err
	}
	s, err := startSupervisor(o, command)
	if err != nil {
		return err
	}
	defer s.close()

	runtime.LockOSThread()
	l, err := installFilter(newFilter(tcpOptions(o)))
	if err != nil {
		return explain(err)
	}
	if !l.hasAddFd() {
		return fmt.Errorf("seccomp: SECCOMP_IOCTL_NOTIF_ADDFD needs Linux 5.9, and this is %s", release())
	}
	if err := s.give(l); err != nil {
		return err
	}
	switch got, err := newSocketOptions(nil); {
	case err != nil:
		return fmt.Errorf("seccomp: self-test: %w", err)
	case got != want:
		return fmt.Errorf("seccomp: self-test: a new socket has %v instead of %v", got, want)
	}
	return nil
}

// checkProc returns an error if /proc does not show this process. Without /proc, there is no
// supervisor. With the one of another PID namespace, the supervisor does not find its callers.
func checkProc() error {
	switch self, err := os.Readlink("/proc/self"); {
	case self == strconv.Itoa(os.Getpid()):
		return nil
	case self != "":
		return fmt.Errorf("/proc is the one of another PID namespace, where this process is %s instead of %d: mount it again, for example with unshare --mount-proc", self, os.Getpid())
	default:
		return fmt.Errorf("/proc is needed, but not mounted for this PID namespace: %w", err)
	}
}

// installFilter adds a filter to this thread. It sets no_new_privs if this process has not the
// privilege to do without.
func installFilter(filter []unix.SockFilter) (listener, error) {
	install := func(flags uintptr) (listener, error) {
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		if errno != 0 {
			return -1, errno
		}
		return listener(fd), nil
	}
	// With WAIT_KILLABLE_RECV, signals do not interrupt a call that the supervisor has
	// received. It needs Linux 5.19.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	installAny := func() (listener, error) {
		l, err := install(flags | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		if err == unix.EINVAL {
			l, err = install(flags)
		}
		return l, err
	}
	l, err := installAny()
	if err == unix.EACCES {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return -1, fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
		}
		l, err = installAny()
	}
	return l, err
}

// explain returns what an error of seccomp(2) means.
func explain(err error) error {
	switch err {
	case unix.EBUSY:
		return errors.New("seccomp: this process has a supervisor already, for example of another keepalive run, and can have only one: give OPTIONS to that one")
	case unix.ENOSYS, unix.EINVAL:
		return fmt.Errorf("seccomp: user notification needs Linux 5.9 with CONFIG_SECCOMP_FILTER, and this is %s: %w", release(), err)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("seccomp: a filter of this process, for example of a container, forbids seccomp(2): allow it there, or use --mechanism=cgroup: %w", err)
	}
	return fmt.Errorf("seccomp: %w", err)
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// newSocketOptions makes a socket as the program would, and returns its options. If set is not
// nil, they are set before.
func newSocketOptions(set *keepalive.Options) (keepalive.Options, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return keepalive.Options{}, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	conn := descriptor.Conn(fd)
	if set != nil {
		if err := keepalive.Enable(conn, *set); err != nil {
			return keepalive.Options{}, err
		}
	}
	o, err := keepalive.Get(conn)
	if errors.Is(err, unix.ENOTCONN) {
		err = nil
	}
	return o, err
}

// Gaps returns texts about what is not covered in this process after Start.
func Gaps() []string {
	gaps := []string{
		"sockets made by io_uring",
		"programs that enter another network namespace",
		"listeners received over a Unix socket",
	}
	if noNewPrivs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && noNewPrivs == 1 {
		gaps = append(gaps, "setuid programs: they run without their privileges")
	}
	if canTrace() {
		return gaps
	}
	// The supervisor needs the right to trace for setsockopt and socketcall.
	if unix.Geteuid() == 0 {
		gaps = append(gaps, "SO_KEEPALIVE=0 and 32-bit programs with socketcall(2) in programs that change their user, without CAP_SYS_PTRACE")
	}
	const yama = "/proc/sys/kernel/yama/ptrace_scope"
	if scope, err := os.ReadFile(yama); err == nil && strings.TrimSpace(string(scope)) != "0" {
		gaps = append(gaps, "SO_KEEPALIVE=0 and 32-bit programs with socketcall(2) in children, because of kernel.yama.ptrace_scope="+strings.TrimSpace(string(scope)))
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil && hidesProcesses(string(mounts)) {
		gaps = append(gaps, "programs with PR_SET_DUMPABLE=0, because /proc is mounted with hidepid")
	}
	return gaps
}

// canTrace reports whether this process has CAP_SYS_PTRACE.
func canTrace() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}

// hidesProcesses reports whether /proc, in the text of /proc/self/mounts, has option hidepid.
func hidesProcesses(mounts string) bool {
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == "/proc" && strings.Contains(fields[3], "hidepid=") {
			return true
		}
	}
	return false
}
