package compat

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notes:
// - An idle client has no reader, so the next command returns ETIMEDOUT.

func init() {
	register(library{
		name:   "net/smtp",
		module: "std",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: smtpClient},
		},
	})
}

func smtpClient(r *run) session {
	r.setServer(r.once("smtp", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) {
			fmt.Fprint(conn, "220 test\r\n")
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				fmt.Fprint(conn, "250 OK\r\n")
			}
		})
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	conn, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	host, _, _ := strings.Cut(addr, ":")
	client, err := smtp.NewClient(conn, host)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { client.Close() })
	return session{use: func(context.Context) error { return client.Noop() }}
}
