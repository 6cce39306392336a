package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Limits and units: usr/src/uts/common/inet/tcp/tcp_opt_data.c, tcp_opt_set.
// Older kernels take no idle time below 10 s. The interval lies between the
// socket's least and greatest retransmission timeout, 0.4 s and 60 s unless
// changed. The kernel drops the connection at the abort threshold, which is
// interval·count once both are set, and 8 min before that.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 864000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 60},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_ABORT_THRESHOLD", level: unix.IPPROTO_TCP, opt: unix.TCP_ABORT_THRESHOLD, unit: time.Millisecond, min: 1, max: math.MaxInt32},
	},
	defaults: Options{Idle: 2 * time.Hour},

	defaultAbort: 8 * time.Minute,
	maxTotal:     math.MaxUint32 / 1000 * time.Second,
	setRestarts:  true,
	dropsSilent:  true,
}
