package compat

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// notes:
// - rueidis sends a PING after each second without traffic (`pipe.go:764`). The time is
//   ClientOption.Dialer.KeepAlive, also with DialCtxFn, which otherwise decides about keepalive.
// - ConnWriteTimeout is ten times as long, so 10s by default, and comes first if the detection time is
//   longer.

func init() {
	register(library{
		name:   "rueidis",
		module: "github.com/redis/rueidis",
		area:   "Databases",
		cases:  []libraryCase{{client: rueidisClient}},
	})
}

func rueidisClient(r *run) session {
	r.start(redisServer)
	addr, dial := r.addr, r.dial
	// recipe: Client
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr},
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dial(ctx, "tcp", addr)
		},
	})
	// end recipe
	require.NoError(r, err)
	r.Cleanup(client.Close)
	return session{use: func(ctx context.Context) error { return client.Do(ctx, client.B().Ping().Build()).Error() }}
}
