// Command grpc runs a gRPC server and checks its health with a client.
//
//	go run ./grpc
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpckeepalive "google.golang.org/grpc/keepalive"

	"github.com/go-keepalive/keepalive"
)

var opts = keepalive.Options{
	Idle:        45 * time.Second,
	Interval:    5 * time.Second,
	Count:       3,
	UserTimeout: time.Minute,
}

func main() {
	flag.TextVar(&opts, "keepalive", opts, "keepalive `options`, for example idle=45s,interval=5s,count=3,user-timeout=1m, or detect-within=1m, or off")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, opts); err != nil {
		log.Fatal(err)
	}
}

// newServer passes the user timeout to gRPC as well. On Linux, a gRPC server sets
// the user timeout of every connection that it accepts, 20s by default.
func newServer(ctx context.Context, addr string, opts keepalive.Options) (*grpc.Server, net.Listener, error) {
	// recipe: grpc-server
	srv := grpc.NewServer(grpc.KeepaliveParams(grpckeepalive.ServerParameters{Timeout: opts.UserTimeout}))
	ln, err := keepalive.ListenConfig(nil, opts).Listen(ctx, "tcp", addr) // then srv.Serve(ln)
	// end recipe
	return srv, ln, err
}

// newClient is for host:port. With a dialer, gRPC does not use a proxy. With
// grpc.WithKeepaliveParams, a client also sets a user timeout, so set the same Timeout
// as above.
func newClient(target string, creds credentials.TransportCredentials, opts keepalive.Options) (*grpc.ClientConn, error) {
	// recipe: grpc-client
	d := keepalive.Dialer(nil, opts)
	dial := func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	return grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithContextDialer(dial))
	// end recipe
}

func run(ctx context.Context, w io.Writer, opts keepalive.Options) error {
	srv, ln, err := newServer(ctx, "127.0.0.1:0", opts)
	if err != nil {
		return err
	}
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	client, err := newClient(ln.Addr().String(), insecure.NewCredentials(), opts)
	if err != nil {
		srv.Stop()
		return err
	}
	answer, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		client.Close()
		srv.Stop()
		return err
	}
	fmt.Fprintln(w, answer.Status)
	if err := client.Close(); err != nil {
		return err
	}
	srv.GracefulStop()
	return <-served
}
