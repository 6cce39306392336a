package heartbeat_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	ok := heartbeat.Config{Interval: time.Second, Timeout: 2 * time.Second, Jitter: 0.5}
	require.NoError(t, ok.Validate())
	for want, break_ := range map[string]func(*heartbeat.Config){
		"Interval 0s: must be positive":                  func(c *heartbeat.Config) { c.Interval = 0 },
		"Interval -1s: must be positive":                 func(c *heartbeat.Config) { c.Interval = -time.Second },
		"Timeout 1s: must be greater than Interval, 1s":  func(c *heartbeat.Config) { c.Timeout = time.Second },
		"Timeout 0s: must be greater than Interval, 1s":  func(c *heartbeat.Config) { c.Timeout = 0 },
		"Timeout -2s: must be greater than Interval, 1s": func(c *heartbeat.Config) { c.Timeout = -2 * time.Second },
		"Jitter -0.1: must be between 0 and 1":           func(c *heartbeat.Config) { c.Jitter = -0.1 },
		"Jitter 1.1: must be between 0 and 1":            func(c *heartbeat.Config) { c.Jitter = 1.1 },
		"Jitter NaN: must be between 0 and 1":            func(c *heartbeat.Config) { c.Jitter = math.NaN() },
	} {
		c := ok
		break_(&c)
		assert.EqualError(t, c.Validate(), "heartbeat: "+want)
		_, err := new(heartbeat.Monitor).Add(c, func() error { return nil }, func(*heartbeat.DeadError) {})
		assert.EqualError(t, err, "heartbeat: "+want)
		assert.EqualError(t, heartbeat.Run(t.Context(), c, nil), "heartbeat: "+want)
	}
}

func TestDeadError(t *testing.T) {
	t.Parallel()
	cause := errors.New("broken pipe")
	var err error = &heartbeat.DeadError{Silence: 30*time.Second + 1, Unanswered: 2, Err: cause}
	assert.EqualError(t, err, "heartbeat: the peer is dead: silent for 30s, 2 pings unanswered: broken pipe")
	assert.ErrorIs(t, err, cause)
	assert.EqualError(t, &heartbeat.DeadError{Silence: time.Minute, Unanswered: 1}, "heartbeat: the peer is dead: silent for 1m0s, 1 ping unanswered")
	assert.True(t, err.(interface{ PeerDead() bool }).PeerDead())
	_, is := err.(interface{ Timeout() bool })
	assert.False(t, is, "code that retries on Timeout would spin")
}
