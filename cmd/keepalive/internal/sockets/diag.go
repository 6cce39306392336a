//go:build linux

package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// timer is the timer of a socket, as sock_diag reports it.
type timer struct {
	kind    uint8
	expires time.Duration
}

// Kinds of timers (net/ipv4/inet_diag.c, inet_sk_diag_fill).
const (
	timerNone      = 0
	timerKeepalive = 2
)

// The messages of sock_diag(7), from include/uapi/linux/inet_diag.h.
type (
	diagID struct {
		sourcePort, destPort [2]byte // big endian
		source, dest         [16]byte
		netif                uint32
		cookie               [2]uint32
	}
	diagRequest struct {
		header   unix.NlMsghdr
		family   uint8
		protocol uint8
		ext      uint8
		_        uint8
		states   uint32
		id       diagID

		// An attribute, because the number of Multipath TCP does not fit into protocol.
		attr          unix.NlAttr
		wholeProtocol uint32
	}
	diagMessage struct {
		family, state, timer, retrans       uint8
		id                                  diagID
		expires, rqueue, wqueue, uid, inode uint32
	}
)

const (
	attrInfo          = 2  // INET_DIAG_INFO
	attrULP           = 19 // INET_DIAG_ULP_INFO
	attrULPName       = 1  // INET_ULP_INFO_NAME
	attrWholeProtocol = 3  // INET_DIAG_REQ_PROTOCOL
	ipprotoMPTCP      = 262
)

// diag returns the sockets of the namespace in which fd was opened, a netlink socket.
func diag(fd int, namespace uint64) ([]*Socket, error) {
	var all []*Socket
	var err error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if all, err = dump(all, fd, family, unix.IPPROTO_TCP, namespace); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return nil, errors.New("the kernel has no sock_diag for TCP: load the module tcp_diag, or use a kernel with CONFIG_INET_DIAG")
			}
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
	}
	paths := len(all)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		// Linux before 5.9 has no sock_diag for Multipath TCP, and a kernel may lack the module.
		if all, err = dump(all, fd, family, ipprotoMPTCP, namespace); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("sock_diag for Multipath TCP: %w", err)
		}
	}
	return mergePaths(all[:paths], all[paths:]), nil
}

// mergePaths returns tcp and multipath without the paths of Multipath TCP sockets. No program holds
// a path. The one with the addresses of the connection has its state.
func mergePaths(tcp, multipath []*Socket) []*Socket {
	if len(multipath) == 0 {
		return tcp
	}
	type addresses struct{ local, remote netip.AddrPort }
	connections := make(map[addresses]*Socket, len(multipath))
	for _, s := range multipath {
		connections[addresses{s.Local, s.Remote}] = s
	}
	var merged []*Socket
	for _, s := range tcp {
		if m := connections[addresses{s.Local, s.Remote}]; m != nil && s.State == m.State {
			m.Info, m.timer = s.Info, s.timer
		} else if !s.path {
			merged = append(merged, s)
		}
	}
	return append(merged, multipath...)
}

// dump appends the sockets of a family and a protocol to all.
func dump(all []*Socket, fd int, family uint8, protocol uint32, namespace uint64) ([]*Socket, error) {
	request := diagRequest{
		family: family, ext: 1 << (attrInfo - 1), states: listed,
		attr: unix.NlAttr{Len: unix.SizeofNlAttr + 4, Type: attrWholeProtocol}, wholeProtocol: protocol,
	}
	if protocol == unix.IPPROTO_TCP { // kernels before 5.10 do not look at the attribute
		request.protocol = unix.IPPROTO_TCP
	}
	err := ask(fd, &request, unix.NLM_F_DUMP, func(body []byte) {
		s := parse(body)
		s.Namespace, s.Multipath = namespace, protocol == ipprotoMPTCP
		all = append(all, s)
	})
	return all, err
}

