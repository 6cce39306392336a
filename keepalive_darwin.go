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
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:        {name: "TCP_KEEPALIVE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPALIVE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_RXT_CONNDROPTIME", level: unix.IPPROTO_TCP, opt: unix.TCP_RXT_CONNDROPTIME, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
	},
	kernel: sockets{},
	info:   &infoCall{"TCP_CONNECTION_INFO", "getsockopt", tcpConnectionInfo},
}

// tcpConnectionInfo: times are milliseconds (bsd/netinet/tcp.h, struct
// tcp_connection_info).
func tcpConnectionInfo(fd uintptr) (Info, bool, error) {
	t, err := unix.GetsockoptTCPConnectionInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CONNECTION_INFO)
	if err != nil {
		return unknown, false, err
	}
	i := unknown
	i.Unacked = int(t.Snd_sbbytes)
	i.Resent = int(t.Txretransmitpackets)
	i.RTT = time.Duration(t.Srtt) * time.Millisecond
	return i, t.State != 0, nil // TCPS_CLOSED
}
