package heartbeat

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Run pings a peer until ctx is done, and then returns [context.Cause] of it,
// or until the peer is dead, and then returns a [*DeadError]. It is for pings
// that wait for their answer, such as those of a WebSocket or a database.
//
// A ping that returns nil is life. The next one begins cfg.Interval later. One
// that fails is an unanswered one, and tried again after an Interval; the
// verdict comes after cfg.Timeout without success, and holds the last error. An
// error that is [net.ErrClosed] or [io.EOF] says that the connection is over:
// Run returns it at once.
//
// There is one ping at a time. Its context ends when Run returns; neither that
// nor the verdict waits for a ping that does not heed it, but its goroutine
// stays until ping returns.
//
// Settings that make no sense are an error before the first ping; see
// [Config.Validate]. So is cfg.OneWay.
func Run(ctx context.Context, cfg Config, ping func(context.Context) error) error {
	if err := cfg.validateAsking(); err != nil {
		return err
	}
	if ping == nil {
		return errors.New("heartbeat: ping is nil")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pings, cancel := context.WithCancel(ctx)
	defer cancel()
	return run(pings, cfg, ping)
}

func run(ctx context.Context, cfg Config, call func(context.Context) error) error {
	t, ahead := clock()
	b := newBeat(cfg, t, ahead)
	heard := t
	var last error
	answer := make(chan error, 1) // nobody may be there to take it
	busy := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, ahead := clock()
		switch b.step(t, ahead, heard, 0, busy) {
		case dead:
			if len(answer) == 0 { // else it came just in time
				return b.verdict(t, last)
			}
		case ping:
			busy = true
			go func() { answer <- call(ctx) }()
		}
		timer.Reset(time.Duration(b.wake - t))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		case err := <-answer:
			busy = false
			switch {
			case ctx.Err() != nil: // and err may be no more than a consequence
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
