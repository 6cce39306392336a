// Package explain computes what keepalive options mean on a system: when probes are sent,
// when a dead peer is detected, and what that costs.
package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// An Explanation is what options mean on a system.
type Explanation struct {
	System      string      `json:"system"`
	Options     string      `json:"options"` // as given
	KeepAlive   bool        `json:"keepalive"`
	Settings    Settings    `json:"settings"`
	Probes      int64       `json:"probes"` // that an idle connection sends before it is dropped, or 0 if not known
	Idle        Detection   `json:"idle_connection"`
	InFlight    Detection   `json:"data_in_flight"`
	Middleboxes []Middlebox `json:"middleboxes"`
	Traffic     Traffic     `json:"traffic"`
	Warnings    []string    `json:"warnings"` // begin with Unmet
	Notes       []string    `json:"notes"`

	// Unmet has a sentence for each goal in OPTIONS that the settings do not meet.
	Unmet []string `json:"-"`

	host  Host
	named keepalive.Options // what OPTIONS names
	goals []goal
}

// Settings are the values in effect. A value is 0 if the system does not report it.
type Settings struct {
	Idle        Seconds  `json:"idle_seconds"`
	Interval    Seconds  `json:"interval_seconds"`
	Count       int      `json:"count"`
	UserTimeout *Seconds `json:"user_timeout_seconds"` // nil: none
	Defaults    []string `json:"from_system"`          // the keys that OPTIONS does not name
}

// Seconds is a Duration that is a number of seconds in JSON.
type Seconds time.Duration

func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(float64(s) / 1e9) }

// A Detection is the end of a connection whose peer is dead.
type Detection struct {
	Detection *Seconds `json:"detection_seconds"` // nil: never, or not known
	Latest    *Seconds `json:"latest_seconds"`    // with late timers
	Rule      string   `json:"rule"`
	Timeline  []Event  `json:"timeline"` // leaves out events in the middle of a long one
}

// An Event is a point of a timeline. The time counts from the last segment from the peer, or
// from the first data that it does not acknowledge.
type Event struct {
	At   Seconds `json:"seconds"`
	Name string  `json:"event"`
}

// gap is the name of the place at which events are left out.
const gap = "..."

// A Middlebox drops connections that are idle for too long.
type Middlebox struct {
	Name        string   `json:"name"`
	IdleTimeout Seconds  `json:"idle_timeout_seconds"`
	Survives    Survival `json:"survives"`
	Sources     []string `json:"sources"`
}

// Survival is whether a middlebox keeps an idle connection.
type Survival string

const (
	Yes     Survival = "yes"
	Fragile Survival = "fragile" // only if no probe is lost or late
	No      Survival = "no"
)

// Middleboxes are those of keepalive.KeepOpen.
var Middleboxes = []Middlebox{
	{Name: "Azure Load Balancer", IdleTimeout: Seconds(4 * time.Minute),
		Sources: []string{"https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset"}},
	{Name: "AWS NAT gateway and NLB", IdleTimeout: Seconds(350 * time.Second),
		Sources: []string{"https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html",
			"https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html"}},
	{Name: "Google Cloud VPC", IdleTimeout: Seconds(10 * time.Minute),
		Sources: []string{"https://cloud.google.com/compute/docs/troubleshooting/general-tips"}},
	{Name: "IPVS (Kubernetes, Docker)", IdleTimeout: Seconds(15 * time.Minute),
		Sources: []string{"Linux net/netfilter/ipvs/ip_vs_proto_tcp.c"}},
	{Name: "netfilter (Linux NAT)", IdleTimeout: Seconds(5 * 24 * time.Hour),
		Sources: []string{"Linux Documentation/networking/nf_conntrack-sysctl.rst"}},
}

// Traffic is what idle connections cost, in both directions.
type Traffic struct {
	Connections int     `json:"connections"`
	Every       Seconds `json:"seconds_between_probes"` // 0: no probes
	Packets     float64 `json:"packets_per_second"`
	Bytes       float64 `json:"bytes_per_second"`
}

// FrameBytes is the length of a probe, and of its answer, on Ethernet: IPv4, with timestamps.
const FrameBytes = 66

// A Host is what Explain has to know about a system.
type Host struct {
	System   string // GOOS, or gvisor
	Defaults keepalive.Options
	Detect   func(keepalive.Options) time.Duration // keepalive.Options.DetectionTime
	Name     func(option string) string            // of the parameter with the default, or ""
	Linux    Retransmission                        // of Linux
}

// never is what Detect returns if keepalive is off.
const never = time.Duration(math.MaxInt64)

// Explain explains o on host h. text is what o was parsed from. connections is the number of idle
// connections for Traffic, at least 1. Explain returns an error if the system has no keepalive.
func Explain(h Host, text string, o keepalive.Options, connections int) (*Explanation, error) {
	e := h.effective(o)
	detection := h.Detect(o)
	if detection == 0 {
		return nil, fmt.Errorf("%s has no keepalive", h.System)
	}
	var every time.Duration // 0: no probes
	switch {
	case o.Disabled:
	case h.looksEachInterval():
		every = max(e.Idle, e.Interval)
	default:
		every = e.Idle
	}
	x := &Explanation{
		System:    h.System,
		Options:   strings.TrimSpace(text),
		KeepAlive: !o.Disabled,
		Settings:  settings(o, e),
		InFlight:  h.inFlight(e, detection),
		Traffic:   traffic(every, connections),
		host:      h,
		named:     o,
		goals:     goals(text),
	}
	x.Idle, x.Probes = h.idle(e, detection, every)
	for _, m := range Middleboxes {
		m.Survives = survives(time.Duration(m.IdleTimeout), every, e.Interval, x.Probes)
		x.Middleboxes = append(x.Middleboxes, m)
	}
	x.Unmet = x.unmet(e, every)
	x.Warnings, x.Notes = append(slices.Clone(x.Unmet), x.warnings(e, every)...), x.notes(e)
	return x, nil
}

