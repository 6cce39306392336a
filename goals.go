package keepalive

import (
	"math"
	"time"
)

// maxDuration is the longest Duration, and stands for "never".
const maxDuration = time.Duration(math.MaxInt64)

// SystemDefaults returns the options of a connection on which nothing was set. It
// reads them from a new socket. On Linux these are the sysctls of the network
// namespace. Where a socket does not have them, it reads
//
//   - the sysctls net.inet.tcp.keepidle and keepintvl on OpenBSD and NetBSD;
//   - the registry on Windows before 10 version 1709, or Windows's documentation if
//     there is no entry.
//
// Defaults can be out of the range that Enable accepts, see [Get].
//
// The error matches [errors.ErrUnsupported] if the system has no keepalive or cannot
// report a value. It is another error if no socket can be created.
func SystemDefaults() (Options, error) { return host.variant().systemDefaults() }

// DetectionTime returns the time after which this system detects a dead peer on an
// idle connection with o. It counts from the last segment that the peer sent.
// Fields that are zero or not supported count as the system's defaults. For example,
// with Idle 45s, Interval 5s and Count 3 it returns 60s.
//
// The detection time is Idle + Interval·Count, except
//
//   - on Linux with a user timeout. It replaces Count: the connection is dropped at the
//     first probe that is due after UserTimeout. For example, Idle 2s, Interval 1s and
//     UserTimeout 4.5s result in 5s with any Count;
//   - on gVisor with a user timeout. The shorter of both times counts;
//   - on illumos, where Interval·Count is 8 minutes until both are set.
//
// The kernel can be later than that:
//
//   - Timers can be late by up to 1/8 on Linux (kernel/time/timer.c). Up to 7 % were
//     measured.
//   - If Interval is larger than Idle, Linux, NetBSD and FreeBSD can take up to
//     Interval − Idle longer. After an answered probe they look again an Interval later.
//
// On Linux it can also be earlier by one Interval, if UserTimeout ends between the time
// at which a probe is due and the time at which it is sent.
//
// DetectionTime does not check ranges. It returns the longest Duration if o.Disabled is
// set, and 0 if a field is negative or the system has no keepalive. If no socket can be
// created to read the defaults, because all descriptors are in use, it uses the
// documented ones, for example 2h, 75s and 9 on Linux.
func (o Options) DetectionTime() time.Duration { return host.variant().detectionTime(o) }

func (p *platform) detectionTime(o Options) time.Duration {
	if o.Disabled {
		return maxDuration
	}
	o, giveUp, ok := p.effective(o)
	if !ok || giveUp == 0 {
		return 0
	}
	return addSat(o.Idle, giveUp)
}

// effective returns o, rounded, with the defaults for fields that are zero or not
// supported. giveUp is the time from the first probe to the dropped connection. ok is
// false if a field is negative or the system has no keepalive.
func (p *platform) effective(o Options) (_ Options, giveUp time.Duration, ok bool) {
	if p.opts[keepAlive] == nil {
		return o, 0, false
	}
	for f := range numFields {
		v, opt := o.field(f), p.opts[f]
		switch {
		case v < 0:
			return o, 0, false
		case opt == nil:
			o.setField(f, 0)
		case v > 0 && !f.unlimited(v):
			o.setField(f, mulSat(opt.unit, opt.roundUp(v)).Nanoseconds())
		}
	}
	if o.Idle == 0 || o.Interval == 0 || o.Count == 0 {
		defaults, _ := p.systemDefaults()
		o = o.or(defaults).or(p.defaults)
	}
	giveUp = mulSat(o.Interval, int64(o.Count))
	if giveUp == 0 {
		giveUp = p.defaultAbort
	}
	if u := o.UserTimeout; u != 0 && u != NoUserTimeout && o.Interval > 0 && p.userTimeoutRule != ignoresUserTimeout {
		limit := mulSat(o.Interval, probesUntil(u, o.Idle, o.Interval))
		if p.userTimeoutRule == userTimeoutReplacesCount || limit < giveUp {
			giveUp = limit
		}
	}
	return o, giveUp, true
}

// probesUntil returns the number of intervals from the time at until the first look at which a
// user timeout is over, at least one.
func probesUntil(user, at, interval time.Duration) int64 {
	if user <= at {
		return 1
	}
	return int64((user-at-1)/interval) + 1
}

// mulSat returns d·n, or maxDuration if that is longer.
func mulSat(d time.Duration, n int64) time.Duration {
	if n != 0 && d > maxDuration/time.Duration(n) {
		return maxDuration
	}
	return d * time.Duration(n)
}

