package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// packet is one TCP segment, as seen on the link.
type packet struct {
	At       time.Duration // since the capture began
	Port     int           // of the near end
	Out      bool          // sent by the near end
	IP       int           // bytes, header included
	Ethernet int           // bytes, header included, without the frame check sequence
	Payload  int           // bytes of data
}

// The exchanges that paper needs.
const (
	probe4        = "keepalive probe, IPv4"
	heartbeatPing = "heartbeat.Conn ping, IPv4"
	yamuxPing     = "yamux ping, IPv4"
)

// exchange is what passes on a link once in an interval.
type exchange struct {
	What    string
	Packets []packet
	Seen    int // how often
}

// shape is an exchange in a word: the directions, and the bytes at the IP level.
func (e exchange) shape() string {
	var words []string
	for _, p := range e.Packets {
		arrow := "←"
		if p.Out {
			arrow = "→"
		}
		words = append(words, fmt.Sprintf("%s %d", arrow, p.IP))
	}
	return strings.Join(words, ", ")
}

func (e exchange) sum(size func(packet) int) int {
	n := 0
	for _, p := range e.Packets {
		n += size(p)
	}
	return n
}

func (e exchange) ethernet() int { return e.sum(func(p packet) int { return p.Ethernet }) }

// wire is what a packet takes up on a real cable: at least 60 bytes, with the
// frame check sequence (4), preamble (8) and gap (12) of IEEE 802.3.
func (p packet) wire() int { return max(p.Ethernet, 60) + 4 + 8 + 12 }

func (e exchange) wire() int { return e.sum(packet.wire) }

// commonest cuts the packets of one connection, in order, where there is silence
// for as long as gap, and returns the exchange that is seen most often.
func commonest(what string, packets []packet, gap time.Duration) (exchange, error) {
	var groups []exchange
	for i, p := range packets {
		if i == 0 || p.At-packets[i-1].At >= gap {
			groups = append(groups, exchange{What: what})
		}
		last := &groups[len(groups)-1]
		last.Packets = append(last.Packets, p)
	}
	count := map[string]int{}
	for _, g := range groups {
		count[g.shape()]++
	}
	var best exchange
	for _, g := range groups {
		if n := count[g.shape()]; n > best.Seen {
			best = g
			best.Seen = n
		}
	}
	if best.Seen < 2 {
		return best, fmt.Errorf("%s: no exchange was seen twice among %d", what, len(groups))
	}
	return best, nil
}

// traffic shows what a probe and other heartbeats look like on a link.
func traffic(l *lab, s *section) error {
	var err error
	if l.traffic, err = capture(); errors.Is(err, errAbsent) {
		s.lacks("packets on a link between two network namespaces", err)
		return nil
	} else if err != nil {
		return err
	}
	s.say("Captured with a packet socket on a link (veth) between two network namespaces; → is from the side that asks. On Ethernet means with its header of " +
		"14 bytes; on the wire adds frame check sequence, preamble and gap, 24 bytes a frame, and pads short ones.")
	var rows [][]string
	for _, e := range l.traffic {
		rows = append(rows, []string{e.What, e.shape(), fmt.Sprint(e.sum(func(p packet) int { return p.IP })), fmt.Sprint(e.ethernet()), fmt.Sprint(e.wire())})
	}
	s.table([]string{"one exchange", "packets, bytes of IP", "IP", "on Ethernet", "on the wire"}, rows)
	return nil
}

// decode reads a TCP segment in an Ethernet frame, if that is what it is.
func decode(frame []byte, out bool) (packet, bool) {
	const header = 14
	p := packet{Out: out, Ethernet: len(frame)}
	if len(frame) < header+40 {
		return p, false
	}
	b, tcp := frame[header:], 40
	switch etherType := binary.BigEndian.Uint16(frame[12:]); {
	case etherType == 0x0800 && b[9] == protocolTCP:
		p.IP, tcp = int(binary.BigEndian.Uint16(b[2:])), 4*int(b[0]&15)
	case etherType == 0x86dd && b[6] == protocolTCP:
		p.IP = 40 + int(binary.BigEndian.Uint16(b[4:]))
	default:
		return p, false
	}
	if len(b) < tcp+20 {
		return p, false
	}
	p.Port = int(binary.BigEndian.Uint16(b[tcp:]))
	if !out {
		p.Port = int(binary.BigEndian.Uint16(b[tcp+2:]))
	}
	p.Payload = p.IP - tcp - 4*int(b[tcp+12]>>4)
	return p, true
}

const protocolTCP = 6
