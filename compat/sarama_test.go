package compat

import (
	"context"
	"net"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// notes:
// - sarama accepts a dialer only as a proxy. A `*net.Dialer` is one. Config.Net.KeepAlive is ignored then.
// - Each operation has several attempts, and each attempt dials. SendMessage fails after 29s and
//   GetOffset after 16s (measured once). Config.Producer.Retry and Config.Metadata.Retry limit that.
// - A Consumer passes the error to the channel Errors, if Config.Consumer.Return.Errors is set.

func init() {
	register(library{
		name:   "sarama",
		module: "github.com/IBM/sarama",
		area:   "Messaging",
		cases: []libraryCase{
			{name: "SyncProducer", client: func(r *run) session { return saramaProducer(r, saramaConfig(r)) }},
			{name: "SyncProducer, no retries", client: func(r *run) session {
				cfg := saramaConfig(r)
				saramaNoRetries(cfg)
				return saramaProducer(r, cfg)
			}},
			{name: "Client", client: saramaClient},
			{name: "Consumer", client: saramaConsumer},
		},
	})
}

func saramaConfig(r *run) *sarama.Config {
	startKafka(r)
	dial := r.dial
	// recipe: Configuration
	cfg := sarama.NewConfig()
	cfg.Net.Proxy.Enable = true
	cfg.Net.Proxy.Dialer = saramaDialer(dial) // or keepalive.Dialer(nil, opts), without KeepError
	// end recipe
	if !r.keep {
		cfg.Net.Proxy.Dialer = r.dialer()
	}
	return cfg
}

// recipe: Dialer
// saramaDialer is a proxy.Dialer of x/net.
type saramaDialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d saramaDialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

// end recipe

func saramaNoRetries(cfg *sarama.Config) {
	// recipe: No retries
	cfg.Producer.Retry.Max = 0
	cfg.Metadata.Retry.Max = 0
	// end recipe
}

func saramaProducer(r *run, cfg *sarama.Config) session {
	cfg.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{r.addr}, cfg)
	require.NoError(r, err)
	r.Cleanup(func() { producer.Close() })
	return session{use: func(context.Context) error {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "topic", Value: sarama.StringEncoder("message")})
		return err
	}}
}

func saramaClient(r *run) session {
	cfg := saramaConfig(r)
	client, err := sarama.NewClient([]string{r.addr}, cfg)
	require.NoError(r, err)
	r.Cleanup(func() { client.Close() })
	return session{use: func(context.Context) error {
		_, err := client.GetOffset("topic", 0, sarama.OffsetNewest)
		return err
	}}
}

func saramaConsumer(r *run) session {
	cfg := saramaConfig(r)
	cfg.Consumer.Return.Errors = true
	produce(r)
	consumer, err := sarama.NewConsumer([]string{r.addr}, cfg)
	require.NoError(r, err)
	r.Cleanup(func() { consumer.Close() })
	partition, err := consumer.ConsumePartition("topic", 0, sarama.OffsetOldest)
	require.NoError(r, err)
	r.Cleanup(partition.AsyncClose)
	wait := func(ctx context.Context) error {
		select {
		case <-partition.Messages():
			return nil
		case err := <-partition.Errors():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return session{use: wait, wait: wait}
}
