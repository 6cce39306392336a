package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// tcpMaxUnackTime is TCP_MAXUNACKTIME of netinet/tcp.h, since FreeBSD 14.0;
// x/sys has it for riscv64 alone.
const tcpMaxUnackTime = 0x44

// Limits and units: sys/netinet/tcp_usrreq.c, tcp_default_ctloutput. Times are
// bounded by UINT_MAX/hz; hz is 1000 unless changed.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_MAXUNACKTIME", level: unix.IPPROTO_TCP, opt: tcpMaxUnackTime, unit: time.Second, min: 1, max: math.MaxInt32 / 1000},
	},
	defaults: Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8},
	info:     &infoCall{"TCP_INFO", "getsockopt", tcpInfo},

	maxTotal:    math.MaxUint32 / 1000 * time.Second,
	setRestarts: true,
	dropsSilent: true,
}