// isHeld reports whether the kernel still has s, which is not of Multipath TCP, and a program
// holds it.
func isHeld(fd int, s *Socket) bool {
	held := false
	request := diagRequest{
		family: s.family, protocol: unix.IPPROTO_TCP, states: listed, id: s.id,
		attr: unix.NlAttr{Len: unix.SizeofNlAttr + 4, Type: attrWholeProtocol}, wholeProtocol: unix.IPPROTO_TCP,
	}
	err := ask(fd, &request, 0, func(body []byte) { held = !parse(body).Closed() })
	// With SO_REUSEPORT, the kernel may have found another listener.
	return held || errors.Is(err, unix.ESTALE) && s.State == Listen
}

// ask sends a request and calls do with each message of the answer.
func ask(fd int, request *diagRequest, flags uint16, do func(body []byte)) error {
	request.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(*request)), Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST | flags}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(request)), unsafe.Sizeof(*request))
	if err := unix.Sendto(fd, bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<15) // the kernel sends no more at once
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return fmt.Errorf("message of %d bytes in %d bytes", size, len(rest))
			}
			body := rest[unix.SizeofNlMsghdr:size]
			switch binary.NativeEndian.Uint16(rest[4:]) {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				if len(body) < 4 {
					return errors.New("error message without a number")
				}
				return unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			case unix.SOCK_DIAG_BY_FAMILY:
				if len(body) >= int(unsafe.Sizeof(diagMessage{})) {
					do(body)
				}
			}
			rest = rest[min(align(size), len(rest)):]
		}
		if flags&unix.NLM_F_DUMP == 0 {
			return nil
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// parse converts a message. It has at least the size of a diagMessage.
func parse(body []byte) *Socket {
	var m diagMessage
	const size = unsafe.Sizeof(m)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&m)), size), body)
	s := &Socket{
		Local:  address(m.family, m.id.source, m.id.sourcePort),
		Remote: address(m.family, m.id.dest, m.id.destPort),
		State:  State(m.state),
		UID:    m.uid,
		Info:   keepalive.Info{Silence: -1, Probes: -1, Unacked: -1, Retransmits: -1, Resent: -1, RTT: -1},
		family: m.family,
		id:     m.id,
		inode:  m.inode,
		cookie: uint64(m.id.cookie[1])<<32 | uint64(m.id.cookie[0]),
		timer:  timer{m.timer, time.Duration(m.expires) * time.Millisecond},
	}
	for kind, value := range attributes(body[size:]) {
		switch {
		case kind == attrInfo && s.State.Connected():
			s.Info = tcpInfo(value)
		case kind == attrULP: // only for processes with CAP_NET_ADMIN
			for kind, value := range attributes(value) {
				s.path = s.path || kind == attrULPName && unix.ByteSliceToString(value) == "mptcp"
			}
		}
	}
	return s
}

// attributes returns the attributes of a message, and their kinds.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
			if length < unix.SizeofNlAttr || length > len(b) || !yield(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:length]) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

func address(family uint8, ip [16]byte, port [2]byte) netip.AddrPort {
	addr := netip.AddrFrom16(ip).Unmap()
	if family == unix.AF_INET {
		addr = netip.AddrFrom4([4]byte(ip[:4]))
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}

// tcpInfo converts struct tcp_info. Older kernels send less of it, but all that is used here.
func tcpInfo(b []byte) keepalive.Info {
	var t unix.TCPInfo
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&t)), unsafe.Sizeof(t)), b)
	return keepalive.Info{
		Silence:     time.Duration(min(t.Last_data_recv, t.Last_ack_recv)) * time.Millisecond,
		Probes:      int(t.Probes),
		Unacked:     int(t.Unacked),
		Retransmits: int(t.Retransmits),
		Resent:      int(t.Total_retrans),
		RTT:         time.Duration(t.Rtt) * time.Microsecond,
	}
}

// derive returns what the timer of s shows about its options.
func (s *Socket) derive() Derived {
	if s.State != Established && s.State != CloseWait { // FinWait2 uses the same timer for its end
		return Derived{}
	}
	switch s.timer.kind {
	case timerNone:
		return Derived{Known: true}
	case timerKeepalive:
		d := Derived{Known: true, Enabled: true}
		if s.Info.Probes == 0 && s.Info.Silence >= 0 {
			d.MinIdle = (s.timer.expires + s.Info.Silence).Round(time.Second)
		}
		return d
	}
	return Derived{} // the timer of a retransmission hides that of keepalive
}
