package compat

import (
	"context"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// notes:
// - Without limits, ProduceSync and PollFetches retry for ever. There was no error in 115s (measured
//   once). The client logs it with kgo.WithLogger, and passes it to kgo.HookBrokerRead.
// - With RecordRetries and AllowIdempotentProduceCancellation, ProduceSync returns
//   `kgo.ErrRecordRetries` without the cause. KeepError's function has it.

func init() {
	register(library{
		name:   "franz-go",
		module: "github.com/twmb/franz-go",
		area:   "Messaging",
		cases: []libraryCase{
			{name: "ProduceSync", client: func(r *run) session { return franzProducer(r) }},
			{name: "ProduceSync, no retries", client: func(r *run) session {
				return franzProducer(r, franzNoRetries()...)
			}},
			{name: "PollFetches", client: franzConsumer},
		},
	})
}

func message() *kgo.Record { return kgo.StringRecord("message") }

func franzClient(r *run, options ...kgo.Opt) *kgo.Client {
	startKafka(r)
	addr, dial := r.addr, r.dial
	// recipe: Client
	options = append(options, kgo.SeedBrokers(addr), kgo.Dialer(dial))
	client, err := kgo.NewClient(options...)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(client.Close)
	return client
}

func franzNoRetries() []kgo.Opt {
	// recipe: No retries
	options := []kgo.Opt{kgo.RecordRetries(1), kgo.AllowIdempotentProduceCancellation()}
	// end recipe
	return options
}

func franzProducer(r *run, options ...kgo.Opt) session {
	client := franzClient(r, append(options, kgo.DefaultProduceTopic("topic"))...)
	return session{use: func(ctx context.Context) error { return client.ProduceSync(ctx, message()).FirstErr() }}
}

func franzConsumer(r *run) session {
	client := franzClient(r, kgo.ConsumeTopics("topic"))
	produce(r)
	poll := func(ctx context.Context) error {
		fetches := client.PollFetches(ctx)
		return fetches.Err()
	}
	return session{use: poll, wait: poll}
}

// produce writes a message to the topic, through a connection of its own.
func produce(r *run) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.DefaultProduceTopic("topic"))
	require.NoError(r, err)
	defer client.Close()
	require.NoError(r, client.ProduceSync(r.Context(), message()).FirstErr())
}
