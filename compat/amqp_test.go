package compat

import (
	"context"
	"net"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// notes:
// - The error of all calls and of NotifyClose is an `*amqp.Error` that only contains the text of the
//   original (`connection.go:1029`). KeepError's function has the original.
// - The heartbeat is 10s by default, and its deadline of 30s comes first if the detection time is longer.
// - With a Dial function, the handshake has no deadline. Set one in the function, as `amqp.DefaultDial`
//   does. The library removes it.
// - The connection stays closed. The program has to dial again.

func init() {
	register(library{
		name:   "amqp091-go",
		module: "github.com/rabbitmq/amqp091-go",
		area:   "Messaging",
		cases:  []libraryCase{{client: amqpClient}},
	})
}

func amqpClient(r *run) session {
	r.start(rabbitServer)
	url, dial := "amqp://guest:guest@"+r.addr+"/", r.dial
	// recipe: Connection
	conn, err := amqp.DialConfig(url, amqp.Config{
		Dial: func(network, addr string) (net.Conn, error) {
			return dial(context.Background(), network, addr)
		},
	})
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	channel, err := conn.Channel()
	require.NoError(r, err)
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	require.NoError(r, err)
	return session{
		use: func(context.Context) error {
			_, err := channel.QueueDeclarePassive(queue.Name, false, true, true, false, nil)
			return err
		},
		wait: func(ctx context.Context) error {
			select {
			case err := <-closed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}
