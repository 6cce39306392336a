package keepalive

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// OpenBSD has the switch and nothing else: sys/netinet/tcp_usrreq.c,
// tcp_ctloutput.
var table = platform{
	name:      runtime.GOOS,
	on:        &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	kernel:    sockets{},
	elsewhere: sysctls,
}

// sysctls are the times of all connections, in seconds in current kernels. The
// count is TCPTV_KEEPCNT of sys/netinet/tcp_timer.h.
func sysctls(*platform) (Options, error) {
	idle, err := unix.SysctlUint32("net.inet.tcp.keepidle")
	if err != nil {
		return Options{}, err
	}
	interval, err := unix.SysctlUint32("net.inet.tcp.keepintvl")
	return Options{Idle: time.Duration(idle) * time.Second, Interval: time.Duration(interval) * time.Second, Count: 8}, err
}
