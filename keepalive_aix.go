package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// From memory of IBM's page on setsockopt, and neither run nor read in source:
// the times are in seconds there. No limits are known.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive: {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:      {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxInt32},
		interval:  {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxInt32},
		count:     {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: noUnit, min: 1, max: math.MaxInt32},
	},
	defaults: Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8}, // from memory as well
}
