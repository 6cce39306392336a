package keepalive

import (
	"math"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The limits are MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT in
// include/net/tcp.h; see tcp(7) for the options.
// accept clones them all from the listener (net/core/sock.c, sk_clone_lock).
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE, inherited: true},
	rows: [numParams]*row{
		idle:        {name: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPIDLE, unit: time.Second, min: 1, max: 32767, inherited: true},
		interval:    {name: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPINTVL, unit: time.Second, min: 1, max: 32767, inherited: true},
		count:       {name: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, opt: unix.TCP_KEEPCNT, unit: number, min: 1, max: 127, inherited: true},
		userTimeout: {name: "TCP_USER_TIMEOUT", level: unix.IPPROTO_TCP, opt: unix.TCP_USER_TIMEOUT, unit: time.Millisecond, min: 1, max: math.MaxInt32, inherited: true},
	},
	proto:  &row{name: "SO_PROTOCOL", level: unix.SOL_SOCKET, opt: unix.SO_PROTOCOL},
	kernel: linuxSockets{},
	info:   &infoCall{"TCP_INFO", "getsockopt", tcpInfo},

	userTimeoutRules: true, // net/ipv4/tcp_timer.c, tcp_keepalive_timer
}

// linuxSockets asks for the peer without the allocation of x/sys.
type linuxSockets struct{ sockets }

func (s linuxSockets) peer(fd uintptr) error {
	var name, size uint32 // the size is zero: nothing is written
	_, _, errno := unix.Syscall(unix.SYS_GETPEERNAME, fd, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS: // 386 and s390x before Linux 4.3
		return s.sockets.peer(fd)
	}
	return errno
}

// tcpInfo reads TCP_INFO up to what is needed, without the allocation of x/sys's
// getter. See tcp_get_info in net/ipv4/tcp.c for what the fields are.
func tcpInfo(fd uintptr) (Info, bool, error) {
	const tcpClose = 7 // include/net/tcp_states.h
	var t unix.TCPInfo
	const all, enough = unsafe.Offsetof(t.Min_rtt), unsafe.Offsetof(t.Pacing_rate)
	size := uint32(all)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&t)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno == unix.ENOSYS:
		full, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return unknown, false, err
		}
		t = *full
	case errno != 0:
		return unknown, false, errno
	case uintptr(size) < enough, t.State == 0, t.Snd_mss == 0: // not the kernel, but an emulator
		return unknown, false, unix.ENOPROTOOPT
	}
	rto := time.Duration(t.Rto>>min(t.Backoff, 31)) * time.Microsecond
	if t.Backoff != t.Retransmits || t.Backoff > 0 && rto < minRTO {
		rto = -1 // a router's message has taken the backing off back, or it has come to its end
	}
	return Info{
		// Keepalive goes by the younger one (tcp_keepalive_timer).
		Silence:     time.Duration(min(t.Last_data_recv, t.Last_ack_recv)) * time.Millisecond,
		Probes:      int(t.Probes),
		Unacked:     int(t.Unacked),
		Retransmits: int(t.Retransmits),
		Resent:      int(t.Total_retrans),
		RTT:         time.Duration(t.Rtt) * time.Microsecond,

		rto:     rto,
		sent:    time.Duration(t.Last_data_sent) * time.Millisecond,
		waiting: t.Unacked == 0 && t.Notsent_bytes > 0, // zero before Linux 4.6
	}, t.State != tcpClose, nil
}
