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
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE, inherited: true},
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 32767, inherited: true},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 32767, inherited: true},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: 127, inherited: true},
		userTimeout: {name: "TCP_USER_TIMEOUT", level: unix.IPPROTO_TCP, opt: unix.TCP_USER_TIMEOUT, unit: time.Millisecond, min: 1, max: math.MaxInt32, inherited: true},
	},
	protocolOpt: &sockOpt{name: "SO_PROTOCOL", level: unix.SOL_SOCKET, opt: unix.SO_PROTOCOL},
	info:        &infoCall{"TCP_INFO", "getsockopt", tcpInfo},
	variants:    &variants{detect: detectGVisor},
	defaults:    Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9},

	userTimeoutRule: userTimeoutReplacesCount, // net/ipv4/tcp_timer.c, tcp_keepalive_timer
}

// detectGVisor returns the table for gVisor, which looks like Linux, if fd is one of its
// sockets. All differences are measured (runsc of 2022-12 and 2026-09).
func detectGVisor(p *platform, fd uintptr) *platform {
	const tcpListen = 10 // include/net/tcp_states.h
	var t unix.TCPInfo
	err := readInfo(fd, &t)
	switch {
	case err == nil && t.State == tcpListen: // it has no Snd_mss on Linux either
		return nil
	case err != nil || !isGVisor(&t):
		return p
	}
	gvisor := *p
	gvisor.variants = nil
	inherit := func(opt *sockOpt, inherited bool) *sockOpt {
		o := *opt
		o.inherited = inherited
		return &o
	}
	for f := range numOpts {
		gvisor.opts[f] = inherit(p.opts[f], f == userTimeout)
	}
	gvisor.userTimeoutRule = userTimeoutLimitsCount
	gvisor.setRestarts = true
	gvisor.setAfterConnect = true
	return &gvisor
}

// getpeername does without the allocation of x/sys.
func getpeername(fd uintptr) error {
	var name, size uint32 // the size is zero, so nothing is written
	_, _, errno := unix.Syscall(unix.SYS_GETPEERNAME, fd, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS: // 386 and s390x before Linux 4.3
		_, err := unix.Getpeername(int(fd))
		return err
	}
	return errno
}
