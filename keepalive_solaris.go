//go:build !illumos

package keepalive

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The numbers are Oracle's, of Solaris 11.4, as in package net's
// tcpsockopt_solaris.go; what x/sys has for solaris are illumos's.
const (
	tcpKeepIdle  = 0x1D
	tcpKeepIntvl = 0x1E
	tcpKeepCnt   = 0x1F
)

// Limits: tcp(4P) of Solaris 11.4, ten seconds to ten days for both times.
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: tcpKeepIdle, unit: time.Second, min: 10, max: 864000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: tcpKeepIntvl, unit: time.Second, min: 10, max: 864000},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: tcpKeepCnt, unit: noUnit, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_ABORT_THRESHOLD", level: unix.IPPROTO_TCP, opt: unix.TCP_ABORT_THRESHOLD, unit: time.Millisecond, min: 1, max: math.MaxInt32},
	},
	defaults: Options{Idle: 2 * time.Hour},
}
