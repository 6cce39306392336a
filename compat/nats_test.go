package compat

import (
	"context"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// notes:
// - Flush returns "nats: connection closed" in place of the error. DisconnectErrHandler gets the
//   error. With NoReconnect its error is nil (`nats.go:3785`), so call LastError.
// - Without TCP keepalive, the client detects a dead server with its own PINGs after 4 to 6 minutes
//   (PingInterval 2 minutes, MaxPingsOutstanding 2). Publish returns no error meanwhile.

func init() {
	register(library{
		name:   "nats.go",
		module: "github.com/nats-io/nats.go",
		area:   "Messaging",
		cases: []libraryCase{
			{client: func(r *run) session { return natsClient(r) }},
			{name: "NoReconnect", client: func(r *run) session { return natsClient(r, nats.NoReconnect()) }},
		},
	})
}

// recipe: Dialer
// natsDialer is a nats.CustomDialer.
type natsDialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d natsDialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

// end recipe

func natsClient(r *run, options ...nats.Option) session {
	r.start(natsServer)
	ended := make(chan error, 10)
	url, dial := "nats://"+r.addr, r.dial
	options = append(options, nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0))
	// recipe: Connection
	options = append(options, nats.SetCustomDialer(natsDialer(dial)))
	options = append(options, nats.DisconnectErrHandler(func(conn *nats.Conn, err error) {
		if err == nil { // with NoReconnect
			err = conn.LastError()
		}
		ended <- err
	}))
	conn, err := nats.Connect(url, options...)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(conn.Close)
	return session{
		use: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour) // it must have a deadline
			defer cancel()
			return conn.FlushWithContext(ctx)
		},
		wait: func(ctx context.Context) error { return waitFor(ctx, ended) },
	}
}
