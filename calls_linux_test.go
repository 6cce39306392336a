package keepalive_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tracedEnv makes the test binary carry out one of the roles of TestSystemCalls.
const tracedEnv = "KEEPALIVE_TRACED"

const tracedConns = 50

var netsOwn = net.KeepAliveConfig{Enable: true, Idle: typical.Idle, Interval: typical.Interval, Count: typical.Count}

// TestTraced is the program that TestSystemCalls traces: it accepts and dials
// some connections, one of both without any keepalive.
func TestTraced(t *testing.T) {
	role := os.Getenv(tracedEnv)
	lc, d := &net.ListenConfig{KeepAlive: -1}, &net.Dialer{KeepAlive: -1}
	switch role {
	case "":
		return // run by TestSystemCalls alone
	case "accept net":
		lc.KeepAliveConfig = netsOwn
	case "accept ours":
		lc = keepalive.ListenConfig(nil, typical)
	case "dial net":
		d.KeepAliveConfig = netsOwn
	case "dial ours":
		d = keepalive.Dialer(nil, typical)
	}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	for range tracedConns {
		near, err := d.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		far, err := l.Accept()
		require.NoError(t, err)
		for conn, set := range map[net.Conn]bool{near: strings.HasPrefix(role, "dial"), far: strings.HasPrefix(role, "accept")} {
			got, err := keepalive.Get(conn)
			require.NoError(t, err)
			require.Equal(t, set, got.Idle == typical.Idle && !got.Disabled)
			conn.Close()
		}
	}
	l.Close()
}

// TestSystemCalls counts, with strace, the calls that set keepalive for 50
// connections accepted or dialed.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("not supported here: %v", err)
	}
	count := func(role string) int {
		out := filepath.Join(t.TempDir(), "strace")
		cmd := exec.Command(strace, "-f", "-o", out, "-e", "trace=setsockopt", os.Args[0], "-test.run=^TestTraced$")
		cmd.Env = append(os.Environ(), tracedEnv+"="+role)
		if text, err := cmd.CombinedOutput(); err != nil {
			if line, _, _ := strings.Cut(string(text), "\n"); strings.Contains(line, "strace:") { // not allowed, or emulated
				t.Skipf("not supported here: %s", line)
			}
			t.Fatalf("%v\n%s", err, text)
		}
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		n := 0
		for line := range strings.Lines(string(b)) {
			// A call that strace shows in two halves counts once.
			if strings.Contains(line, "setsockopt(") && (strings.Contains(line, "SO_KEEPALIVE") || strings.Contains(line, "TCP_KEEP")) {
				n++
			}
		}
		return n
	}
	listener := count("accept ours")
	t.Logf("%d connections accepted: %d calls with ListenConfig, %d with package net's", tracedConns, listener, count("accept net"))
	assert.Equal(t, 4, listener, "the listening socket's own, none for a connection")
	assert.Equal(t, 4*tracedConns, count("accept net"))
	ours, nets := count("dial ours"), count("dial net")
	t.Logf("%d connections dialed: %d calls with Dialer, %d with package net's", tracedConns, ours, nets)
	assert.LessOrEqual(t, ours, nets)
	assert.Equal(t, 4*tracedConns, ours)
}
