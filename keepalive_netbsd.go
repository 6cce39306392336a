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
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive: {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:      {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second / 2, min: 1, max: math.MaxInt32 / 50},
		interval:  {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second / 2, min: 1, max: math.MaxInt32 / 50},
		count:     {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: math.MaxInt32},
	},
	defaults:     Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8},
	readDefaults: readSysctls,

	maxTotal:    math.MaxUint32 * (time.Second / 2),
	setRestarts: true,
	dropsSilent: true,
}

// readSysctls reads the defaults, in half-seconds. Sockets of older kernels do not have
// them.
func readSysctls(p *platform) (Options, error) {
	var o Options
	for i, name := range []string{"net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt"} {
		v, err := unix.SysctlUint32(name)
		if err != nil {
			return Options{}, err
		}
		o.setField(field(i), int64(v)*int64(p.opts[i].unit))
	}
	return o, nil
}
