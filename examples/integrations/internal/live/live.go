// Package live reads keepalive back from live connections, for the tests.
package live

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
)

// Options are what the tests ask for. Nobody has them by default: no system,
// not package net, and none of the libraries here.
var Options = keepalive.Options{
	Idle:        37 * time.Second,
	Interval:    7 * time.Second,
	Count:       4,
	UserTimeout: 65 * time.Second,
}

// Check fails t unless conn has Options in force.
func Check(t testing.TB, conn net.Conn) {
	t.Helper()
	check(t, conn, Options)
}

// CheckListened is Check for a connection that a keepalive.ListenConfig
// accepted: it sets the user timeout on Linux only, and says so.
func CheckListened(t testing.TB, conn net.Conn) {
	t.Helper()
	want := Options
	if runtime.GOOS != "linux" {
		got, err := keepalive.Get(conn)
		require.NoError(t, err)
		want.UserTimeout = got.UserTimeout
	}
	check(t, conn, want)
}

func check(t testing.TB, conn net.Conn, want keepalive.Options) {
	t.Helper()
	got, err := keepalive.Get(conn)
	require.NoError(t, err)
	assert.Equal(t, want, got, "%T", conn)
}

// Need skips the test if this system does not support all of Options.
func Need(t testing.TB) {
	t.Helper()
	err := Options.Validate()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("not supported here: %v", err)
	}
	require.NoError(t, err)
}

// Listener hands out the connections that it accepts a second time.
type Listener struct {
	net.Listener
	Accepted chan net.Conn
}

// Watch returns a Listener around ln.
func Watch(ln net.Listener) Listener {
	return Listener{ln, make(chan net.Conn, 16)}
}

// Accept is that of the listener inside.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.Accepted <- conn
	}
	return conn, err
}

// Next returns the next of conns.
func Next(t testing.TB, conns <-chan net.Conn) net.Conn {
	t.Helper()
	select {
	case conn := <-conns:
		return conn
	case <-time.After(30 * time.Second):
		t.Fatal("there was no connection within 30 s")
		return nil
	}
}
