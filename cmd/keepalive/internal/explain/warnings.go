package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// A goal is detect-within or keep-open in OPTIONS.
type goal struct {
	key  string
	time time.Duration
}

func goals(text string) []goal {
	var found []goal
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		key, value, _ := strings.Cut(word, "=")
		if d, err := time.ParseDuration(value); err == nil && (key == "detect-within" || key == "keep-open") {
			found = append(found, goal{key, d})
		}
	}
	return found
}

// has reports whether OPTIONS has a goal.
func (x *Explanation) has(key string) bool {
	return slices.ContainsFunc(x.goals, func(g goal) bool { return g.key == key })
}

// unmet returns a sentence for each goal that e does not meet. every is the time between answered
// probes.
func (x *Explanation) unmet(e keepalive.Options, every time.Duration) (texts []string) {
	warn := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	for _, g := range x.goals {
		switch {
		case g.key == "detect-within" && x.Idle.Latest != nil && time.Duration(*x.Idle.Latest) > g.time:
			warn("detect-within=%s is too short for this system: an idle connection can take %s.", text.Duration(g.time), text.Duration(time.Duration(*x.Idle.Latest)))
		case g.key == "detect-within" && x.InFlight.Latest != nil && time.Duration(*x.InFlight.Latest) > g.time:
			warn("detect-within=%s does not hold with data in flight, which can take %s.", text.Duration(g.time), text.Duration(time.Duration(*x.InFlight.Latest)))
		case g.key == "keep-open" && survives(g.time, every, e.Interval, 2) != Yes:
			warn("keep-open=%s is too short for this system: the middlebox can drop the connection if a probe is lost or late.", text.Duration(g.time))
		}
	}
	return texts
}

// warnings returns what surprises people about e. every is the time between answered probes.
func (x *Explanation) warnings(e keepalive.Options, every time.Duration) []string {
	w := []string{}
	warn := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	if e.Disabled {
		switch x.System {
		case "freebsd", "darwin", "dragonfly":
			warn("Probes are sent all the same while the sysctl net.inet.tcp.always_keepalive is 1.")
		}
	} else {
		x.warnIdle(e, every, warn)
	}
	x.warnInFlight(e, warn)
	return w
}

func (x *Explanation) warnIdle(e keepalive.Options, every time.Duration, warn func(string, ...any)) {
	replaces := hasUserTimeout(e) && (x.host.UserTimeoutReplacesCount() || x.System == "gvisor") // gVisor: if it ends earlier
	byCount := e.Idle + time.Duration(min(e.Count, 1<<31-1))*e.Interval
	last := e.Idle + time.Duration(x.Probes-1)*e.Interval // the time of the last probe
	switch detection := time.Duration(*x.Idle.Detection); {
	case x.Probes == 1 && x.has("detect-within"):
		warn("A single lost probe drops the connection. Choose detect-within=4s or longer.")
	case x.Probes == 1 && replaces:
		warn("A single lost probe drops the connection, because the user timeout ends before the second one. Choose user-timeout=%s or longer.",
			text.Duration(e.Idle+e.Interval+e.Interval/2))
	case x.Probes == 1:
		warn("A single lost probe drops the connection. Choose count=3.")
	case replaces && detection > byCount:
		warn("The user timeout replaces the count on Linux, so an idle connection takes %s and not %s. Choose user-timeout=%s.",
			text.Duration(detection), text.Duration(byCount), text.Duration(fittingUserTimeout(e, byCount)))
	case replaces && e.UserTimeout > last && e.UserTimeout-last < min(last/8, margin(e, last)):
		warn("The user timeout ends soon after probe %d is due. If that probe is late, the connection is dropped then, at about %s.",
			x.Probes, text.Duration(e.UserTimeout))
	}
	if every > e.Idle {
		warn("interval is longer than idle: after an answered probe the next one follows only after %s, so detection can take %s longer.",
			text.Duration(e.Interval), text.Duration(e.Interval-e.Idle))
	}
	if x.has("keep-open") { // the user has chosen a middlebox
		return
	}
	for _, m := range x.Middleboxes {
		if m.Survives == No {
			warn("The time between probes, %s, is too long for %s. keep-open=%s keeps connections open there.",
				text.Duration(every), m.Name, text.Duration(time.Duration(m.IdleTimeout)))
			break
		}
	}
}

func (x *Explanation) warnInFlight(e keepalive.Options, warn func(string, ...any)) {
	switch {
	case hasUserTimeout(e) && x.System == "linux" && e.UserTimeout <= 2*time.Second:
		warn("With a user timeout of %s, few lost packets are enough to drop a connection with data in flight, or to make connect fail.", text.Duration(e.UserTimeout))
	case hasUserTimeout(e):
	case x.System == "linux" && e.Disabled:
		warn("Without a user timeout, data in flight to a dead peer waits %s.", text.Duration(time.Duration(*x.InFlight.Detection)))
	case x.System == "linux":
		detection := time.Duration(*x.Idle.Detection)
		fitting := fittingUserTimeout(e, detection)
		if fitting < time.Duration(*x.InFlight.Detection) {
			warn("With data in flight, Linux sends no probes, and detection takes %s. Add user-timeout=%s to limit it.",
				text.Duration(time.Duration(*x.InFlight.Detection)), text.Duration(fitting))
		}
	case x.InFlight.Detection == nil && !e.Disabled:
		warn("Keepalive does not limit the time that data is in flight on %s. Only a user timeout does.", x.System)
	}
}

// notes returns what else e does.
func (x *Explanation) notes(e keepalive.Options) []string {
	n := []string{}
	if hasUserTimeout(e) && x.System == "linux" {
		n = append(n,
			"The user timeout also limits connect, if it is set before.",
			fmt.Sprintf("It also drops a peer that answers, but whose receive window is closed for %s, because its program does not read.", text.Duration(e.UserTimeout)))
	}
	if x.dependsOnDefaults() {
		n = append(n, "A program that sets its own values has those instead of the system's defaults.")
	}
	return n
}

// dependsOnDefaults reports whether a default matters. No system has one for the user timeout.
func (x *Explanation) dependsOnDefaults() bool {
	return slices.ContainsFunc(x.Settings.Defaults, func(key string) bool { return key != "user-timeout" })
}

// fittingUserTimeout returns the user timeout with which an idle connection keeps the detection
// time d.
func fittingUserTimeout(e keepalive.Options, d time.Duration) time.Duration { return d - margin(e, d) }

// margin is the time between a good user timeout and the next time at which a probe is due, as in
// keepalive.DetectWithin. It is a second for a long time d, of which text.Duration shows no less.
func margin(e keepalive.Options, d time.Duration) time.Duration {
	shown := time.Second / 2
	if d >= 10*time.Minute {
		shown = time.Second
	}
	return min(shown, e.Interval/2)
}

// UserTimeoutReplacesCount reports whether a user timeout of 7s makes a detection time of 7s out
// of one of 4s.
func (h Host) UserTimeoutReplacesCount() bool {
	const s = time.Second
	return h.Detect(keepalive.Options{Idle: s, Interval: s, Count: 3, UserTimeout: 7 * s}) == 7*s
}
