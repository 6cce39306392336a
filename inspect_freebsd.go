package keepalive

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpInfo reads the beginning of struct tcp_info (sys/netinet/tcp.h), most of which
// tcp_fill_info (tcp_usrreq.c) leaves zero. Times are microseconds.
func tcpInfo(fd uintptr) (Info, bool, error) {
	var t struct {
		state        uint8
		_            [7]uint8
		rto          uint32
		_            [10]uint32
		lastDataRecv uint32 // despite the name, since any segment (t_rcvtime)
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
		return noInfo, false, errno
	case uintptr(size) < unsafe.Sizeof(t): // an emulator
		return noInfo, false, unix.ENOPROTOOPT
	}
	i := noInfo
	i.Silence = time.Duration(t.lastDataRecv) * time.Microsecond
	i.Resent = int(t.sndRexmitpack)
	i.RTT = time.Duration(t.rtt) * time.Microsecond
	i.rto = time.Duration(t.rto) * time.Microsecond // with backoff
	return i, t.state != 0, nil                     // TCPS_CLOSED
}