// effective returns o as it is in effect: rounded up to the units of the system, and with its
// defaults. Only DetectionTime has the units, so they come from differences of what it returns.
func (h Host) effective(o keepalive.Options) keepalive.Options {
	const s = time.Second
	detect := func(idle, interval time.Duration) time.Duration {
		return h.Detect(keepalive.Options{Idle: idle, Interval: interval, Count: 1})
	}
	e := o
	if o.Idle != 0 {
		e.Idle = s + detect(o.Idle, s) - detect(s, s)
	}
	if o.Interval != 0 {
		probes := (detect(s, 2*s) - detect(s, s)) / s // not 1 if the count is fixed
		e.Interval = s + (detect(s, o.Interval)-detect(s, s))/max(probes, 1)
	}
	if o.UserTimeout != 0 && o.UserTimeout != keepalive.NoUserTimeout {
		unit := time.Second
		if h.System == "linux" || h.System == "gvisor" || h.System == "illumos" || h.System == "solaris" {
			unit = time.Millisecond
		}
		e.UserTimeout = (o.UserTimeout-1)/unit*unit + unit
	}
	e.Idle = cmp.Or(e.Idle, h.Defaults.Idle)
	e.Interval = cmp.Or(e.Interval, h.Defaults.Interval)
	e.Count = cmp.Or(e.Count, h.Defaults.Count)
	e.UserTimeout = cmp.Or(e.UserTimeout, h.Defaults.UserTimeout)
	return e
}

// hasUserTimeout reports whether e limits the time that data is unacknowledged.
func hasUserTimeout(e keepalive.Options) bool {
	return e.UserTimeout != 0 && e.UserTimeout != keepalive.NoUserTimeout
}

func settings(o, e keepalive.Options) Settings {
	x := Settings{Idle: Seconds(e.Idle), Interval: Seconds(e.Interval), Count: e.Count, Defaults: []string{}}
	if hasUserTimeout(e) {
		x.UserTimeout = ptr(e.UserTimeout)
	}
	for _, f := range []struct {
		key   string
		named bool
	}{{"idle", o.Idle != 0}, {"interval", o.Interval != 0}, {"count", o.Count != 0}, {"user-timeout", o.UserTimeout != 0}} {
		if !f.named {
			x.Defaults = append(x.Defaults, f.key)
		}
	}
	return x
}

func ptr(d time.Duration) *Seconds {
	s := Seconds(d)
	return &s
}

// looksEachInterval reports whether the system looks an Interval after an answered probe again,
// and not after Idle. See docs/timing.md.
func (h Host) looksEachInterval() bool {
	switch h.System {
	case "linux", "netbsd", "freebsd":
		return true
	}
	return false
}

// late returns the longest time that a timer for d takes. On Linux that is 1/8 more
// (kernel/time/timer.c).
func (h Host) late(d time.Duration) time.Duration {
	if h.System == "linux" {
		return d + d/8
	}
	return d
}

// idle explains an idle connection. every is the time between answered probes.
func (h Host) idle(e keepalive.Options, detection, every time.Duration) (d Detection, probes int64) {
	if e.Disabled {
		return unknown("keepalive is off, so no probes are sent"), 0
	}
	d = Detection{
		Detection: ptr(detection),
		Latest:    ptr(h.late(detection + every - e.Idle)),
		Timeline:  []Event{{0, "last segment"}},
	}
	dropped := Event{Seconds(detection), "dropped"}
	if e.Interval == 0 {
		d.Rule = "until interval and count are set, the system chooses the times of the probes"
		d.Timeline = append(d.Timeline, Event{Seconds(e.Idle), "probe 1"}, dropped)
		return d, 0
	}
	probes = int64((detection - e.Idle) / e.Interval)
	d.Rule = fmt.Sprintf("%s + %d x %s of silence", text.Duration(e.Idle), probes, text.Duration(e.Interval))
	probe := func(n int64) Event {
		return Event{Seconds(e.Idle + time.Duration(n-1)*e.Interval), fmt.Sprintf("probe %d", n)}
	}
	const shown = 5
	for n := int64(1); n <= probes; n++ {
		if n == shown-1 && probes > shown {
			d.Timeline = append(d.Timeline, Event{probe(n).At, gap})
			n = probes
		}
		d.Timeline = append(d.Timeline, probe(n))
	}
	d.Timeline = append(d.Timeline, dropped)
	return d, probes
}

func survives(timeout, every, interval time.Duration, probes int64) Survival {
	switch {
	case every == 0 || every >= timeout:
		return No
	case probes > 1 && every+interval <= timeout-timeout/9:
		return Yes
	}
	return Fragile
}

func traffic(every time.Duration, connections int) Traffic {
	t := Traffic{Connections: connections, Every: Seconds(every)}
	if every > 0 {
		t.Packets = 2 * float64(connections) / every.Seconds()
		t.Bytes = FrameBytes * t.Packets
	}
	return t
}
