package keepalive

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// OpenBSD has the switch and nothing else: sys/netinet/tcp_usrreq.c,
// tcp_ctloutput.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive: {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	},
	defaults:     Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8},
	readDefaults: readSysctls,

	setRestarts: true,
}

// readSysctls reads the times of all connections, in seconds in current kernels. The
// count is TCPTV_KEEPCNT of sys/netinet/tcp_timer.h.
func readSysctls(*platform) (Options, error) {
	idle, err := unix.SysctlUint32("net.inet.tcp.keepidle")
	if err != nil {
		return Options{}, err
	}
	interval, err := unix.SysctlUint32("net.inet.tcp.keepintvl")
	return Options{Idle: time.Duration(idle) * time.Second, Interval: time.Duration(interval) * time.Second, Count: 8}, err
}
