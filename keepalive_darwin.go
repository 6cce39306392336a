package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Limits and units: xnu bsd/netinet/tcp_usrreq.c, tcp_ctloutput; macOS tcp(4).
// Zero, which this package never sends but for "no user timeout", is the
// system's default.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:        {name: "TCP_KEEPALIVE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPALIVE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_RXT_CONNDROPTIME", level: unix.IPPROTO_TCP, opt: unix.TCP_RXT_CONNDROPTIME, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
	},
	defaults: Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8},
	info:     &infoCall{"TCP_CONNECTION_INFO", "getsockopt", tcpConnectionInfo},

	maxTotal:    math.MaxUint32 / 1000 * time.Second,
	setRestarts: true,
	dropsSilent: true,
}
