package keepalive

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Info is what the kernel knows of a connection at this moment. A field is
// negative where the system does not tell it:
//
//	             Silence  Probes  Unacked   Retransmits  Resent  RTT
//	Linux        yes      yes     segments  yes          yes     yes
//	FreeBSD      yes      –       –         –            yes     yes
//	macOS, iOS   –        –       bytes     –            yes     yes
//	Windows      –        –       bytes     –            –       yes
type Info struct {
	// Silence is how long ago anything has arrived from the peer: data, an
	// acknowledgment, or the answer to a probe. Linux tells milliseconds, in steps
	// of its clock (1 to 10), and does not count the peer's own probes. On FreeBSD
	// it starts anew at 71 minutes and 35 seconds.
	Silence time.Duration

	// Probes is how many keepalive probes, or probes of a closed window, are
	// unanswered. On Linux an acknowledgment sets it back, and data without one
	// may not: then it still counts those before (measured, Linux 6.18).
	Probes int

	// Unacked is how much was sent that the peer has not acknowledged: segments
	// on Linux, elsewhere bytes; on macOS with what is still to be sent.
	Unacked int

	// Retransmits is how often in a row the oldest of that was sent again.
	Retransmits int

	// Resent is how many segments were sent again since the connection began.
	Resent int

	// RTT is the smoothed round-trip time; zero before it was ever measured.
	RTT time.Duration

	rto     time.Duration // retransmission timeout, before it was backed off; negative when that is not known
	sent    time.Duration // since data was sent, again or for the first time
	waiting bool          // data waits for the peer's window to open
}

// unknown is an Info that tells nothing.
var unknown = Info{Silence: -1, Probes: -1, Unacked: -1, Retransmits: -1, Resent: -1, RTT: -1, rto: -1, sent: -1}

// Inspect returns what the kernel knows of conn at this moment. It leaves a
// pending error of the connection where it is. For a *net.TCPConn it makes one
// system call and allocates nothing (but on macOS). It takes the same
// connections as [Enable].
//
// It reads TCP_INFO on Linux and FreeBSD, TCP_CONNECTION_INFO on macOS, and
// SIO_TCP_INFO on Windows, from 10 version 1703 on. On all others, and under
// emulators that do not pass it on, the error is [errors.ErrUnsupported]. The
// other errors are those of [Get]. Of a Multipath TCP connection Linux tells
// about the first path.
func Inspect(conn net.Conn) (Info, error) {
	// Written out for the same reason as in Enable.
	tcp, ok := conn.(*net.TCPConn)
	if !ok || tcp == nil || system.on == nil {
		return inspectAny(conn)
	}
	c, err := tcp.SyscallConn()
	if err != nil {
		return unknown, fmt.Errorf("keepalive: %T has no socket: %w", conn, err)
	}
	var info Info
	var read error
	if err := c.Control(func(fd uintptr) { info, read = system.inspect(fd) }); err != nil {
		return unknown, fmt.Errorf("keepalive: %w", err)
	}
	return info, read
}

// inspectAny is Inspect for what is not plainly a TCP connection.
func inspectAny(conn net.Conn) (Info, error) {
	info := unknown
	var read error
	if err := control(conn, func(fd uintptr) { info, read = system.inspect(fd) }); err != nil {
		return unknown, err
	}
	return info, read
}

func (p *platform) inspect(fd uintptr) (Info, error) {
	if p.info == nil {
		return unknown, fmt.Errorf("keepalive: %w: %s tells nothing of a connection", errors.ErrUnsupported, p.name)
	}
	info, open, err := p.info.read(fd)
	if err == nil && open {
		return info, nil
	}
	// That it is over comes first: FreeBSD says ECONNRESET then, whatever it was.
	if over := p.over(fd); over != nil {
		return unknown, over
	}
	switch {
	case err == nil:
		return unknown, fmt.Errorf("keepalive: %w: %s tells of the first path of Multipath TCP alone, and that is gone", errors.ErrUnsupported, p.info.name)
	case p.kernel.missing(err):
		return unknown, fmt.Errorf("keepalive: %w: %s: %w", errors.ErrUnsupported, p.info.name, os.NewSyscallError(p.info.call, err))
	}
	return unknown, fmt.Errorf("keepalive: %s: %w", p.info.name, os.NewSyscallError(p.info.call, err))
}

// minRTO is the least that a system waits, unless told otherwise, before it
// sends again (Linux TCP_RTO_MIN).
const minRTO = 200 * time.Millisecond

// Suspect reports whether the peer has left something unanswered for longer
// than it takes to answer: a keepalive probe, or data that was sent again. o is
// what is in force on the connection, as [Get] tells; fields that are zero count
// as the system's defaults, and looking them up takes a socket.
//
// A suspect may yet come back. A peer that is alive becomes one only when packets
// are lost or much delayed. One that is dead becomes one before the kernel gives
// it up, unless Count is 1, or a user timeout leaves room for a single probe, and
// the options were set when the connection had been silent for long.
//
// It is false where Info does not tell: Silence is needed, or Retransmits.
func (i Info) Suspect(o Options) bool { return system.suspect(i, o) }

