package compat

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// notes:
// - gRPC never wraps the error. The status contains only its text
//   (`internal/transport/http2_client.go:1784`), and `Diagnose` returns unknown. KeepError's function
//   has the error.
// - With `ClientParameters`, a client sets the user timeout to their Timeout, which is 20s if it is 0
//   (`internal/transport/http2_client.go:287`). A server always does that
//   (`internal/transport/http2_server.go:245`). So pass `opts.UserTimeout`.
// - gRPC does that only for a `*net.TCPConn` (`internal/syscall/syscall_linux.go:72`). A connection
//   in KeepError keeps its options.

func init() {
	register(library{
		name:   "gRPC",
		module: "google.golang.org/grpc",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: func(r *run) session { return grpcClient(r) }},
			{name: "client with ClientParameters", client: func(r *run) session {
				return grpcClient(r, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second}))
			}},
			{name: "client with ClientParameters.Timeout", client: func(r *run) session {
				// recipe: Client with its own keepalive, in addition
				params := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: opts.UserTimeout})
				// end recipe
				return grpcClient(r, params)
			}},
			{name: "server", server: func(r *run) { grpcServer(r) }},
			{name: "server with ServerParameters.Timeout", server: func(r *run) {
				// recipe: Server
				params := grpc.KeepaliveParams(keepalive.ServerParameters{Timeout: opts.UserTimeout})
				// end recipe
				grpcServer(r, params)
			}},
		},
	})
}

func grpcClient(r *run, more ...grpc.DialOption) session {
	r.setServer(r.once("grpc", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := grpc.NewServer()
		healthpb.RegisterHealthServer(s, health.NewServer())
		go s.Serve(ln)
		t.Cleanup(s.Stop)
		return ln.Addr().String()
	}))
	dial := r.dial
	// recipe: Client
	dialer := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return dial(ctx, "tcp", addr)
	}) // for grpc.NewClient
	// end recipe
	conn, err := grpc.NewClient("passthrough:///"+r.addr, append(more, dialer, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	client := healthpb.NewHealthClient(conn)
	stream, err := client.Watch(r.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(r, err)
	_, err = stream.Recv()
	require.NoError(r, err)
	return session{
		use: func(ctx context.Context) error {
			_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
		wait: func(context.Context) error {
			_, err := stream.Recv()
			return err
		},
	}
}

// healthServer waits for the end of the stream, or sends.
type healthServer struct {
	healthpb.UnimplementedHealthServer
	r *run
}

func (s healthServer) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := stream.Send(&healthpb.HealthCheckResponse{}); err != nil {
		return err
	}
	if !s.r.busy {
		<-stream.Context().Done()
		s.r.report(context.Cause(stream.Context()))
		return nil
	}
	for {
		if err := stream.Send(&healthpb.HealthCheckResponse{}); err != nil {
			s.r.report(err)
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func grpcServer(r *run, more ...grpc.ServerOption) {
	srv := grpc.NewServer(more...)
	healthpb.RegisterHealthServer(srv, healthServer{r: r})
	ln := r.listen()
	go srv.Serve(ln)
	r.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return r.dialPlain(ctx, "tcp", addr) }))
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	stream, err := healthpb.NewHealthClient(conn).Watch(r.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(r, err)
	_, err = stream.Recv()
	require.NoError(r, err)
}
