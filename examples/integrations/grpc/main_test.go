package main

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
)

func TestBothSides(t *testing.T) {
	t.Parallel()
	live.Need(t)
	srv, ln, err := newServer(t.Context(), "127.0.0.1:0", live.Options)
	require.NoError(t, err)
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	watched := live.Watch(ln)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(watched) }()
	defer func() {
		srv.Stop()
		assert.NoError(t, <-served)
	}()

	dialed := make(chan net.Conn, 1)
	client, err := newClient(ln.Addr().String(), watchCreds{insecure.NewCredentials(), dialed}, live.Options)
	require.NoError(t, err)
	defer client.Close()

	// gRPC has done all that it does to the connection when an answer comes.
	answer, err := grpc_health_v1.NewHealthClient(client).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.Status)
	live.Check(t, live.Next(t, dialed))
	live.CheckListened(t, live.Next(t, watched.Accepted))
}

// watchCreds hands out the connections that a client shakes hands on.
type watchCreds struct {
	credentials.TransportCredentials
	dialed chan net.Conn
}

func (c watchCreds) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c.dialed <- conn
	return c.TransportCredentials.ClientHandshake(ctx, authority, conn)
}

func (c watchCreds) Clone() credentials.TransportCredentials {
	return watchCreds{c.TransportCredentials.Clone(), c.dialed}
}

func TestRun(t *testing.T) {
	t.Parallel()
	live.Need(t)
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, opts))
	assert.Equal(t, "SERVING\n", out.String())
}
