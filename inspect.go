package keepalive

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Info is the state of a connection as its kernel reports it. A field is negative if the
// system does not report it:
//
//	             Silence  Probes  Unacked   Retransmits  Resent  RTT
//	Linux        yes      yes     segments  yes          yes     yes
//	FreeBSD      yes      –       –         –            yes     yes
//	macOS, iOS   –        –       bytes     –            yes     yes
//	Windows      –        –       bytes     –            –       yes
type Info struct {
	// Silence is the time since the last segment from the peer: data, an acknowledgment,
	// or the answer to a probe. Linux reports milliseconds in steps of 1 to 10, and does
	// not count probes from the peer. FreeBSD starts at zero again after 71m35s.
	Silence time.Duration

	// Probes is the number of unanswered probes: of keepalive, or of a closed window. On
	// Linux the next acknowledgment resets it. If the peer sends data that acknowledges
	// nothing new, Probes still includes earlier probes (measured, Linux 6.18).
	Probes int

	// Unacked is how much sent data the peer has not acknowledged: segments on Linux, bytes
	// elsewhere. On macOS it includes data that was not sent yet.
	Unacked int

	// Retransmits is the number of times in a row that the oldest unacknowledged data was
	// sent again.
	Retransmits int

	// Resent is the number of segments that were sent again since the connection began.
	Resent int

	// RTT is the smoothed round-trip time. It is zero before the first measurement.
	RTT time.Duration

	rto        time.Duration // retransmission timeout without backoff; negative if unknown
	sinceSend  time.Duration // since data was sent, also again
	zeroWindow bool          // data waits for the peer's window to open
}

// noInfo is an Info without any value.
var noInfo = Info{Silence: -1, Probes: -1, Unacked: -1, Retransmits: -1, Resent: -1, RTT: -1, rto: -1, sinceSend: -1}

