package keepalive

import (
	"math"
	"time"
)

// Options are the keepalive settings and the user timeout of a connection.
//
// A zero field leaves the current setting unchanged. For example, Options{} turns
// keepalive on with the times that the connection already has. A negative value,
// or one that the system does not accept, is an error, and nothing is set.
// Durations are rounded up to the unit of the system. For example, 1.5s becomes
// 2s on Linux.
//
// A dead peer of an idle connection is detected after Idle + Interval·Count. For
// example, Idle 45s, Interval 5s and Count 3 make a detection time of 60s. Kernel
// timers can be late, on Linux by up to 1/8 of the time. UserTimeout can change
// the detection time, see [Options.DetectionTime].
type Options struct {
	// Idle is the time without a segment from the peer after which the first probe
	// is sent. The option is TCP_KEEPIDLE, or TCP_KEEPALIVE on macOS. The default is
	// two hours on every system, as in RFC 9293, section 3.8.4.
	Idle time.Duration

	// Interval is the time between two unanswered probes (TCP_KEEPINTVL).
	Interval time.Duration

	// Count is the number of unanswered probes after which the kernel drops the
	// connection (TCP_KEEPCNT).
	//
	// Do not use a huge Count for "never": some systems compute
	// Idle + Interval·Count in 32 bits. A sum that is too large for such a system is
	// an error. To turn keepalive off, use Disabled.
	Count int

	// UserTimeout is the time that sent data may remain unacknowledged before the
	// kernel drops the connection. [NoUserTimeout] removes the limit. For example,
	// without a user timeout Linux retransmits data to a dead peer for about 15
	// minutes (tcp_retries2, tcp(7)) and sends no probes meanwhile.
	//
	// The option is TCP_USER_TIMEOUT on Linux, TCP_MAXRT on Windows,
	// TCP_RXT_CONNDROPTIME on macOS, TCP_MAXUNACKTIME on FreeBSD, and
	// TCP_ABORT_THRESHOLD on illumos and Solaris. Other systems have none.
	//
	// On Linux, UserTimeout also
	//
	//   - replaces Count on an idle connection. The connection is dropped at the
	//     first probe that is due after UserTimeout of silence, if a probe is
	//     unanswered. Choose a value between Idle+Interval, so that one lost probe is
	//     tolerated, and Idle + Interval·Count;
	//   - limits connect, if it is set before. For example, a dial with
	//     UserTimeout 1s fails if the first SYN is lost;
	//   - drops a peer that keeps its receive window closed for that long, although
	//     it answers;
	//   - counts from the first retransmission. With data in flight the connection is
	//     dropped 2·(RTT + 0.2s) later than UserTimeout (measured, Linux 6.18).
	//
	// Other systems check it only when they retransmit, and wait twice as long each
	// time. macOS, FreeBSD and illumos can be late by up to the timeout itself, at
	// most by 64s (sources of xnu, FreeBSD and illumos).
	UserTimeout time.Duration

	// Disabled turns keepalive off. The other fields are set as well, and take
	// effect when keepalive is turned on again.
	Disabled bool
}

// NoUserTimeout is a UserTimeout that removes the limit. Linux, macOS and FreeBSD then stop
// retransmitting at a limit of the system. Windows, illumos and Solaris do not stop. [Get]
// returns NoUserTimeout if no user timeout is set.
const NoUserTimeout = time.Duration(math.MaxInt64)

// Validate reports whether this system accepts o. It checks the ranges, and then
// sets o on a new socket that is never connected.
//
// It returns the errors that [Enable] returns for o, or another error if no
// socket can be created.
func (o Options) Validate() error {
	if err := host.check(&o); err != nil {
		return err
	}
	return host.variant().validate(o)
}
