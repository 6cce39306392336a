// Package capture records the TCP segments and ICMP messages that cross a network
// interface, and prints them in lines like those of tcpdump.
package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Packet is a TCP segment or an ICMP message.
type Packet struct {
	Time  time.Time // when the kernel passed it to or from the interface
	Out   bool      // sent by this side, not received
	Frame int       // bytes of the Ethernet frame, without its checksum
	IP    int       // bytes of the IP packet
	TTL   int       // the hop limit of IPv6

	// Src and Dst have port 0 if this is an ICMP message.
	Src, Dst netip.AddrPort

	// Of a TCP segment.
	Flags        Flags
	Seq, Ack     uint32
	Window       int // not scaled
	Payload      int // bytes of data
	Timestamps   bool
	TSval, TSecr uint32

	// ICMP is the type and code of an ICMP message. Its text is empty for TCP.
	ICMP ICMP
}

// Flags are those of a TCP segment.
type Flags uint8

// The flags of TCP.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// String returns, for example, "SYN+ACK".
func (f Flags) String() string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// ICMP is an ICMP message.
type ICMP struct {
	Version    int // 4 or 6, or 0 if there is none
	Type, Code uint8
	// Seq is the sequence number of the TCP segment that the message is about.
	Seq uint32
}

var unreachable = map[ICMP]string{
	{Version: 4, Type: 3, Code: 0}:  "net unreachable",
	{Version: 4, Type: 3, Code: 1}:  "host unreachable",
	{Version: 4, Type: 3, Code: 3}:  "port unreachable",
	{Version: 4, Type: 3, Code: 13}: "administratively prohibited",
	{Version: 6, Type: 1, Code: 0}:  "no route",
	{Version: 6, Type: 1, Code: 1}:  "administratively prohibited",
	{Version: 6, Type: 1, Code: 3}:  "address unreachable",
	{Version: 6, Type: 1, Code: 4}:  "port unreachable",
}

// String returns, for example, "host unreachable".
func (i ICMP) String() string {
	if i.Version == 0 {
		return ""
	}
	if text := unreachable[ICMP{Version: i.Version, Type: i.Type, Code: i.Code}]; text != "" {
		return text
	}
	return fmt.Sprintf("type %d code %d", i.Type, i.Code)
}

// IsProbe reports whether p is a keepalive probe, if next is the sequence number of the
// next byte that its sender will send: p has the number before, and no data. Linux and
// most systems send it like that. A few send one byte of data.
func (p Packet) IsProbe(next uint32) bool {
	return p.Flags == ACK && p.Seq == next-1 && p.Payload <= 1
}

// String returns p in a line, without its time.
func (p Packet) String() string {
	if p.ICMP.Version != 0 {
		return fmt.Sprintf("%v > %v  ICMP %v", p.Src.Addr(), p.Dst.Addr(), p.ICMP)
	}
	s := fmt.Sprintf("%v > %v  %v seq %d", p.Src, p.Dst, p.Flags, p.Seq)
	if p.Flags&ACK != 0 {
		s += fmt.Sprintf(" ack %d", p.Ack)
	}
	return s + fmt.Sprintf(" len %d", p.Payload)
}

// errOther is returned for frames that are neither TCP nor ICMP.
var errOther = errors.New("neither TCP nor ICMP")

const (
	ethernetHeader = 14
	protocolICMP   = 1
	protocolTCP    = 6
	protocolICMPv6 = 58
)

// Decode decodes an Ethernet frame. It returns an error if the frame has neither TCP nor
// ICMP, or if it is cut off. It does not verify checksums, because a frame that this side
// sends has none yet.
func Decode(frame []byte) (Packet, error) {
	p := Packet{Frame: len(frame)}
	if len(frame) < ethernetHeader {
		return p, short("Ethernet", frame)
	}
	ip := frame[ethernetHeader:]
	var protocol byte
	var src, dst netip.Addr
	var rest []byte
	switch kind := binary.BigEndian.Uint16(frame[12:]); kind {
	case 0x0800:
		if len(ip) < 20 {
			return p, short("IPv4", ip)
		}
		header := int(ip[0]&15) * 4
		p.IP = int(binary.BigEndian.Uint16(ip[2:]))
		if header < 20 || p.IP < header || p.IP > len(ip) {
			return p, short("IPv4", ip)
		}
		if binary.BigEndian.Uint16(ip[6:])&0x1fff != 0 {
			return p, errOther // a later fragment
		}
		p.TTL, protocol = int(ip[8]), ip[9]
		src, dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		rest = ip[header:p.IP]
	case 0x86dd:
		if len(ip) < 40 {
			return p, short("IPv6", ip)
		}
		p.IP = 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if p.IP > len(ip) {
			return p, short("IPv6", ip)
		}
		protocol, p.TTL = ip[6], int(ip[7])
		src, dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		rest = ip[40:p.IP]
	default:
		return p, errOther
	}
	p.Src, p.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	switch protocol {
	case protocolTCP:
		return p, p.decodeTCP(rest)
	case protocolICMP, protocolICMPv6:
		return p, p.decodeICMP(protocol, rest)
	}
	return p, errOther
}

func (p *Packet) decodeTCP(b []byte) error {
	if len(b) < 20 {
		return short("TCP", b)
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > len(b) {
		return short("TCP", b)
	}
	p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.Flags = Flags(b[13] & 0x3f)
	p.Window = int(binary.BigEndian.Uint16(b[14:]))
	p.Payload = len(b) - header
	for o := b[20:header]; len(o) > 0 && o[0] != 0; {
		if o[0] == 1 { // padding
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return short("TCP option", o)
		}
		if o[0] == 8 && o[1] == 10 {
			p.Timestamps = true
			p.TSval, p.TSecr = binary.BigEndian.Uint32(o[2:]), binary.BigEndian.Uint32(o[6:])
		}
		o = o[o[1]:]
	}
	return nil
}

func (p *Packet) decodeICMP(protocol byte, b []byte) error {
	if len(b) < 8 {
		return short("ICMP", b)
	}
	p.ICMP = ICMP{Version: 4, Type: b[0], Code: b[1]}
	header := 40
	if protocol == protocolICMPv6 {
		p.ICMP.Version = 6
	} else if len(b) > 8 {
		header = int(b[8]&15) * 4
	}
	// Errors contain the IP header and at least the first 8 bytes of the TCP header.
	if original := b[8:]; len(original) >= header+8 {
		p.ICMP.Seq = binary.BigEndian.Uint32(original[header+4:])
	}
	return nil
}

func short(what string, b []byte) error {
	return fmt.Errorf("%s cut off, or lengths do not match: %d bytes", what, len(b))
}

// Relative returns a copy of packets with sequence numbers that begin with 0 in each
// direction of a connection, as tcpdump shows them. The first segment of a direction must
// be in packets. The numbers of ICMP messages remain as they are.
func Relative(packets []Packet) []Packet {
	type flow struct{ src, dst netip.AddrPort }
	first := map[flow]uint32{}
	relative := make([]Packet, len(packets))
	for i, p := range packets {
		if p.ICMP.Version == 0 {
			this, other := flow{p.Src, p.Dst}, flow{p.Dst, p.Src}
			if _, ok := first[this]; !ok || p.Flags&SYN != 0 {
				first[this] = p.Seq
			}
			p.Seq -= first[this]
			// An RST without ACK has the number 0.
			if n, ok := first[other]; ok && p.Flags&ACK != 0 {
				p.Ack -= n
			}
		}
		relative[i] = p
	}
	return relative
}
