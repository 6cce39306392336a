package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var tenSeconds = heartbeat.Config{Interval: 10 * time.Second, Timeout: 25 * time.Second}

// virtual runs f in virtual time. It fails when f leaves a goroutine behind. It is not
// parallel: it waits for nothing, and would disturb those that do, in real time.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestRunLife(t *testing.T) {
	virtual(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		start := time.Now()
		var pings []time.Duration
		err := heartbeat.Run(ctx, tenSeconds, func(context.Context) error {
			pings = append(pings, time.Since(start))
			if len(pings) == 3 {
				time.AfterFunc(5*time.Second, func() { cancel(why) })
			}
			time.Sleep(time.Second)
			return nil
		})
		assert.Equal(t, why, err)
		assert.Equal(t, []time.Duration{10 * time.Second, 21 * time.Second, 32 * time.Second}, pings, "Interval after each answer")
		assert.Equal(t, 37*time.Second, time.Since(start), "at once")
	})
}

func TestRunDeath(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		failed := errors.New("no answer")
		pings := 0
		var during context.Context
		err := heartbeat.Run(t.Context(), tenSeconds, func(ctx context.Context) error {
			if pings++; pings == 1 {
				return nil
			}
			during = ctx
			assert.NoError(t, ctx.Err())
			return failed
		})
		assert.Equal(t, &heartbeat.DeadError{Silence: 25 * time.Second, Unanswered: 2, Err: failed}, err)
		assert.Equal(t, 35*time.Second, time.Since(start))
		assert.Equal(t, 3, pings, "a failed one is tried again after Interval")
		assert.Error(t, during.Err())
	})
}

// TestRunDeaf: a ping that ignores its context does not delay the return of Run. No other ping
// begins while it runs.
func TestRunDeaf(t *testing.T) {
	virtual(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		start := time.Now()
		var pings atomic.Int32
		deaf := func(context.Context) error { pings.Add(1); <-release; return nil }
		err := heartbeat.Run(t.Context(), tenSeconds, deaf)
		assert.Equal(t, &heartbeat.DeadError{Silence: 25 * time.Second, Unanswered: 1}, err)
		assert.Equal(t, 25*time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		assert.Equal(t, context.DeadlineExceeded, heartbeat.Run(ctx, tenSeconds, deaf))
		assert.Equal(t, 37*time.Second, time.Since(start))
		assert.EqualValues(t, 2, pings.Load())
	})
}

// TestRunContext: a ping that watches its context ends when Run returns.
func TestRunContext(t *testing.T) {
	virtual(t, func(t *testing.T) {
		start := time.Now()
		ended := make(chan time.Duration, 1)
		err := heartbeat.Run(t.Context(), tenSeconds, func(ctx context.Context) error {
			<-ctx.Done()
			ended <- time.Since(start)
			return ctx.Err()
		})
		var dead *heartbeat.DeadError
		require.ErrorAs(t, err, &dead)
		assert.Equal(t, 25*time.Second, <-ended)
	})
}

// TestRunJustInTime: an answer that has arrived at the Timeout counts.
func TestRunJustInTime(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for range 10 {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			assert.Equal(t, context.DeadlineExceeded, heartbeat.Run(ctx, tenSeconds, func(context.Context) error {
				time.Sleep(15*time.Second - 1)
				return nil
			}))
			assert.Equal(t, time.Minute, time.Since(start))
			cancel()
			time.Sleep(time.Minute) // until the ping is over
		}
	})
}

// TestRunOver: Run returns at once if an error means that the connection has ended.
func TestRunOver(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, cause := range []error{net.ErrClosed, io.EOF} {
			start := time.Now()
			over := fmt.Errorf("write: %w", cause)
			assert.Equal(t, over, heartbeat.Run(t.Context(), tenSeconds, func(context.Context) error { return over }))
			assert.Equal(t, 10*time.Second, time.Since(start))
		}
	})
}

// TestRunCanceledFirst: what a ping says because its context is done does not hide
// why that is.
func TestRunCanceledFirst(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for range 50 {
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			assert.Equal(t, why, heartbeat.Run(ctx, tenSeconds, func(context.Context) error {
				cancel(why)
				return net.ErrClosed
			}))
			assert.Equal(t, why, heartbeat.Run(ctx, tenSeconds, func(context.Context) error { return errors.New("not called") }))
		}
	})
}

func TestRunBad(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, heartbeat.Run(t.Context(), tenSeconds, nil), "heartbeat: Run: ping is nil")
}

// TestRunSuspended: after the machine slept, there is a full round before the
// DeadError.
func TestRunSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pings := []time.Duration{}
		err := heartbeat.Run(t.Context(), tenSeconds, func(ctx context.Context) error {
			pings = append(pings, time.Since(start))
			if len(pings) == 2 {
				time.Sleep(time.Second)
				heartbeat.Suspend(t, time.Hour)
			}
			return errors.New("no answer")
		})
		var dead *heartbeat.DeadError
		require.ErrorAs(t, err, &dead)
		// It is noticed 1 s later, when the ping has ended, which is the new round's start.
		assert.Equal(t, []time.Duration{10 * time.Second, 20 * time.Second, 21 * time.Second, 31 * time.Second, 41 * time.Second}, pings)
		assert.Equal(t, 46*time.Second, time.Since(start))
		assert.Equal(t, 5, dead.Unanswered)
	})
}
