package compat

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/proxy"
)

// notes:
// - `proxy.SOCKS5` takes any dialer. The options are those of the connection to the SOCKS server. The
//   proxy's connection to the target has its own.

func init() {
	register(library{
		name:   "x/net/proxy",
		module: "golang.org/x/net",
		area:   "Proxies and listeners",
		cases: []libraryCase{
			{name: "SOCKS5 client", client: socksClient},
		},
	})
}

func socksClient(r *run) session {
	r.setServer(r.once("socks", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, serveSOCKS)
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	forward := dialFunc(dial)
	socks, err := proxy.SOCKS5("tcp", addr, nil, forward)
	require.NoError(r, err)
	conn, err := socks.(proxy.ContextDialer).DialContext(ctx, "tcp", "example.org:80")
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	return echoSession(conn)
}

// recipe: A function as a proxy.Dialer
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

func (f dialFunc) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

// end recipe

// serveSOCKS is a SOCKS5 server (RFC 1928) whose every target sends back what it receives.
func serveSOCKS(conn net.Conn) {
	b := make([]byte, 256)
	if _, err := io.ReadFull(conn, b[:2]); err != nil { // version, number of methods
		return
	}
	io.ReadFull(conn, b[:b[1]])
	conn.Write([]byte{5, 0})           // no authentication
	io.ReadFull(conn, b[:5])           // version, connect, 0, kind of address, length
	io.ReadFull(conn, b[:int(b[4])+2]) // name, port
	conn.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
	io.Copy(conn, conn)
}
