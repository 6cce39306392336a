package keepalive

import (
	"errors"
	"math"
	"time"
)

// never is longer than anything that this package promises.
const never = time.Duration(math.MaxInt64)

// SystemDefaults returns what a connection has that nobody has touched: read
// from a fresh socket, so that on Linux it is the current network namespace's
// sysctls; on OpenBSD and NetBSD, where a socket does not tell, from the
// sysctls net.inet.tcp.keepidle and keepintvl; on Windows before 10 version
// 1709 from the registry or, where it has no entry, Windows's documentation.
//
// A system may have defaults that it takes from nobody: Linux's sysctls may say
// 24 h, while its limit is 9 h 6 m 7 s. They are reported as they are, and
// [Enable] leaves a connection alone that has them; for all others who are given
// them they are out of range.
//
// The error is [errors.ErrUnsupported] where there are none, or they cannot be
// read; another one where no socket can be had.
func SystemDefaults() (Options, error) { return system.defaults() }

// DetectionTime returns how long an idle connection with o can be silent, at
// the longest, before this system reports that its peer is dead. Fields that
// are zero, or that the system lacks, count as the system's defaults; times
// count as this system rounds them.
//
// It is Idle + Interval·Count, but on Linux with a user timeout, which replaces
// the count (see [Options]), and on illumos, where Interval·Count is eight
// minutes until both are set.
//
// The kernel's timers come after that, late by up to an eighth (Linux,
// kernel/time/timer.c; up to 7 % were seen). And since a probe is late, the user
// timeout may be over at one before which it lies by a hair: then the peer is
// reported one interval earlier. Where Interval is more than Idle, Linux takes up
// to the difference longer, for it looks again an Interval after a probe that was
// answered.
//
// It is the longest Duration when o.Disabled, and zero when the system's
// defaults are needed and cannot be known, or a value is out of range and not a
// default.
func (o Options) DetectionTime() time.Duration { return system.detectionTime(o) }

func (p *platform) detectionTime(o Options) time.Duration {
	o, span, ok := p.inForce(o)
	switch {
	case !ok:
		return 0
	case o.Disabled, o.Idle > never-span:
		return never
	case span == 0:
		return 0
	}
	return o.Idle + span
}

// inForce is o as this system rounds it, with its defaults for what is zero or
// missing, and the time from the first probe to the end. It is not ok when that
// cannot be known; for Disabled it is not asked.
func (p *platform) inForce(o Options) (_ Options, span time.Duration, ok bool) {
	if p.check(o) != nil {
		// It may be the system's own, which is in force though it cannot be set.
		if d, err := p.defaults(); err == nil {
			for i := range userTimeout {
				if o.get(i) == d.get(i) {
					o.set(i, 0)
				}
			}
		}
		if p.check(o) != nil {
			return o, 0, false
		}
	}
	if o.Disabled {
		return o, 0, true
	}
	rows := p.current()
	var defaults *Options
	for i := range userTimeout {
		if r := rows[i]; o.get(i) != 0 && r != nil {
			o.set(i, r.encode(o.get(i))*int64(r.unit))
			continue
		}
		if defaults == nil {
			d, err := p.defaults()
			if err != nil {
				return o, 0, false
			}
			defaults = &d
		}
		o.set(i, defaults.get(i))
	}
	span = mul(o.Interval, int64(o.Count))
	if span == 0 {
		span = p.abort
	}
	if u := o.UserTimeout; p.userTimeoutRules && u != 0 && u != NoUserTimeout && o.Interval > 0 {
		r := p.rows[userTimeout]
		u = time.Duration(r.encode(int64(u)) * int64(r.unit))
		probes := (u - o.Idle + o.Interval - 1) / o.Interval
		span = mul(o.Interval, int64(max(1, probes)))
	}
	return o, span, true
}

// mul is d·n, or never.
func mul(d time.Duration, n int64) time.Duration {
	if n != 0 && d > never/time.Duration(n) {
		return never
	}
	return d * time.Duration(n)
}

// current is p's rows as they are on this release of the system.
func (p *platform) current() [numParams]*row {
	rows := p.rows
	if p.times == nil {
		return rows
	}
	fresh(func(fd uintptr) {
		if _, err := p.kernel.get(fd, rows[idle].level, rows[idle].opt); err != nil && p.kernel.missing(err) {
			rows[idle], rows[interval], rows[count] = p.times.row(), p.times.row(), nil
		}
	})
	return rows
}

// row is what the control code takes for either time.
func (*times) row() *row {
	return &row{unit: time.Millisecond, min: 1, max: math.MaxUint32 / 1000 * 1000}
}

// DetectWithin returns settings with which this system notices a dead peer
// within d of its last sign of life, or of the first write that it does not
// acknowledge, if that is later. From d·8/9, because timers may be late by an
// eighth, they make three probes a sixth apart, rounded down, and a user timeout
// in step with them: a single lost probe kills nothing.
//
// Where the unit is the second, as on Linux, the shortest d is 2 s, with a single
// probe, and below 4 s there is no room for late timers. On Solaris the shortest
// is 20 s. For a shorter d the shortest settings are returned:
// [Options.DetectionTime] tells what they keep. For d ≤ 0 [Options.Validate]
// finds them out of range. On systems that lack options, the settings do what
// can be done there, and DetectionTime tells how much that is; without a user
// timeout nothing bounds data in flight.
//
// Set them when the connection is made: Linux probes at once one that has been
// silent for longer than Idle, and lets the old silence count for the user
// timeout, so that a single lost probe kills.
//
// The user timeout has its price: a peer that lives, but reads nothing for so
// long that its receive window stays closed for d, is dropped. And Linux counts
// it from the first retransmission: with data in flight two retransmission
// timeouts are added, 2·(RTT + 0.2 s) (measured, Linux 6.18), so with long round
// trips d should be well above that.
func DetectWithin(d time.Duration) Options { return system.detectWithin(d) }

