package compat

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// notes:
// - A `*net.Dialer` is no `pq.Dialer`, because it lacks DialTimeout. Without the method
//   DialContext, the context of the caller does not limit a dial.
// - lib/pq removes a connection from the pool only if the error has the type `*net.OpError`, without
//   errors.As (`error.go:296`). The errors of KeepError have it. Those of another wrapper may not. Then
//   every later query on this connection fails.
// - A Listener detects a dead server only with keepalive or with its method Ping. It calls its function
//   with ListenerEventDisconnected and the error, and connects again.

func init() {
	register(library{
		name:   "lib/pq",
		module: "github.com/lib/pq",
		area:   "Databases",
		cases: []libraryCase{
			{name: "database/sql", client: pqClient},
			{name: "Listener", client: pqListener},
		},
	})
}

// recipe: Dialer
// pqDialer is a pq.Dialer and a pq.DialerContext. A *net.Dialer lacks DialTimeout.
type pqDialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d pqDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

func (d pqDialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

func (d pqDialer) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d(ctx, network, addr)
}

// end recipe

func pqClient(r *run) session {
	url, dial := postgresURL(r), r.dial
	// recipe: database/sql
	connector, err := pq.NewConnector(url)
	if err == nil {
		connector.Dialer(pqDialer(dial))
	}
	// end recipe
	require.NoError(r, err)
	return sqlSession(r, sql.OpenDB(connector))
}

func pqListener(r *run) session {
	ended := make(chan error, 10)
	url, dial := postgresURL(r), r.dial
	onEvent := func(event pq.ListenerEventType, err error) {
		if event == pq.ListenerEventDisconnected {
			ended <- err
		}
	}
	// recipe: Listener
	l := pq.NewDialListener(pqDialer(dial), url, 100*time.Millisecond, time.Minute, onEvent)
	// end recipe
	r.Cleanup(func() { l.Close() })
	require.NoError(r, l.Listen("news"))
	return session{
		use:  func(context.Context) error { return l.Ping() },
		wait: func(ctx context.Context) error { return waitFor(ctx, ended) },
	}
}

// waitFor returns the next error from c.
func waitFor(ctx context.Context, c <-chan error) error {
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestPQRecovers checks that database/sql removes a connection that failed, also if it was
// wrapped with KeepError.
func TestPQRecovers(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep=", keep), func(u *testing.T) {
			u.Parallel()
			r := newRun(u, t)
			r.keep = keep
			s := pqClient(r)
			require.NoError(u, s.use(u.Context()))
			r.relay.setDead(u)
			require.Error(u, s.use(u.Context()))
			r.relay.restart(u)
			require.NoError(u, s.use(u.Context()))
		})
	}
}
