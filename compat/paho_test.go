package compat

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/stretchr/testify/require"
)

// notes:
// - By default the client reconnects. The token of a Publish is not done until then, so wait for it with
//   WaitTimeout. ConnectionLostHandler gets the error. With AutoReconnect off, the token gets an error,
//   but without the cause (`messageids.go:51`).
// - SetDialer is enough without KeepError: `o.SetDialer(keepalive.Dialer(nil, opts))`.
// - Without TCP keepalive, the client detects a dead server within 45s with its own PINGREQ (KeepAlive
//   30s, PingTimeout 10s).

func init() {
	register(library{
		name:   "paho.mqtt.golang",
		module: "github.com/eclipse/paho.mqtt.golang",
		area:   "Messaging",
		cases: []libraryCase{
			{client: func(r *run) session { return pahoClient(r, true) }},
			{name: "AutoReconnect off", client: func(r *run) session { return pahoClient(r, false) }},
		},
	})
}

func startMochi(t testing.TB) string {
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, s.AddHook(new(auth.AllowHook), nil))
	l := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	require.NoError(t, s.AddListener(l))
	require.NoError(t, s.Serve())
	t.Cleanup(func() { s.Close() })
	return l.Address()
}

func pahoClient(r *run, reconnect bool) session {
	r.setServer(r.once("mochi", startMochi))
	ended := make(chan error, 10)
	addr, dial := r.addr, r.dial
	onLost := func(_ paho.Client, err error) { ended <- err }
	// recipe: Client
	o := paho.NewClientOptions().AddBroker("tcp://" + addr)
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ paho.ClientOptions) (net.Conn, error) {
		return dial(context.Background(), "tcp", u.Host)
	})
	o.SetConnectionLostHandler(onLost)
	// end recipe
	if !r.keep {
		o.CustomOpenConnectionFn = nil
		o.SetDialer(r.dialer())
	}
	o.SetAutoReconnect(reconnect)
	client := paho.NewClient(o)
	wait := func(ctx context.Context, token paho.Token) error {
		select {
		case <-token.Done():
			return token.Error()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	require.NoError(r, wait(r.Context(), client.Connect()))
	r.Cleanup(func() { client.Disconnect(0) })
	return session{
		use:  func(ctx context.Context) error { return wait(ctx, client.Publish("topic", 1, false, "message")) },
		wait: func(ctx context.Context) error { return waitFor(ctx, ended) },
	}
}
