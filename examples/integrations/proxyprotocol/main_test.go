package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
)

func TestInside(t *testing.T) {
	t.Parallel()
	live.Need(t)
	ln, err := listen(t.Context(), "127.0.0.1:0", live.Options)
	require.NoError(t, err)
	defer ln.Close()
	live.CheckListened(t, accept(t, ln))
}

func TestAround(t *testing.T) {
	t.Parallel()
	live.Need(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer plain.Close()
	live.Check(t, accept(t, around(plain, live.Options)))
}

// TestBelow is the other order: keepalive.Listener first, PROXY protocol next.
func TestBelow(t *testing.T) {
	t.Parallel()
	live.Need(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer plain.Close()
	ln := keepalive.Listener{Listener: plain, Options: live.Options}
	live.Check(t, accept(t, &proxyproto.Listener{Listener: ln}))
}

// TestSilentProxy holds that keepalive does not wait for the proxy's header:
// one that sends none must not keep others from being accepted.
func TestSilentProxy(t *testing.T) {
	t.Parallel()
	live.Need(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer plain.Close()
	ln := around(plain, live.Options)
	silent, err := net.Dial("tcp", plain.Addr().String())
	require.NoError(t, err)
	defer silent.Close()

	start := time.Now()
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()
	live.Check(t, conn)
	assert.Less(t, time.Since(start), proxyproto.DefaultReadHeaderTimeout)
}

// accept returns the server's side of a connection that a proxy has announced.
func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	proxy, err := dialAs(t.Context(), ln.Addr(), visitor)
	require.NoError(t, err)
	t.Cleanup(func() { proxy.Close() })
	conn, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	assert.Equal(t, visitor.String(), conn.RemoteAddr().String())
	return conn
}

func TestRun(t *testing.T) {
	t.Parallel()
	live.Need(t)
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, opts))
	assert.Regexp(t, `(?i)^192\.0\.2\.1:1234: .*idle.?45s.*\n$`, out.String())
}
