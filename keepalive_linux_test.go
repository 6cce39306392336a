package keepalive_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFresh: a connection on which nothing was set has the values of the sysctls, and keepalive is
// off.
func TestFresh(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	conn, _ := testpeer.New(t, "tcp")
	sysctl := func(name string) int {
		b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_keepalive_" + name)
		testpeer.SkipIfUnsupported(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		require.NoError(t, err)
		return n
	}
	want := keepalive.Options{
		Idle:        time.Duration(sysctl("time")) * time.Second,
		Interval:    time.Duration(sysctl("intvl")) * time.Second,
		Count:       sysctl("probes"),
		UserTimeout: keepalive.NoUserTimeout,
		Disabled:    true,
	}
	got, err := keepalive.Get(conn)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// TestTimer reads the running timer of the socket from /proc, as ss -o does.
func TestTimer(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	conn, _ := testpeer.New(t, "tcp4")
	timer := func() (kind string, left time.Duration) {
		b, err := os.ReadFile("/proc/net/tcp")
		testpeer.SkipIfUnsupported(t, err)
		_, local, _ := strings.Cut(conn.LocalAddr().String(), ":")
		_, remote, _ := strings.Cut(conn.RemoteAddr().String(), ":")
		l, _ := strconv.Atoi(local)
		r, _ := strconv.Atoi(remote)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 5 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", l)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", r)) {
				kind, when, _ := strings.Cut(f[5], ":")
				n, err := strconv.ParseInt(when, 16, 64)
				require.NoError(t, err)
				return kind, time.Duration(n) * time.Second / 100 // USER_HZ
			}
		}
		t.Skip("not supported here: the socket is not in /proc/net/tcp") // qemu-user makes one up
		return
	}
	const none, probing = "00", "02" // net/ipv4/tcp_ipv4.c, get_tcp4_sock
	kind, _ := timer()
	assert.Equal(t, none, kind)
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: 300 * time.Second}))
	kind, left := timer()
	assert.Equal(t, probing, kind)
	assert.LessOrEqual(t, left, 300*time.Second)
	assert.Greater(t, left, 290*time.Second)
	require.NoError(t, keepalive.Disable(conn))
	kind, _ = timer()
	assert.Equal(t, none, kind)
}

// protocol is the socket's, as the kernel has it.
func protocol(t *testing.T, c syscall.Conn) int {
	t.Helper()
	rc, err := c.SyscallConn()
	require.NoError(t, err)
	v := 0
	require.NoError(t, rc.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL) }))
	require.NoError(t, err)
	return v
}

// TestMultipath: a listener uses Multipath TCP, as package net makes it, unless it would lack an
// option. Enable reports the options that a Multipath TCP connection lacks.
func TestMultipath(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { plain.Close() })
	if protocol(t, plain.(*net.TCPListener)) != unix.IPPROTO_MPTCP {
		t.Skip("not supported here: this kernel has no Multipath TCP")
	}
	l, err := keepalive.ListenConfig(nil, keepalive.Options{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	assert.Equal(t, unix.IPPROTO_MPTCP, protocol(t, l.(*net.TCPListener)))
	l2, err := keepalive.ListenConfig(nil, keepalive.Options{UserTimeout: time.Minute}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l2.Close() })
	assert.Equal(t, unix.IPPROTO_TCP, protocol(t, l2.(*net.TCPListener)))

	var d net.Dialer
	d.SetMultipathTCP(true)
	far, near := accepted(t, l, &d)
	for _, conn := range []net.Conn{near, far} {
		require.Equal(t, unix.IPPROTO_MPTCP, protocol(t, conn.(*net.TCPConn)))
		err := keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Minute})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, err, unix.ENOPROTOOPT)
		got, err := keepalive.Get(conn)
		testpeer.SkipIfUnsupported(t, err) // before Linux 6.10, the times are missing, too
		assert.Zero(t, got.UserTimeout)
		require.NoError(t, keepalive.Enable(conn, typical))
		inForce(t, conn, typical)
	}
}

// TestUserTimeoutNearAProbe: the kernel asks at each probe whether the user
// timeout is over. A probe is late by a little, so that it may be over at one
// before which it lies by a hair.
func TestUserTimeoutNearAProbe(t *testing.T) { realtime.Test(testUserTimeoutNearAProbe)(t) }

func testUserTimeoutNearAProbe(t testing.TB) {
	conn, far := testpeer.New(t, "tcp")
	o := keepalive.Options{Idle: time.Second, Interval: 2 * time.Second, Count: 9, UserTimeout: 3001 * time.Millisecond}
	require.NoError(t, keepalive.Enable(conn, o))
	began, ended := exchange(t, conn, far)
	testpeer.SkipIfUnsupported(t, far.Deaf())
	conn.SetReadDeadline(began.Add(8 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	require.Truef(t, dead(err), "%v", err)
	assert.GreaterOrEqual(t, time.Since(began), o.UserTimeout-10*time.Millisecond)
	assert.Equal(t, 5*time.Second, o.DetectionTime(), "at the longest")
	assert.LessOrEqual(t, time.Since(ended), 5*time.Second*9/8+time.Second/2)
}
