package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// From memory of IBM's page on setsockopt, and neither run nor read in source:
// the times are in seconds there. No limits are known.
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:     {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxInt32},
		interval: {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxInt32},
		count:    {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: math.MaxInt32},
	},
	kernel: sockets{},
}
