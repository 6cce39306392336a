package keepalive

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readInfo reads struct tcp_info up to what is needed, without the allocation of the
// getter in x/sys. See tcp_get_info in net/ipv4/tcp.c for the fields.
func readInfo(fd uintptr, t *unix.TCPInfo) error {
	const all, enough = unsafe.Offsetof(t.Min_rtt), unsafe.Offsetof(t.Pacing_rate)
	size := uint32(all)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(t)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno == unix.ENOSYS: // 386 and s390x before Linux 4.3
		full, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		*t = *full
	case errno != 0:
		return errno
	case uintptr(size) < enough, t.State == 0: // an emulator, for example qemu-user
		return unix.ENOPROTOOPT
	}
	return nil
}

// isGVisor reports whether t, of a socket that does not listen, comes from gVisor. It
// leaves out Snd_mss, which is at least 88 on Linux (include/net/tcp.h, TCP_MIN_MSS).
func isGVisor(t *unix.TCPInfo) bool { return t.Snd_mss == 0 }

func tcpInfo(fd uintptr) (Info, bool, error) {
	const tcpClose = 7 // include/net/tcp_states.h
	var t unix.TCPInfo
	err := readInfo(fd, &t)
	if err == nil && isGVisor(&t) {
		err = unix.ENOPROTOOPT // it has none of the fields below
	}
	if err != nil {
		return noInfo, false, err
	}
	ms := func(v uint32) time.Duration { return time.Duration(v) * time.Millisecond }
	rto := time.Duration(t.Rto>>min(t.Backoff, 31)) * time.Microsecond
	if t.Backoff != t.Retransmits || t.Backoff > 0 && rto < minRTO {
		rto = -1 // an ICMP message has reset the backoff, or it has reached its limit
	}
	return Info{
		// Keepalive uses the smaller one (tcp_keepalive_timer).
		Silence:     ms(min(t.Last_data_recv, t.Last_ack_recv)),
		Probes:      int(t.Probes),
		Unacked:     int(t.Unacked),
		Retransmits: int(t.Retransmits),
		Resent:      int(t.Total_retrans),
		RTT:         time.Duration(t.Rtt) * time.Microsecond,

		rto:        rto,
		sinceSend:  ms(t.Last_data_sent),
		zeroWindow: t.Unacked == 0 && t.Notsent_bytes > 0, // Notsent_bytes is 0 before Linux 4.6
	}, t.State != tcpClose, nil
}
