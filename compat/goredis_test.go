package compat

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// notes:
// - A command reads again after the error (`push/processor.go:114`), and returns the `io.EOF` that
//   follows. With KeepError it returns the error.
// - By default, a command to a dead server fails after 50s (measured once with these options):
//   four attempts, and five dials in each. ReadTimeout is 3s, and comes first if the detection time
//   is longer. Set the options below, or give the context a deadline and set ContextTimeoutEnabled.
// - PubSub.Receive connects again before it returns the error, so it waits for the dial, too. A later
//   call uses the new connection.
// - go-redis tests an idle connection before a command. This test gets the error before KeepError does,
//   so KeepError's function is not called.

func init() {
	register(library{
		name:   "go-redis",
		module: "github.com/redis/go-redis/v9",
		area:   "Databases",
		cases: []libraryCase{
			{client: func(r *run) session { return redisClient(r, func(*redis.Options) {}) }},
			{name: "no timeout, no retries", client: func(r *run) session { return redisClient(r, redisNoRetries) }},
			{name: "PubSub.Receive", client: redisSubscriber},
		},
	})
}

func redisOpen(r *run, change func(*redis.Options)) *redis.Client {
	r.start(redisServer)
	addr, dial := r.addr, r.dial
	// recipe: Client
	o := &redis.Options{
		Addr:   addr,
		Dialer: dial, // with a Dialer, TLSConfig is ignored: for TLS, use tls.Dialer.DialContext
	}
	// end recipe
	change(o)
	client := redis.NewClient(o)
	r.Cleanup(func() { client.Close() })
	return client
}

func redisNoRetries(o *redis.Options) {
	// recipe: Without the timeouts and retries of the library
	o.ReadTimeout = -1
	o.MaxRetries = -1
	o.DialerRetries = 1
	// end recipe
}

func redisClient(r *run, change func(*redis.Options)) session {
	client := redisOpen(r, change)
	return session{use: func(ctx context.Context) error { return client.Ping(ctx).Err() }}
}

func redisSubscriber(r *run) session {
	client := redisOpen(r, redisNoRetries)
	channel := r.addr // no other run uses it
	sub := client.Subscribe(r.Context(), channel)
	r.Cleanup(func() { sub.Close() })
	_, err := sub.Receive(r.Context())
	require.NoError(r, err)
	return session{
		use: func(ctx context.Context) error {
			if err := client.Publish(ctx, channel, "message").Err(); err != nil {
				return err
			}
			_, err := sub.Receive(ctx)
			return err
		},
		wait: func(ctx context.Context) error {
			_, err := sub.Receive(ctx)
			return err
		},
	}
}
