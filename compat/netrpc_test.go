package compat

import (
	"context"
	"net"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// notes:
// - All pending calls return ETIMEDOUT.
// - A server has no error: `ServeConn` returns, and writes it to the log. Use KeepError's function.

func init() {
	register(library{
		name:   "net/rpc",
		module: "std",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: rpcClient},
			{name: "server", server: rpcServer},
		},
	})
}

// RPCTest is a service.
type RPCTest struct{}

func (RPCTest) Echo(arg int, reply *int) error { *reply = arg; return nil }
func (RPCTest) Hang(_ int, _ *int) error       { time.Sleep(patience); return nil }

func rpcClient(r *run) session {
	r.setServer(r.once("rpc", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		s := rpc.NewServer()
		require.NoError(t, s.Register(RPCTest{}))
		go acceptLoop(ln, func(conn net.Conn) { s.ServeConn(conn) })
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	conn, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	client := rpc.NewClient(conn)
	// end recipe
	r.Cleanup(func() { client.Close() })
	call := client.Go("RPCTest.Hang", 1, new(int), nil)
	return session{
		use:  func(context.Context) error { return client.Call("RPCTest.Echo", 1, new(int)) },
		wait: func(context.Context) error { return (<-call.Done).Error },
	}
}

func rpcServer(r *run) {
	s := rpc.NewServer()
	require.NoError(r, s.Register(RPCTest{}))
	ln := r.listen()
	go acceptLoop(ln, func(conn net.Conn) {
		r.accepted(conn)
		s.ServeConn(conn)
		r.report(errClosed)
	})
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	client := rpc.NewClient(conn)
	r.Cleanup(func() { client.Close() })
	require.NoError(r, client.Call("RPCTest.Echo", 1, new(int)))
}
