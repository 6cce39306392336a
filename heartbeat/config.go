package heartbeat

import (
	"fmt"
	"time"
)

// Config has the times of a heartbeat. There are no defaults: Interval and Timeout
// must be set.
type Config struct {
	// Interval is the time of silence after which the peer is pinged, and the time
	// between two pings while the silence lasts. It must be greater than 0, and at least
	// 1ms for a [Conn].
	Interval time.Duration

	// Timeout is the time of silence after which the peer is reported dead. It must be
	// greater than Interval. The difference is the time that the peer has to answer a
	// ping. A [Conn] raises it to Interval+250ms if it is less.
	Timeout time.Duration

	// Jitter makes each wait for a ping shorter by a random amount of up to
	// Jitter*Interval, so that many peers are not pinged at the same time. It must be
	// between 0 and 1. For example, with Interval 10s and Jitter 0.2, a ping is sent
	// after 8s to 10s of silence.
	Jitter float64
}

// Validate returns an error unless Interval is greater than 0, Timeout is greater than
// Interval, and Jitter is between 0 and 1.
func (c Config) Validate() error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("heartbeat: Interval %v: must be positive", c.Interval)
	case c.Timeout <= c.Interval:
		return fmt.Errorf("heartbeat: Timeout %v: must be greater than Interval, %v", c.Timeout, c.Interval)
	case !(c.Jitter >= 0 && c.Jitter <= 1): // also NaN
		return fmt.Errorf("heartbeat: Jitter %v: must be between 0 and 1", c.Jitter)
	}
	return nil
}

// DeadError reports a dead peer. It is not a timeout as defined by [net.Error],
// because it makes no sense to try again.
type DeadError struct {
	// Silence is the time since the last byte from the peer. It is at least Timeout.
	// It is longer if the peer was given more time, for example after a pause of this
	// process.
	Silence time.Duration

	// Unanswered is the number of pings since that byte. A ping that cannot be sent,
	// because the peer does not read, counts once.
	Unanswered int

	// Err is the error of the last ping, or nil.
	Err error
}

func (e *DeadError) Error() string {
	s := "s"
	if e.Unanswered == 1 {
		s = ""
	}
	text := fmt.Sprintf("heartbeat: the peer is dead: silent for %v, %d ping%s unanswered", e.Silence.Round(time.Millisecond), e.Unanswered, s)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *DeadError) Unwrap() error { return e.Err }

// PeerDead makes keepalive.Diagnose return Dead for this error.
func (e *DeadError) PeerDead() bool { return true }
