package keepalive

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Limits and units: sys/netinet/tcp_usrreq.c, tcp_ctloutput, since 5.8; before,
// the unit was the millisecond.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive: {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:      {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 32767},
		interval:  {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 32767},
		count:     {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: 127},
	},
	defaults: Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8},

	setRestarts: true,
	dropsSilent: true,
}
