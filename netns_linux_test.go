package keepalive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/netns"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Only the main goroutine uses the main thread. /proc/net shows the network namespace of the main
// thread, so no test may move it to another one.
func init() { runtime.LockOSThread() }

// needLinuxKernel skips a test of details of the Linux kernel: network namespaces, sysctls,
// /proc/net, and strace.
func needLinuxKernel(t testing.TB) {
	t.Helper()
	if rig == "gvisor" {
		t.Skip("not supported here: gVisor does not have this detail of the Linux kernel")
	}
}

// command runs a program, and skips the test where it is not installed.
func command(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("not supported here: %v", err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	for _, missing := range []string{"Operation not permitted", "Unknown device type"} { // privileges, and veth
		if err != nil && strings.Contains(string(out), missing) {
			t.Skipf("not supported here: %s: %s", name, out)
		}
	}
	require.NoErrorf(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// TestDefaultsOutOfRange: sysctls can have values that setsockopt does not accept. Get and
// SystemDefaults return them, and Enable rejects them.
func TestDefaultsOutOfRange(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	netns.Run(t, netns.New, func() {
		for name, value := range map[string]string{"time": "86400", "intvl": "40000", "probes": "200"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/tcp_keepalive_"+name, []byte(value), 0); !assert.NoError(t, err) {
				return
			}
		}
		want := keepalive.Options{Idle: 24 * time.Hour, Interval: 40000 * time.Second, Count: 200, UserTimeout: keepalive.NoUserTimeout, Disabled: true}
		got, err := keepalive.SystemDefaults()
		assert.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, 24*time.Hour+200*40000*time.Second, keepalive.Options{}.DetectionTime())

		conn, far, err := testpeer.Dial("tcp")
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		defer far.Close()
		before, err := keepalive.Get(conn)
		assert.NoError(t, err)
		assert.Equal(t, want, before)
		var oe *keepalive.OptionError
		if assert.ErrorAs(t, keepalive.Enable(conn, before), &oe) {
			assert.Equal(t, "Idle", oe.Option)
		}
		got, err = keepalive.Get(conn)
		assert.NoError(t, err)
		assert.Equal(t, before, got)
		before.Disabled = false
		assert.Equal(t, 24*time.Hour+200*40000*time.Second, before.DetectionTime())
	})
}

// TestUnreachable: the peer disappears while data is in flight, and the router reports that it is
// unreachable. The user timeout ends the connection, and the error is the one of the router.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	if os.Getuid() != 0 {
		t.Skip("not supported here: network namespaces need root")
	}
	for i, errno := range []syscall.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			client, router := fmt.Sprintf("kau%d-%d", i, os.Getpid()), fmt.Sprintf("kav%d-%d", i, os.Getpid())
			ip := func(args ...string) { t.Helper(); command(t, "", "ip", args...) }
			namespaces(t, client, router)
			ip("link", "add", "c0", "netns", client, "type", "veth", "peer", "name", "r0", "netns", router)
			for _, a := range [][3]string{{client, "c0", "10.0.1.2/24"}, {router, "r0", "10.0.1.1/24"}, {router, "lo", "10.0.2.2/32"}} {
				ip("-n", a[0], "addr", "add", a[2], "dev", a[1])
				ip("-n", a[0], "link", "set", a[1], "up")
			}
			ip("-n", client, "route", "add", "default", "via", "10.0.1.1")
			ip("netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")

			var l net.Listener
			var conn net.Conn
			var err error
			netns.Run(t, netns.Named(router), func() { l, err = net.Listen("tcp4", "10.0.2.2:0") })
			require.NoError(t, err)
			defer l.Close()
			netns.Run(t, netns.Named(client), func() {
				conn, err = keepalive.Dialer(&net.Dialer{Timeout: 10 * time.Second}, keepalive.Options{UserTimeout: 2 * time.Second}).Dial("tcp4", l.Addr().String())
			})
			require.NoError(t, err)
			defer conn.Close()

			ip("-n", router, "addr", "del", "10.0.2.2/32", "dev", "lo")
			if errno == unix.EHOSTUNREACH {
				ip("-n", router, "route", "add", "unreachable", "10.0.2.2")
			}
			_, err = conn.Write([]byte{1})
			require.NoError(t, err)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, errno)
			assert.Equal(t, keepalive.Unreachable, keepalive.Diagnose(err))
		})
	}
}

// namespaces creates network namespaces, and deletes them after the test.
func namespaces(t testing.TB, names ...string) {
	t.Helper()
	for _, ns := range names {
		command(t, "", "ip", "netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	}
}

// TestDialGivenUp: the kernel, not a deadline, ends the dialing of a host that
// does not answer.
func TestDialGivenUp(t *testing.T) {
	t.Parallel()
	needLinuxKernel(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0)) // and nobody accepts: when the queue is full, it is silent
	sa, err := unix.Getsockname(fd)
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	d := keepalive.Dialer(&net.Dialer{Timeout: 20 * time.Second}, keepalive.Options{UserTimeout: time.Second})
	for range 10 {
		var conn net.Conn
		if conn, err = d.Dial("tcp4", addr); err != nil {
			break
		}
		defer conn.Close()
	}
	if untranslated(err) {
		t.Skipf("not supported here: qemu-user returns %v", err)
	}
	require.ErrorIs(t, err, unix.ETIMEDOUT)
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err))
}

