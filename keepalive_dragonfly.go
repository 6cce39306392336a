package keepalive

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Limits and units: sys/netinet/tcp_usrreq.c, tcp_ctloutput, since 5.8; before,
// the unit was the millisecond.
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:     {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 32767},
		interval: {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 32767},
		count:    {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: 127},
	},
	kernel: sockets{},
}