// String returns the fields that the system reports, for example
// "silence=1.2s probes=1 unacked=0 retransmits=0 resent=0 rtt=31µs".
func (i Info) String() string {
	var b []byte
	add := func(name, value string, known bool) {
		if !known {
			return
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(append(append(b, name...), '='), value...)
	}
	add("silence", i.Silence.String(), i.Silence >= 0)
	add("probes", strconv.Itoa(i.Probes), i.Probes >= 0)
	add("unacked", strconv.Itoa(i.Unacked), i.Unacked >= 0)
	add("retransmits", strconv.Itoa(i.Retransmits), i.Retransmits >= 0)
	add("resent", strconv.Itoa(i.Resent), i.Resent >= 0)
	add("rtt", i.RTT.String(), i.RTT >= 0)
	return string(b)
}

// infoCall reads the state of a connection.
type infoCall struct {
	name, call string
	read       func(fd uintptr) (i Info, open bool, err error) // open: the connection has not ended
}

// Inspect returns the state of conn as its kernel reports it. It accepts the same
// connections as [Enable]. It does not consume a pending error. It makes one system call for a
// *net.TCPConn, and two for a wrapper.
//
// It reads TCP_INFO on Linux and FreeBSD, TCP_CONNECTION_INFO on macOS, and SIO_TCP_INFO on
// Windows 10 version 1703 or later. On other systems, and under emulators such as gVisor,
// the error matches [errors.ErrUnsupported]. Other errors are those of [Get]. For a
// Multipath TCP connection on Linux it returns the state of the first path.
func Inspect(conn net.Conn) (Info, error) {
	// For a *net.TCPConn without withSocket, as in Enable.
	if tcp, ok := conn.(*net.TCPConn); ok && tcp != nil && host.info != nil {
		if c, err := tcp.SyscallConn(); err == nil {
			var i Info
			var open bool
			var failed error
			if err := c.Control(func(fd uintptr) { i, open, failed = host.info.read(fd) }); err == nil && failed == nil && open {
				return i, nil
			}
		}
	}
	i, err := withSocket(conn, struct{}{}, func(fd uintptr, _ struct{}) (Info, error) { return host.inspect(fd) })
	if err != nil {
		return noInfo, err
	}
	return i, nil
}

func (p *platform) inspect(fd uintptr) (Info, error) {
	if p.info == nil {
		return noInfo, fmt.Errorf("keepalive: Inspect is not supported on %s: %w", p.name, errors.ErrUnsupported)
	}
	info, open, err := p.info.read(fd)
	if err == nil && open {
		return info, nil
	}
	// First, because FreeBSD returns ECONNRESET for every connection that has ended.
	if closed := p.checkConnected(fd); closed != nil {
		return noInfo, closed
	}
	switch {
	case err == nil:
		return noInfo, fmt.Errorf("keepalive: %s has only the first path of a Multipath TCP connection, which is closed: %w", p.info.name, errors.ErrUnsupported)
	case p.sys().isUnsupported(err):
		return noInfo, fmt.Errorf("keepalive: %w: %s: %w", errors.ErrUnsupported, p.info.name, os.NewSyscallError(p.info.call, err))
	}
	return noInfo, fmt.Errorf("keepalive: %s: %w", p.info.name, os.NewSyscallError(p.info.call, err))
}

// minRTO is the shortest retransmission timeout that systems use unless told otherwise
// (Linux TCP_RTO_MIN).
const minRTO = 200 * time.Millisecond

// Suspect reports whether the peer is probably dead, because it has not answered a probe, or
// data that was sent again, for longer than an answer takes. o are the options that are in
// effect on the connection, as [Get] returns them. Zero fields count as the system's
// defaults; to read them, Suspect creates a socket.
//
// For example, with Idle 45s, Interval 5s and Count 3 a dead peer is suspect at most 6s
// after the first probe is due. The kernel drops the connection after 15s.
//
// Suspect can be wrong. Packet loss and long delays make a live peer suspect. If o was set
// after a long silence, a live peer can be suspect until it answers the first probe. A dead
// peer becomes suspect before the kernel drops the connection, except if the options leave
// time for only one probe, or only one retransmission.
//
// Suspect returns false if the system reports neither Silence nor Retransmits.
func (i Info) Suspect(o Options) bool { return host.variant().suspect(i, o) }

func (p *platform) suspect(i Info, o Options) bool {
	answer := max(i.rto, minRTO) // the longest time that an answer takes
	// If Silence is shorter than sinceSend, the peer has answered since, but not to all.
	if i.Unacked > 0 && i.Retransmits > 0 && i.Silence >= i.sinceSend && (i.Retransmits > 1 || i.sinceSend > answer) {
		return true
	}
	if i.Silence <= answer || i.Probes == 0 {
		return false
	}
	if i.zeroWindow {
		return i.Probes > 1
	}
	o, giveUp, ok := p.effective(o)
	if !ok || o.Disabled {
		return false
	}
	// After a probe that was answered, Linux looks again an Interval later
	// (net/ipv4/tcp_timer.c, tcp_keepalive_timer).
	due := max(o.Idle, o.Interval)
	since := i.Silence - due
	if since >= o.Interval && i.Probes > 1 && mulSat(o.Interval, int64(i.Probes-1)) > answer {
		return true
	}
	late := due / 8 // by which the first probe can be late
	if i.Probes < 0 {
		late = min(late, giveUp/2)
	}
	return since > late+answer
}

// Remaining estimates the time until the kernel drops the connection if the peer stays
// silent. o are the options that are in effect on the connection, as [Get] returns them.
// Zero fields count as the system's defaults; to read them, Remaining creates a socket.
//
// On an idle connection it is the detection time minus Silence. Without UserTimeout it is at
// least an Interval for each probe that is not sent yet. With data in flight it is what
// remains of UserTimeout.
//
// ok is false if the time is not known, because
//
//   - keepalive is disabled;
//   - data is unacknowledged and UserTimeout is not set. Linux then retransmits for about 15
//     minutes;
//   - a router has reported the peer as unreachable while data is unacknowledged, or the
//     retransmission timeout has reached its limit;
//   - the receive window of the peer is closed;
//   - the system does not report Silence.
//
// The connection can be dropped later than that:
//
//   - by 1/8, because timers can be late;
//   - by Interval − Idle, if Interval is longer;
//   - by 2·(RTT + 0.2s) with data in flight;
//   - by an Interval, if o was set after a long silence.
//
// It can be dropped an Interval earlier if UserTimeout ends while a probe is late. On FreeBSD
// the estimate ignores UserTimeout.
func (i Info) Remaining(o Options) (d time.Duration, ok bool) { return host.variant().remaining(i, o) }

func (p *platform) remaining(i Info, o Options) (time.Duration, bool) {
	o, giveUp, ok := p.effective(o)
	if !ok || i.Silence < 0 || i.zeroWindow {
		return 0, false
	}
	limited := o.UserTimeout > 0 && o.UserTimeout != NoUserTimeout
	if p.userTimeoutRule == userTimeoutReplacesCount && i.Unacked > 0 {
		if !limited || i.rto < 0 {
			return 0, false
		}
		// UserTimeout counts from the first retransmission (net/ipv4/tcp_timer.c,
		// retransmits_timed_out). Each wait was twice the one before.
		return max(0, o.UserTimeout-i.sinceSend-i.rto*(1<<min(i.Retransmits, 20)-2)), true
	}
	if o.Disabled || giveUp == 0 {
		return 0, false
	}
	left := addSat(o.Idle, giveUp) - i.Silence
	if i.Probes >= 0 && !limited {
		left = max(left, mulSat(o.Interval, int64(max(0, o.Count-i.Probes))))
	}
	return max(0, left), true
}
