package keepalive

import (
	"math"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpMaxUnackTime is TCP_MAXUNACKTIME of netinet/tcp.h, since FreeBSD 14.0;
// x/sys has it for riscv64 alone.
const tcpMaxUnackTime = 0x44

// Limits and units: sys/netinet/tcp_usrreq.c, tcp_default_ctloutput. Times are
// bounded by UINT_MAX/hz; hz is 1000 unless changed.
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: math.MaxInt32},
		userTimeout: {name: "TCP_MAXUNACKTIME", level: unix.IPPROTO_TCP, opt: tcpMaxUnackTime, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
	},
	kernel: sockets{},
	info:   &infoCall{"TCP_INFO", "getsockopt", tcpInfo},
}

// tcpInfo reads the beginning of struct tcp_info (sys/netinet/tcp.h), of which
// tcp_fill_info (tcp_usrreq.c) leaves out most. Times are microseconds.
func tcpInfo(fd uintptr) (Info, bool, error) {
	var t struct {
		state        uint8
		_            [7]uint8
		rto          uint32
		_            [10]uint32
		lastDataRecv uint32 // in spite of its name, since any segment (t_rcvtime)
		_            [3]uint32
		rtt          uint32
		_            [12]uint32
		sndRexmitpack,
		_, _ uint32
	}
	size := uint32(unsafe.Sizeof(t))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&t)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno != 0:
		return unknown, false, errno
	case uintptr(size) < unsafe.Sizeof(t): // not FreeBSD, but who emulates it
		return unknown, false, unix.ENOPROTOOPT
	}
	i := unknown
	i.Silence = time.Duration(t.lastDataRecv) * time.Microsecond
	i.Resent = int(t.sndRexmitpack)
	i.RTT = time.Duration(t.rtt) * time.Microsecond
	i.rto = time.Duration(t.rto) * time.Microsecond
	return i, t.state != 0, nil // TCPS_CLOSED
}
