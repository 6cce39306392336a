package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
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

func setSysctl(t testing.TB, name string, value int) {
	t.Helper()
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/"+name, fmt.Append(nil, value), 0))
}

// exchange sends a byte there and back, so that nothing is in flight.
func exchange(t testing.TB, conn net.Conn, far *testpeer.Far) {
	t.Helper()
	_, err := conn.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, far.Echo())
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
}

// TestExplainAgreesWithKernel: peers die, and their connections are dropped when explain says so. All wait
// at once.
func TestExplainAgreesWithKernel(t *testing.T) { realtime.Test(testExplainAgreesWithKernel)(t) }

func testExplainAgreesWithKernel(t testing.TB) {
	var wait sync.WaitGroup
	defer wait.Wait()
	for _, c := range []struct {
		options  string
		inFlight bool
		retries  int // tcp_retries2
	}{
		{options: "on"}, // the system's defaults
		{options: "idle=1s"},
		{options: "4s:1s:3"},
		{options: "idle=1s,interval=3s,count=2"},
		{options: "idle=3s,interval=1s,count=9,user-timeout=5.5s"},
		{options: "idle=5s,interval=1s,count=5,user-timeout=2s"},
		{options: "detect-within=6s"},
		{options: "detect-within=6s", inFlight: true},
		{options: "4s:1s:3", inFlight: true, retries: 2},
		{options: "off", inFlight: true, retries: 2},
		{options: "off,user-timeout=3s", inFlight: true},
	} {
		netns.Run(t, netns.New, func() {
			setSysctl(t, "tcp_keepalive_time", 3)
			setSysctl(t, "tcp_keepalive_intvl", 2)
			setSysctl(t, "tcp_keepalive_probes", 2)
			if c.retries != 0 {
				setSysctl(t, "tcp_retries2", c.retries)
			}
			x := explainJSON(t, c.options)
			want := x.Idle
			if c.inFlight {
				want = x.InFlight
			}
			require.NotNil(t, want.Detection, c)

			var o keepalive.Options
			require.NoError(t, o.UnmarshalText([]byte(c.options)))
			conn, far, err := testpeer.Dial("tcp")
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close(); far.Close() })
			require.NoError(t, keepalive.Enable(conn, o))
			exchange(t, conn, far)
			began := time.Now()
			testpeer.SkipIfUnsupported(t, far.Deaf())
			if c.inFlight {
				_, err := conn.Write([]byte{1})
				require.NoError(t, err)
			}
			wait.Go(func() {
				conn.SetReadDeadline(began.Add(time.Minute))
				_, err := conn.Read(make([]byte, 1))
				took := time.Since(began).Seconds()
				t.Logf("%+v: expected %.1fs, at most %.1fs, measured %.2fs", c, *want.Detection, *want.Latest, took)
				assert.ErrorIs(t, err, syscall.ETIMEDOUT, c)
				assert.InEpsilon(t, *want.Detection, took, 0.15, c)
				assert.LessOrEqual(t, took, *want.Latest+0.5, c)
			})
		})
	}
}

// TestExplainReadsSysctls of the network namespace.
func TestExplainReadsSysctls(t *testing.T) {
	netns.Run(t, netns.New, func() {
		setSysctl(t, "tcp_keepalive_time", 86400) // more than a socket accepts
		setSysctl(t, "tcp_keepalive_intvl", 40000)
		setSysctl(t, "tcp_keepalive_probes", 200)
		setSysctl(t, "tcp_retries2", 5)
		x := explainJSON(t, "on")
		assert.Equal(t, 86400., x.Settings.Idle)
		assert.Equal(t, 40000., x.Settings.Interval)
		assert.Equal(t, 200, x.Settings.Count)
		assert.Equal(t, 200, x.Probes)
		assert.Equal(t, 86400+200*40000., *x.Idle.Detection)
		assert.Less(t, *x.InFlight.Detection, 20.)

		// Nonsense that the kernel accepts.
		for _, name := range []string{"tcp_keepalive_time", "tcp_keepalive_intvl", "tcp_keepalive_probes", "tcp_retries2"} {
			for _, value := range []int{0, -1, 1, 255} {
				err := os.WriteFile("/proc/sys/net/ipv4/"+name, fmt.Append(nil, value), 0)
				if err != nil && !errors.Is(err, unix.EINVAL) {
					assert.NoError(t, err)
				}
				for _, args := range [][]string{{"explain", "on"}, {"explain", "idle=1s"}, {"system"}, {"system", "-o", "json"}} {
					out, errs, status := keepaliveCommand(args...)
					assert.Zero(t, status, "%s = %d: %s", name, value, errs)
					assert.NotEmpty(t, out)
				}
			}
		}
	})
}
