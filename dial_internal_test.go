package keepalive

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rawConn is a syscall.RawConn of the fake systems.
type rawConn struct{ syscall.RawConn }

func (rawConn) Control(f func(fd uintptr)) error { f(7); return nil }

// TestControlOfFakeSystems: a missing option never fails a dial or listen,
// but on Multipath TCP, where package net tries again with plain TCP.
func TestControlOfFakeSystems(t *testing.T) {
	t.Parallel()
	o := Options{Idle: 45 * time.Second, Count: 3}
	p, k := fake(time.Second, 0)
	k.fails[optCount] = errMissing
	require.NoError(t, p.control("tcp4", rawConn{}, o))

	p.protocolOpt = &sockOpt{name: "PROTOCOL", opt: 99}
	k.values[99] = 6
	require.NoError(t, p.control("tcp4", rawConn{}, o))
	k.values[99] = 262
	require.ErrorIs(t, p.control("tcp4", rawConn{}, o), errMissing)
	require.NoError(t, p.control("tcp4", rawConn{}, Options{Idle: 45 * time.Second}))

	k.fails[optIdle] = errRefused
	require.ErrorIs(t, p.control("tcp4", rawConn{}, o), errRefused)
	require.NoError(t, p.control("udp4", rawConn{}, o))
	require.NoError(t, (&platform{}).control("tcp4", rawConn{}, o), "no options at all")
}
