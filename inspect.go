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
	// Silence is how long ago anything has arrived from the peer: data, or the
	// answer to a probe. Linux tells milliseconds. On FreeBSD it starts anew at
	// 71 minutes and 35 seconds.
	Silence time.Duration

	// Probes is how many keepalive probes, or probes of a closed window, were
	// sent since then, all unanswered.
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

	rto     time.Duration // retransmission timeout, before it was backed off
	sent    time.Duration // since data was sent, again or for the first time
	waiting bool          // data waits for the peer's window to open
}

// unknown is an Info that tells nothing.
var unknown = Info{Silence: -1, Probes: -1, Unacked: -1, Retransmits: -1, Resent: -1, RTT: -1, rto: -1, sent: -1}

// Inspect returns what the kernel knows of conn at this moment. It makes one
// system call, allocates nothing (but on macOS) for a *net.TCPConn, and leaves
// a pending error of the connection where it is. It takes the same connections
// as [Enable].
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
	switch {
	case err == nil && open:
		return info, nil
	case err == nil:
		return unknown, p.alive(fd, nil)
	case p.kernel.missing(err):
		return unknown, fmt.Errorf("keepalive: %w: %s: %w", errors.ErrUnsupported, p.info.name, os.NewSyscallError(p.info.call, err))
	}
	return unknown, p.alive(fd, fmt.Errorf("keepalive: %s: %w", p.info.name, os.NewSyscallError(p.info.call, err)))
}

// Suspect reports whether the peer has left something unanswered for longer
// than it takes to answer: a keepalive probe, or data that was sent again. o is
// what is in force on the connection, as [Get] tells; fields that are zero count
// as the system's defaults. A suspect may yet come back; a peer that is alive
// becomes one only when packets are lost, or when it was given less than an
// eighth of Idle, by which the timers may be late, to answer the only probe.
//
// It is false where Info does not tell: Silence is needed, or Retransmits.
func (i Info) Suspect(o Options) bool { return system.suspect(i, o) }

func (p *platform) suspect(i Info, o Options) bool {
	// No kernel waits less before it sends again (Linux TCP_RTO_MIN).
	patience := max(i.rto, 200*time.Millisecond)
	if i.Unacked > 0 && i.Retransmits >= 0 {
		return i.Retransmits > 1 || i.Retransmits == 1 && i.sent > patience
	}
	if i.Silence <= patience || i.Probes == 0 {
		return false
	}
	if i.waiting { // for a window: the probes are told to, and are answered at once
		return i.Probes > 1
	}
	o, span, ok := p.inForce(o)
	if !ok || o.Disabled || i.Silence < o.Idle+patience {
		return false
	}
	since := i.Silence - o.Idle // at least, since the first probe fell due
	if i.Probes > 1 && o.Interval > patience {
		return true
	}
	// The one probe that there is may have been sent late.
	return since > min(o.Idle/8+patience, max(span-o.Interval, span/2))
}

// Remaining returns how much longer the kernel will wait if nothing comes from
// the peer: in so much time the connection is dropped. o is what is in force on
// the connection, as [Get] tells; fields that are zero count as the system's
// defaults.
//
// The kernel's timers are late by up to an eighth, as in [Options.DetectionTime].
// With data in flight it may be RTT + 0.2 s more, until that was sent again.
//
// ok is false when there is no such time, or it cannot be known: keepalive is
// off; on Linux data is unacknowledged and there is no user timeout, so that
// the limit of retransmissions decides, after a quarter of an hour or so; the
// system does not tell Silence. On FreeBSD a user timeout is not reckoned with.
func (i Info) Remaining(o Options) (d time.Duration, ok bool) { return system.remaining(i, o) }

func (p *platform) remaining(i Info, o Options) (time.Duration, bool) {
	if i.Silence < 0 || i.waiting {
		return 0, false
	}
	o, span, ok := p.inForce(o)
	switch {
	case !ok:
		return 0, false
	case p.userTimeoutRules && i.Unacked > 0:
		if u := o.UserTimeout; u != 0 && u != NoUserTimeout {
			return max(0, u-i.overdue()), true
		}
		return 0, false
	case o.Disabled, span == 0:
		return 0, false
	}
	left := o.Idle + span - i.Silence
	if i.Probes >= 0 && o.Interval > 0 { // those that are still to come take their time
		left = max(left, span-mul(o.Interval, int64(i.Probes)))
		if i.Probes > 0 {
			left = min(left, span-mul(o.Interval, int64(i.Probes-1)))
		}
	}
	return max(0, left), true
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
