package compat

import (
	"net"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// startKafka starts a broker that advertises r.addr. It has the topic "topic" with one
// partition.
func startKafka(r *run) {
	listen := func(network, _ string) (net.Listener, error) {
		ln, err := net.Listen(network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		r.setServer(ln.Addr().String())
		return advertisingListener{ln, r.relay.ln.Addr()}, nil
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"), kfake.ListenFn(listen))
	require.NoError(r, err)
	r.Cleanup(cluster.Close)
}

// advertisingListener has the address of another listener.
type advertisingListener struct {
	net.Listener
	addr net.Addr
}

func (l advertisingListener) Addr() net.Addr { return l.addr }
