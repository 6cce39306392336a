package heartbeat

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Run pings a peer until the peer is dead or ctx is done. It is for pings that wait
// for their answer, such as those of a WebSocket or a database. Run returns a
// [*DeadError] or [context.Cause] of ctx.
//
// The first ping begins cfg.Interval after the call of Run. If ping returns nil, the
// peer is alive, and the next ping begins cfg.Interval later. If ping returns an
// error, it is called again after cfg.Interval. If no ping has succeeded for
// cfg.Timeout, the peer is dead, and the DeadError has the last error of ping. If
// the error matches [net.ErrClosed] or [io.EOF], the connection has ended, and Run
// returns that error at once.
//
// Only one ping runs at a time. Its context is canceled when Run returns. Run does
// not wait for a ping that ignores its context, but the goroutine that calls ping
// remains until ping returns.
//
// If cfg is invalid or ping is nil, Run returns an error before the first ping. See
// [Config.Validate].
func Run(ctx context.Context, cfg Config, ping func(context.Context) error) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if ping == nil {
		return errors.New("heartbeat: Run: ping is nil")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pings, cancel := context.WithCancel(ctx)
	defer cancel()
	return run(pings, cfg, ping)
}

func run(ctx context.Context, cfg Config, ping func(context.Context) error) error {
	t, wallOffset := clock()
	b := newBeat(cfg, false, t, wallOffset)
	heard := t
	var last error
	answer := make(chan error, 1) // nobody receives after run has returned
	busy := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wallOffset := clock()
		switch b.step(t, wallOffset, heard, 0, busy) {
		case actionDead:
			if len(answer) == 0 { // otherwise it was in time
				return b.deadError(t, last)
			}
		case actionPing:
			busy = true
			go func() { answer <- ping(ctx) }()
		}
		timer.Reset(time.Duration(b.wake - t))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		case err := <-answer:
			busy = false
			switch {
			case ctx.Err() != nil: // which may be the reason for err
				return context.Cause(ctx)
			case err == nil:
				heard, last = now(), nil
			case errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF):
				return err
			default:
				last = err
			}
		}
	}
}