func (p *platform) detectWithin(d time.Duration) Options {
	if d <= 0 {
		return Options{Idle: -1}
	}
	rows := p.current()
	// The time that there is; but two probes come before late timers.
	whole := max(d-d/9, min(d, rows[idle].floor(0)+2*rows[interval].floor(0)))
	probes, apart := int64(3), whole/6
	if rows[count] == nil && rows[idle] != nil { // Windows's is fixed
		probes, apart = 10, whole/20
	}
	o := Options{Interval: rows[interval].floor(apart)}
	if rows[count] != nil {
		probes = min(probes, max(1, int64((whole-rows[idle].floor(0))/o.Interval)))
		o.Count = int(probes)
	}
	o.Idle = rows[idle].floor(whole - time.Duration(probes)*o.Interval)
	if r := rows[userTimeout]; r != nil {
		// A little less than the whole, for what is added; but more than when
		// the last probe is sent, so that it has no say when the timers are not
		// very late, and even then it takes two lost probes.
		whole = o.Idle + time.Duration(probes)*o.Interval
		o.UserTimeout = min(whole-min(time.Second/2, o.Interval/2), time.Duration(r.max)*r.unit)
	}
	return o
}

// floor is d rounded down to what the system takes, or to seconds where it has
// no option.
func (r *row) floor(d time.Duration) time.Duration {
	if r == nil {
		r = &row{unit: time.Second, min: 1, max: math.MaxInt32}
	}
	return time.Duration(min(max(int64(d/r.unit), r.min), r.max)) * r.unit
}

// KeepOpen returns settings with which a NAT, firewall or load balancer that
// forgets connections after idleTimeout never forgets the connection, even when
// a probe is lost, at little traffic: eight ninths of idleTimeout, since timers
// may be late by an eighth, are nine tenths for the first probe and a tenth for
// a second one, if the first is not answered. A third unanswered one ends the
// connection.
//
// UserTimeout is left alone. If there is one, it must be longer than
// Idle + Interval, or on Linux a lost probe may kill.
//
// Where the unit is the second, the shortest idleTimeout that can be kept open
// is 3 s; for a shorter one the shortest settings are returned, and for
// idleTimeout ≤ 0 settings that [Options.Validate] finds out of range.
//
// Some timeouts, as they are unless changed, and what it costs to keep a million
// idle connections open, both directions together, with probes and answers of
// 66 bytes on Ethernet (measured: IPv4, with timestamps):
//
//	middlebox                                idle     packets/s  kB/s
//	Azure Load Balancer, 4 min [1]           192 s        10417   688
//	AWS NAT gateway and NLB, 350 s [2]       280 s         7143   471
//	Google Cloud VPC, 10 min [3]             480 s         4167   275
//	IPVS, 15 min [4]                         720 s         2778   183
//	netfilter, 5 days [5]                    32767 s         61     4
//
//	[1] learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset
//	[2] docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html,
//	    docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
//	[3] cloud.google.com/compute/docs/troubleshooting/general-tips
//	[4] Linux net/netfilter/ipvs/ip_vs_proto_tcp.c
//	[5] Linux Documentation/networking/nf_conntrack-sysctl.rst
func KeepOpen(idleTimeout time.Duration) Options { return system.keepOpen(idleTimeout) }

func (p *platform) keepOpen(idleTimeout time.Duration) Options {
	if idleTimeout <= 0 {
		return Options{Idle: -1}
	}
	rows := p.current()
	whole := idleTimeout - idleTimeout/9 // cannot overflow
	o := Options{Interval: rows[interval].floor(whole / 10)}
	o.Idle = rows[idle].floor(whole - o.Interval)
	if rows[count] != nil {
		o.Count = 3
	}
	return o
}

// complete reports whether o says all, as what Get gave does.
func (o *Options) complete() bool {
	return o.Idle > 0 && o.Interval > 0 && o.Count > 0 && (o.UserTimeout > 0 || system.rows[userTimeout] == nil)
}

// restorable is o without what Get may have reported of a system that has
// defaults it takes from nobody: where the connection still has such a value,
// it is left alone, and where it has another by now, it gets the nearest that
// can be set. Other values stay as they are.
func (p *platform) restorable(o, now Options) Options {
	defaults, err := p.defaults()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return o
	}
	for i := range userTimeout {
		v, r := o.get(i), p.rows[i]
		if r == nil || v <= 0 || v != defaults.get(i) || r.encode(v) <= r.max {
			continue
		}
		if v == now.get(i) {
			o.set(i, 0)
		} else {
			o.set(i, r.max*int64(r.unit))
		}
	}
	return o
}
