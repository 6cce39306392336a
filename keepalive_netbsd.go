package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Times are in ticks of the kernel's slow timer, half a second, although tcp(4)
// says seconds: sys/netinet/tcp_usrreq.c, tcp_ctloutput, stores them as they
// come (revision 1.165.2.3), and TCP_TIMER_ARM in tcp_timer.h counts in
// PR_SLOWHZ. So does the default, which reads 14400 for two hours. No limit
// is enforced there; the one here is TCP_TIMER_MAXTICKS where hz is 100.
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:     {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second / 2, min: 1, max: math.MaxInt32 / 50},
		interval: {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second / 2, min: 1, max: math.MaxInt32 / 50},
		count:    {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: math.MaxInt32},
	},
	kernel:    sockets{},
	elsewhere: sysctls,
}

// sysctls are the defaults, which a socket in older kernels does not tell, in
// half-seconds.
func sysctls(p *platform) (Options, error) {
	var o Options
	for i, name := range []string{"net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt"} {
		v, err := unix.SysctlUint32(name)
		if err != nil {
			return Options{}, err
		}
		o.set(param(i), int64(v)*int64(p.rows[i].unit))
	}
	return o, nil
}
