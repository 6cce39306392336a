package keepalive

import (
	"math"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The limits are MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT in
// include/net/tcp.h; see tcp(7) for the options.
// accept clones them all from the listener (net/core/sock.c, sk_clone_lock).
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE, inherited: true},
	rows: [numParams]*row{
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 32767, inherited: true},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 32767, inherited: true},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: 127, inherited: true},
		userTimeout: {name: "TCP_USER_TIMEOUT", level: unix.IPPROTO_TCP, opt: unix.TCP_USER_TIMEOUT, unit: time.Millisecond, min: 1, max: math.MaxInt32, inherited: true},
	},
	proto:  &row{name: "SO_PROTOCOL", level: unix.SOL_SOCKET, opt: unix.SO_PROTOCOL},
	kernel: linuxSockets{},

	userTimeoutRules: true, // net/ipv4/tcp_timer.c, tcp_keepalive_timer
}

// linuxSockets saves on the cost of entering a system call, so that asking
// whether there still is a peer costs Enable nothing: these calls wait for
// nothing but the socket's lock, which is held while data is copied at most.
type linuxSockets struct{ sockets }

// socketcall is true where a system call of its own for each is a younger thing
// than the kernels that Go runs on: x/sys knows the other way.
const socketcall = runtime.GOARCH == "386" || runtime.GOARCH == "s390x"

func (s linuxSockets) set(fd uintptr, level, opt int, v int32) error {
	if socketcall {
		return s.sockets.set(fd, level, opt, v)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, fd, uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (s linuxSockets) peer(fd uintptr) error {
	if socketcall {
		return s.sockets.peer(fd)
	}
	var name, size uint32 // the size is zero: nothing is written
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, fd, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return errno
	}
	return nil
}