// TestKeepOpen dials through a NAT that drops connections after 5s of silence. With KeepOpen, the
// connection is still open after 30s (13s with -short), although a probe is lost. Without
// KeepOpen, it is not.
func TestKeepOpen(t *testing.T) { realtime.Test(testKeepOpen)(t) }

func testKeepOpen(t testing.TB) {
	needLinuxKernel(t)
	if os.Getuid() != 0 {
		t.Skip("not supported here: network namespaces need root")
	}
	id := strconv.Itoa(os.Getpid())
	client, router, server := "kac"+id, "kar"+id, "kas"+id
	ip := func(args ...string) string { t.Helper(); return command(t, "", "ip", args...) }
	nft := func(rules string) string {
		t.Helper()
		command(t, "", "nft", "--version")
		return command(t, rules, "ip", "netns", "exec", router, "nft", "-f", "-")
	}
	namespaces(t, client, router, server)
	ip("link", "add", "c0", "netns", client, "type", "veth", "peer", "name", "r0", "netns", router)
	ip("link", "add", "s0", "netns", server, "type", "veth", "peer", "name", "r1", "netns", router)
	for _, a := range [][3]string{{client, "c0", "10.0.1.2/24"}, {router, "r0", "10.0.1.1/24"}, {router, "r1", "10.0.2.1/24"}, {server, "s0", "10.0.2.2/24"}} {
		ip("-n", a[0], "addr", "add", a[2], "dev", a[1])
		ip("-n", a[0], "link", "set", a[1], "up")
	}
	ip("-n", client, "route", "add", "default", "via", "10.0.1.1")
	nft(`
table ip nat {
  chain post { type nat hook postrouting priority 100; oifname "r1" masquerade; }
}
table ip fw {
  counter lost { }
  counter probe { }
  counter answer { }
  set losing { type inet_service; }
  set watched { type inet_service; }
  chain forward {
    type filter hook forward priority 0; policy drop;
    tcp sport @losing counter name lost drop
    tcp sport @watched counter name probe
    tcp dport @watched counter name answer
    ct state established,related accept
    ct state new tcp flags & (syn|ack) == syn accept
  }
}
`)
	ip("netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1",
		"net.netfilter.nf_conntrack_tcp_timeout_established=5", "net.netfilter.nf_conntrack_tcp_loose=0")
	var l net.Listener
	var err error
	netns.Run(t, netns.Named(server), func() { l, err = (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", "10.0.2.2:0") })
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	o := keepalive.KeepOpen(5 * time.Second)
	dial := func(o keepalive.Options) (conn net.Conn) {
		netns.Run(t, netns.Named(client), func() {
			conn, err = keepalive.Dialer(&net.Dialer{Timeout: 10 * time.Second}, o).Dial("tcp", l.Addr().String())
		})
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	echo := func(conn net.Conn) error {
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err := conn.Write([]byte{1}); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	kept, left := dial(o), dial(keepalive.Options{Disabled: true})
	require.NoError(t, echo(kept))
	require.NoError(t, echo(left))
	silence := time.Now()

	// Lose the next probe, and only that.
	port := kept.LocalAddr().(*net.TCPAddr).Port
	count := func(counter string) (packets, bytes int) {
		out := command(t, "", "ip", "netns", "exec", router, "nft", "list", "counter", "ip", "fw", counter)
		m := regexp.MustCompile(`packets (\d+) bytes (\d+)`).FindStringSubmatch(out)
		require.NotNil(t, m, out)
		packets, _ = strconv.Atoi(m[1])
		bytes, _ = strconv.Atoi(m[2])
		return packets, bytes
	}
	nft(fmt.Sprintf("add element ip fw losing { %d }", port))
	require.Eventually(t, func() bool { n, _ := count("lost"); return n > 0 }, 20*time.Second, 50*time.Millisecond)
	nft(fmt.Sprintf("delete element ip fw losing { %d }\nadd element ip fw watched { %d }", port, port))
	n, _ := count("lost")
	assert.Equal(t, 1, n)
	t.Logf("lost a probe after %v", time.Since(silence).Round(time.Millisecond))

	length := 30 * time.Second
	if testing.Short() {
		length = 13 * time.Second
	}
	kept.SetReadDeadline(silence.Add(length))
	_, err = kept.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	for _, counter := range []string{"probe", "answer"} {
		n, bytes := count(counter)
		t.Logf("%s: %d packets, %d bytes", counter, n, bytes)
		assert.Greater(t, n, 1)
		assert.Equal(t, 52*n, bytes, "IPv4 with timestamps; KeepOpen's documentation counts on it")
	}
	assert.NoError(t, echo(kept), "with KeepOpen")
	err = echo(left)
	assert.Error(t, err, "without it")
	t.Logf("without it: %v", err)
	assert.False(t, errors.Is(err, net.ErrClosed))
}
