package compat

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// notes:
// - The client sends Get again after the error, 100 times, and each attempt waits for a connection. There
//   was no error in 115s (measured once). With MaxUnaryRetries 1, or with a deadline in the context, Get
//   returns. Put returns after the first error.
// - A Watch retries for ever and without an error, also with WithRequireLeader.
// - The error is a gRPC status, which only contains the text of the original. KeepError's function has the
//   original.
// - With DialKeepAliveTime, gRPC sets a user timeout of DialKeepAliveTimeout, or 20s. Set
//   DialKeepAliveTimeout to opts.UserTimeout.
// - The listeners of an etcd server, and `transport.NewKeepAliveListener`, set keepalive to 30s
//   (`client/pkg/v3/transport/keepalive_listener.go:68`).

func init() {
	register(library{
		name:   "etcd client",
		module: "go.etcd.io/etcd/client/v3",
		area:   "Databases",
		cases: []libraryCase{
			{name: "Get", client: func(r *run) session {
				return etcdGet(r, func(*clientv3.Config) {})
			}},
			{name: "Get, MaxUnaryRetries 1", client: func(r *run) session {
				return etcdGet(r, func(cfg *clientv3.Config) { cfg.MaxUnaryRetries = 1 })
			}},
			{name: "Get, MaxUnaryRetries 1, DialKeepAliveTime", client: func(r *run) session {
				return etcdGet(r, func(cfg *clientv3.Config) { cfg.MaxUnaryRetries, cfg.DialKeepAliveTime = 1, time.Minute })
			}},
			{name: "Put", client: func(r *run) session {
				client := etcdClient(r, func(*clientv3.Config) {})
				return session{use: func(ctx context.Context) error {
					_, err := client.Put(ctx, "key", "value")
					return err
				}}
			}},
			{name: "Watch", client: etcdWatch},
		},
	})
}

func etcdGet(r *run, change func(*clientv3.Config)) session {
	client := etcdClient(r, change)
	return session{use: func(ctx context.Context) error {
		_, err := client.Get(ctx, "key")
		return err
	}}
}

func etcdClient(r *run, change func(*clientv3.Config)) *clientv3.Client {
	r.start(etcdServer)
	addr, dial := r.addr, r.dial
	// recipe: Client
	dialer := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return dial(ctx, "tcp", addr)
	})
	cfg := clientv3.Config{Endpoints: []string{addr}, DialOptions: []grpc.DialOption{dialer}} // for clientv3.New
	// end recipe
	change(&cfg)
	client, err := clientv3.New(cfg)
	require.NoError(r, err)
	r.Cleanup(func() { client.Close() })
	return client
}

func etcdWatch(r *run) session {
	client := etcdClient(r, func(*clientv3.Config) {})
	ctx, key := r.Context(), r.addr // no other run uses it
	watch := client.Watch(clientv3.WithRequireLeader(ctx), key)
	// next waits for an event, or for the error that ends the watch.
	next := func(ctx context.Context) error {
		for {
			select {
			case response, ok := <-watch:
				if !ok {
					return errors.New("the channel is closed")
				}
				if response.Err() != nil || len(response.Events) > 0 {
					return response.Err()
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	value := 0
	return session{use: func(ctx context.Context) error {
		value++
		if _, err := client.Put(ctx, key, strconv.Itoa(value)); err != nil {
			return err
		}
		return next(ctx)
	}, wait: next}
}
