package keepalive

import (
	"math"
	"time"
)

// Options says how the kernel probes an idle connection, and how long it waits
// for data it has sent.
//
// A zero field leaves the socket's current setting alone, so Options{} means
// "on, with the timing it has". A negative field is an error, and so is one
// outside the range that the system takes; both are found before anything is
// set. Durations are rounded up to the system's unit, never down: 1.5 s is
// 2 s where the unit is the second.
//
// A dead peer on an idle connection is noticed after Idle + Interval·Count, and
// a little more: the kernel's timers are late, on Linux by up to an eighth. There
// a user timeout replaces the count: see UserTimeout.
type Options struct {
	// Idle is how long nothing must have arrived before the first probe is
	// sent: TCP_KEEPIDLE, and TCP_KEEPALIVE on Darwin. The default is two hours
	// on every system here, the least that RFC 9293, section 3.8.4, allows,
	// unless the administrator has changed it.
	Idle time.Duration

	// Interval is the time between unanswered probes: TCP_KEEPINTVL.
	Interval time.Duration

	// Count is how many probes go unanswered before the connection is
	// dropped: TCP_KEEPCNT.
	Count int

	// UserTimeout is how long sent data may stay unacknowledged before the
	// connection is dropped: TCP_USER_TIMEOUT on Linux, TCP_MAXRT on Windows,
	// TCP_RXT_CONNDROPTIME on Darwin, TCP_MAXUNACKTIME on FreeBSD,
	// TCP_ABORT_THRESHOLD on illumos and Solaris, absent elsewhere. Keepalive
	// is no help there: Linux sends no probe while data is unacknowledged
	// (net/ipv4/tcp_timer.c, tcp_keepalive_timer), and its own limit, the
	// sysctl tcp_retries2, amounts to about fifteen minutes (tcp(7)).
	//
	// NoUserTimeout takes it away again.
	//
	// On Linux it also replaces Count: an idle connection whose peer is dead
	// is dropped when a probe is due, at least one is unanswered, and the
	// silence has lasted for UserTimeout. That is after
	// Idle + Interval·max(1, ⌈(UserTimeout−Idle)/Interval⌉), or one Interval
	// earlier when UserTimeout lies within the timers' lateness above that. A
	// value below Idle+Interval kills after a single lost probe, one above
	// Idle + Interval·Count delays the detection. With data in flight the time
	// counts from the first retransmission, so two retransmission timeouts are
	// added: 2·(RTT + 0.2 s), measured on Linux 6.18. A closed receive window
	// counts too, so a peer that reads nothing for that long is dropped although
	// it lives.
	UserTimeout time.Duration

	// Disabled turns keepalive off. The times above are set all the same and
	// take effect when it is turned on again.
	Disabled bool
}

// NoUserTimeout, as a UserTimeout, is no limit of the connection's own on how
// long data may stay unacknowledged: the system's retransmission limit holds,
// and on Windows, illumos and Solaris there is none at all. It is what [Get]
// reports where none is set, so that Enable can restore it.
const NoUserTimeout = time.Duration(math.MaxInt64)

// Validate reports what this system would refuse or lacks, before there is a
// connection. First it checks o against the known ranges; then it asks the
// kernel, by setting o on a fresh socket that is never bound nor connected.
//
// The errors are those of [Enable]; Validate also fails when no socket can be
// had, for want of descriptors, say.
func (o Options) Validate() error {
	if err := system.check(o); err != nil {
		return err
	}
	return system.validate(o)
}
