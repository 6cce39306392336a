package idletimeout

import "time"

// outage notices that the network is down. Unanswered probes then mean nothing.
type outage struct {
	known   bool          // the control connection has answered
	rtt     time.Duration // of the control connection
	heard   time.Duration // when it answered last
	until   time.Duration // until when the network was down the last time, or 0
	long    time.Duration // until when it was down for a long time, or 0
	counted bool          // the outage that goes on
	count   int           // long outages. Short ones can also be lost packets
}

// silence returns how long the control connection can be silent without an outage. It
// answers a probe every second, one of which can be lost. The kernel's timers can be late by
// an eighth.
func (o *outage) silence() time.Duration { return 2300*time.Millisecond + 2*o.rtt }

func (o *outage) down(now time.Duration) bool { return o.known && now-o.heard > o.silence() }

func (o *outage) look(now time.Duration) {
	if o.down(now) {
		o.until = now
	}
	if o.known && now-o.heard > longOutage+2*o.rtt {
		o.long = now
		if !o.counted {
			o.counted = true
			o.count++
		}
	}
}

const longOutage = 5 * time.Second

// hear is called when the control connection was opened, has answered, or was closed by the
// server.
func (o *outage) hear(now time.Duration) {
	o.look(now)
	o.known, o.counted, o.heard = true, false, max(o.heard, now)
}

// since reports whether the network was down at some time since then.
func (o *outage) since(then time.Duration) bool { return o.until > 0 && o.until >= then }