// addSat returns d+e, or maxDuration if that is longer.
func addSat(d, e time.Duration) time.Duration {
	if d > maxDuration-e {
		return maxDuration
	}
	return d + e
}

// DetectWithin returns options with which this system detects a dead peer within d. The
// time counts from the last segment that the peer sent, or from the first data that it
// does not acknowledge, if that is later. For example, DetectWithin(30*time.Second)
// returns idle=14s,interval=4s,count=3,user-timeout=25.5s on Linux.
//
// The options send three probes, so that one lost probe does not drop the connection (two
// below 4s, one below 3s). They leave 1/9 of d for late timers. Consider that
//
//   - a user timeout drops a peer that answers, but keeps its receive window closed for d;
//   - a user timeout also limits connect on Linux, if it is set before, as by [Dialer]. For
//     example, with DetectWithin(6*time.Second) a dial fails after 4.5s without an answer;
//   - Linux takes 2·(RTT + 0.2s) longer with data in flight (measured, Linux 6.18). Choose
//     d well above that;
//   - on macOS, the BSDs and illumos, keepalive goes on while data is in flight, so that the
//     options bound that as well. Windows and AIX without a user timeout do not.
//
// Set the options when the connection is established, see [Enable].
//
// A d that is too short for the system results in the shortest options. The shortest d is
// 2s where the unit is the second, with a single probe, and 20s on Solaris. Below 4s
// there is no time for late timers. [Options.DetectionTime] returns what the options
// achieve. For d ≤ 0 the options do not pass [Options.Validate].
func DetectWithin(d time.Duration) Options { return host.variant().detectWithin(d) }

func (p *platform) detectWithin(d time.Duration) Options {
	if d <= 0 {
		return Options{Idle: -1}
	}
	opts := p.opts
	// Late timers get 1/9, but two probes have priority.
	budget := max(d-d/9, min(d, opts[idle].roundDown(0)+2*opts[interval].roundDown(0)))
	probes, step := int64(3), budget/6
	if opts[count] == nil && opts[idle] != nil { // fixed, on Windows before 10 version 1709
		probes, step = int64(p.defaults.Count), budget/20
	}
	o := Options{Interval: opts[interval].roundDown(step)}
	if opts[count] != nil {
		probes = min(probes, max(1, int64((budget-opts[idle].roundDown(0))/o.Interval)))
		o.Count = int(probes)
	}
	o.Idle = opts[idle].roundDown(budget - time.Duration(probes)*o.Interval)
	if user := opts[userTimeout]; user != nil {
		// Less than the detection time, because retransmissions add to it. But more than the
		// time of the last probe, so that it takes two lost probes even if timers are late.
		total := o.Idle + time.Duration(probes)*o.Interval
		o.UserTimeout = min(total-min(time.Second/2, o.Interval/2), time.Duration(user.max)*user.unit)
	}
	return o
}

// KeepOpen returns options that keep a connection open through a NAT, firewall or load
// balancer that drops idle connections after idleTimeout. For example,
// KeepOpen(350*time.Second) returns idle=4m40s,interval=31s,count=3 on Linux.
//
// The first probe is sent well before idleTimeout. If it is lost, there is time for a
// second one. Three unanswered probes drop the connection. UserTimeout is not set. If you
// set it, choose more than Idle+Interval, because otherwise a single lost probe can drop
// the connection on Linux.
//
// The shortest idleTimeout is 3s where the unit is the second. A shorter one results in
// the shortest options. For idleTimeout ≤ 0 the options do not pass [Options.Validate].
//
// These are the timeouts of some middleboxes, and the traffic for a million idle
// connections. It counts both directions, and probes and answers of 66 bytes on Ethernet
// (measured: IPv4, with timestamps).
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
func KeepOpen(idleTimeout time.Duration) Options { return host.variant().keepOpen(idleTimeout) }

func (p *platform) keepOpen(idleTimeout time.Duration) Options {
	if idleTimeout <= 0 {
		return Options{Idle: -1}
	}
	// Of 8/9 of the time, because timers can be late by 1/8, the second probe gets 1/10.
	budget := idleTimeout - idleTimeout/9
	o := Options{Interval: p.opts[interval].roundDown(budget / 10)}
	o.Idle = p.opts[idle].roundDown(budget - o.Interval)
	if p.opts[count] != nil {
		o.Count = 3
	}
	return o
}
