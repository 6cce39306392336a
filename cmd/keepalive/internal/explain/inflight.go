package explain

import (
	"fmt"
	"math"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// Retransmission is how Linux sends data again.
type Retransmission struct {
	Retries int           // net.ipv4.tcp_retries2
	MinRTO  time.Duration // net.ipv4.tcp_rto_min_us
	MaxRTO  time.Duration // net.ipv4.tcp_rto_max_ms
}

// DefaultRetransmission is that of Linux. The times are TCP_RTO_MIN and TCP_RTO_MAX of
// include/net/tcp.h, which are fixed before Linux 6.11 and 6.15.
var DefaultRetransmission = Retransmission{Retries: 15, MinRTO: 200 * time.Millisecond, MaxRTO: 2 * time.Minute}

// tick is by how much a retransmission timeout is longer on a fast network, because it is
// rounded up to the clock of the kernel (measured: Linux 6.18, CONFIG_HZ=250).
const tick = 8 * time.Millisecond

// times calls f with the times at which data is sent again on a fast network, until f returns
// false. The first one is a tail loss probe, and the second one the first that is due to a
// timeout.
func (r Retransmission) times(f func(time.Duration) bool) {
	rto := r.MinRTO + tick
	at := rto
	if !f(at) {
		return
	}
	for at += rto; f(at); at += rto {
		rto = min(2*rto, r.MaxRTO)
	}
}

// timedOut returns when the kernel drops the connection without a user timeout: at the first
// timeout that is due after limit, which counts from the first one. See net/ipv4/tcp_timer.c,
// retransmits_timed_out and tcp_model_timeout.
//
// gap is the time from the timeout before that. On a slower network, a timeout can come just too early,
// and the connection is dropped gap later.
func (r Retransmission) timedOut() (at, limit, gap time.Duration) {
	const base = 200 * time.Millisecond // TCP_RTO_MIN
	r.Retries = min(r.Retries, 255)     // as current kernels do
	doubled := min(r.Retries, int(math.Log2(float64(r.MaxRTO/base))))
	limit = time.Duration(2<<doubled-1)*base + time.Duration(r.Retries-doubled)*r.MaxRTO
	var first, before time.Duration
	n := 0
	r.times(func(t time.Duration) bool {
		n++
		before, at = at, t
		if n == 2 {
			first = t
		}
		return n <= 2 || t-first < limit
	})
	return at, first + limit, at - before
}

// inFlight explains a connection with unacknowledged data. detection is that of an idle one.
func (h Host) inFlight(e keepalive.Options, detection time.Duration) Detection {
	switch h.System {
	case "linux":
		return h.inFlightLinux(e)
	case "gvisor":
		if hasUserTimeout(e) {
			d := e.UserTimeout + h.Linux.MinRTO
			return h.inFlightAt(d, d, "user timeout + RTT + 0.2s")
		}
		return unknown("no user timeout limits the time that gVisor sends data again")
	case "darwin", "ios", "freebsd", "netbsd", "openbsd", "dragonfly", "illumos":
		return h.keepsProbing(e, detection)
	}
	if hasUserTimeout(e) {
		return h.inFlightAt(e.UserTimeout, e.UserTimeout, "user timeout")
	}
	return unknown("keepalive does not apply, and " + h.System + " sends the data again until a limit of its own")
}

// unknown is a Detection without a time.
func unknown(why string) Detection { return Detection{Rule: why, Timeline: []Event{}} }

func (h Host) inFlightAt(at, latest time.Duration, rule string) Detection {
	return Detection{
		Detection: ptr(at),
		Latest:    ptr(latest),
		Rule:      rule,
		Timeline:  []Event{{0, "data"}, {Seconds(at), "dropped"}},
	}
}

func (h Host) inFlightLinux(e keepalive.Options) Detection {
	var d Detection
	if hasUserTimeout(e) {
		at := e.UserTimeout + 2*h.Linux.MinRTO
		d = h.inFlightAt(at, h.late(at), fmt.Sprintf("user timeout + %s + 2 x RTT", text.Duration(2*h.Linux.MinRTO)))
	} else {
		at, limit, gap := h.Linux.timedOut()
		d = h.inFlightAt(at, max(h.late(at), limit+h.late(gap)),
			fmt.Sprintf("the first retransmission due after %s (net.ipv4.tcp_retries2 = %d)", text.Duration(limit), h.Linux.Retries))
	}
	at := time.Duration(*d.Detection)
	events := []Event{{0, "data"}}
	h.Linux.times(func(t time.Duration) bool {
		if t < at && len(events) == 6 {
			events = append(events, Event{Seconds(t), gap})
		}
		if t >= at || len(events) > 6 {
			return false
		}
		events = append(events, Event{Seconds(t), "again"})
		return true
	})
	d.Timeline = append(events, Event{Seconds(at), "dropped"})
	return d
}

// keepsProbing is for systems on which keepalive goes on while data is in flight. They check the
// user timeout only when data is sent again, so it can be late by its own length, but not by more
// than 64s. See docs/systems.md.
func (h Host) keepsProbing(e keepalive.Options, detection time.Duration) Detection {
	user, latest := never, never
	if hasUserTimeout(e) {
		user = e.UserTimeout
		latest = user + min(user, 64*time.Second)
	}
	switch {
	case e.Disabled && user == never:
		return unknown("keepalive is off, and " + h.System + " sends the data again until a limit of its own")
	case user < detection:
		return h.inFlightAt(user, min(latest, detection), "user timeout, checked when data is sent again")
	}
	return h.inFlightAt(detection, detection, "as if idle, because keepalive goes on")
}