func (p *platform) suspect(i Info, o Options) bool {
	patience := max(i.rto, minRTO)
	if i.Unacked > 0 && i.Retransmits >= 0 {
		if i.Silence >= 0 && i.Silence < i.sent {
			return false // an answer has come, if not to all
		}
		if u := o.UserTimeout; u > 0 { // or the kernel might be first
			patience = min(patience, u/2)
		}
		return i.Retransmits > 1 || i.Retransmits == 1 && i.sent > patience
	}
	if i.Silence <= patience || i.Probes == 0 {
		return false
	}
	if i.waiting { // for a window: the probes are told to, and are answered at once
		return i.Probes > 1
	}
	o, span, ok := p.inForce(o)
	first := p.firstProbe(o)
	if !ok || o.Disabled || o.Interval <= 0 || i.Silence < first+patience {
		return false
	}
	since := i.Silence - first
	// Probes that fell due. What counts more is left over from before the silence.
	probes := int64(since/o.Interval) + 1
	if i.Probes > 0 {
		probes = min(probes, int64(i.Probes))
	}
	if probes > 1 {
		return o.Interval > patience || since > o.Interval+patience
	}
	// The one probe may have been sent late; and if it should have been followed by
	// others, nobody knows when it was sent.
	late := first/8 + patience
	if i.Probes > 0 && since > o.Interval+late {
		return false
	}
	if span <= o.Interval { // it is the only one
		late = min(late, span/2)
	}
	return since > late
}

// firstProbe is how long after the last sign of life the first probe is sent, at
// the latest. Linux looks again an Interval after a probe that was answered
// (net/ipv4/tcp_timer.c, tcp_keepalive_timer).
func (p *platform) firstProbe(o Options) time.Duration {
	if p.userTimeoutRules {
		return max(o.Idle, o.Interval)
	}
	return o.Idle
}

// Remaining returns how much longer the kernel will wait if nothing comes from
// the peer: in so much time the connection is dropped. o is what is in force on
// the connection, as [Get] tells; fields that are zero count as the system's
// defaults, and looking them up takes a socket.
//
// The kernel's timers are late by up to an eighth, as in [Options.DetectionTime].
// With data in flight it may be 2·(RTT + 0.2 s) more, until that was sent again.
// When o was set after a long silence, it is off by up to an Interval; and when
// keepalive was off until then, Idle may come on top. On FreeBSD a user timeout
// is not reckoned with.
//
// ok is false when there is no such time, or it cannot be known: keepalive is
// off; on Linux data is unacknowledged and there is no user timeout, so that
// the limit of retransmissions decides, after a quarter of an hour or so, or a
// router has said that the peer is not reachable; data waits for the peer to open
// its window; the system does not tell Silence.
func (i Info) Remaining(o Options) (d time.Duration, ok bool) { return system.remaining(i, o) }

func (p *platform) remaining(i Info, o Options) (time.Duration, bool) {
	if i.Silence < 0 || i.waiting {
		return 0, false
	}
	o, span, ok := p.inForce(o)
	if !ok {
		return 0, false
	}
	u := o.UserTimeout
	if u == NoUserTimeout || !p.userTimeoutRules {
		u = 0
	}
	if p.userTimeoutRules && i.Unacked > 0 {
		if u == 0 || i.rto < 0 {
			return 0, false
		}
		return max(0, u-i.overdue()), true
	}
	if o.Disabled || span == 0 || o.Interval <= 0 {
		return 0, false
	}
	// Think of the last probe, at the time at of the silence, as one of several
	// that come every Interval: before the first, that is the one to come.
	at, sent := o.Idle, int64(1)
	switch first := p.firstProbe(o); {
	case i.Probes < 0: // not known: as it should be
	case i.Probes > 0 && i.Silence < o.Idle: // left over, and counted
		sent += int64(i.Probes)
	case i.Probes == 0 && i.Silence >= o.Idle: // late, or to come with the next look
		at = max(first, i.Silence)
	case i.Probes > 0:
		sent = int64(i.Probes)
		at = min(first+mul(o.Interval, min(sent-1, int64(max(0, i.Silence-first)/o.Interval))), i.Silence)
		if late := i.Silence/8 + minRTO; i.Silence-at > o.Interval+late {
			at = i.Silence // they began after a long silence
		}
		at = max(at, i.Silence-o.Interval)
	}
	left := int64(0) // intervals from at to the end
	if u > 0 {
		if at < u || sent <= 1 {
			left = max(1, int64((u-at+o.Interval-1)/o.Interval))
		}
	} else if n := int64(span / o.Interval); sent <= n {
		left = n - sent + 1
	}
	return max(0, at-i.Silence+mul(o.Interval, left)), true
}

// overdue is how long ago data was sent again for the first time, from where
// Linux counts the user timeout (net/ipv4/tcp_timer.c, retransmits_timed_out);
// negative before that. Each wait was twice the one before.
func (i Info) overdue() time.Duration {
	if i.Retransmits <= 0 {
		return i.sent - i.rto
	}
	return i.sent + i.rto*(1<<min(i.Retransmits, 20)-2)
}
