package heartbeat

import (
	"errors"
	"fmt"
	"time"
)

// Config is when to ask a peer, and when to give it up. There are no defaults:
// zero for Interval or Timeout is an error.
type Config struct {
	// Interval is how long the peer may be silent before it is pinged, and the
	// time between two pings into silence.
	Interval time.Duration

	// Timeout is the silence that is death. It must be more than Interval; the
	// difference is the time that the peer has to answer.
	Timeout time.Duration

	// Jitter, from 0 to 1, is the part of Interval that is taken off each wait at
	// most, at random, so that many peers do not beat in step. Nothing is ever
	// added to a wait.
	Jitter float64

	// OneWay is for protocols without answers, in which each side announces
	// itself, such as AMQP and STOMP: a ping goes out after Interval without a
	// byte sent to the peer, whatever comes from it. Only a [Monitor] takes it.
	OneWay bool
}

// Validate returns an error that names the field, its value and what would be
// right, if there is something wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("heartbeat: Interval %v: want more than 0", c.Interval)
	case c.Timeout <= c.Interval:
		return fmt.Errorf("heartbeat: Timeout %v: want more than Interval, %v", c.Timeout, c.Interval)
	case !(c.Jitter >= 0 && c.Jitter <= 1): // not a number, either
		return fmt.Errorf("heartbeat: Jitter %v: want 0 to 1", c.Jitter)
	}
	return nil
}

// validateAsking is Validate, where pings are questions.
func (c Config) validateAsking() error {
	if c.OneWay {
		return errors.New("heartbeat: OneWay: want a Monitor; here a ping is a question, and the answer is life")
	}
	return c.Validate()
}

// DeadError is the verdict on a peer. It is not a timeout in the sense of
// [net.Error]: there is no point in trying again.
type DeadError struct {
	// Silence is the time since the last byte from the peer: Timeout at least,
	// and more when the verdict had to wait, as after a sleep.
	Silence time.Duration

	// Unanswered is how many pings have begun since that byte; one that is stuck
	// counts once. With OneWay none asks for an answer, and it is how often this
	// side announced itself.
	Unanswered int

	// Err is what the last ping returned, if it failed.
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

// PeerDead tells keepalive.Diagnose what this error means.
func (e *DeadError) PeerDead() bool { return true }
