package keepalive

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var typical = Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}

func TestNoAllocation(t *testing.T) {
	tcp, _ := testpeer.New(t, "tcp")
	var conn net.Conn = tcp
	require.Zero(t, testing.AllocsPerRun(1000, func() { Enable(conn, typical) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Get(conn) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Disable(conn) }))
}

// BenchmarkCost compares Enable with the same system calls on the bare
// descriptor and with package net's setter, in turns, and fails when it costs
// more than it may.
func BenchmarkCost(b *testing.B) {
	tcp, far, err := testpeer.Dial("tcp")
	require.NoError(b, err)
	defer far.Close()
	defer tcp.Close()
	var conn net.Conn = tcp
	var fd int
	rc, err := tcp.SyscallConn()
	require.NoError(b, err)
	rc.Control(func(d uintptr) { fd = int(d) })
	ways := []func() error{
		func() error { return Enable(conn, typical) },
		func() error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 45); err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5); err != nil {
				return err
			}
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
		},
		func() error {
			return tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3})
		},
		func() error { _, err := Get(conn); return err },
	}
	for b.Loop() {
		const rounds, calls = 31, 2000
		took := make([][]float64, len(ways))
		for range rounds {
			for i, way := range ways {
				start := time.Now()
				for range calls {
					if err := way(); err != nil {
						b.Fatal(err)
					}
				}
				took[i] = append(took[i], float64(time.Since(start))/calls)
			}
		}
		ratio := func(i, j int) float64 { // the median of the rounds' ratios
			r := make([]float64, rounds)
			for k := range r {
				r[k] = took[i][k] / took[j][k]
			}
			return median(r)
		}
		bare, toNet := ratio(0, 1), ratio(0, 2)
		b.ReportMetric(median(took[0]), "ns/Enable")
		b.ReportMetric(median(took[3]), "ns/Get")
		b.ReportMetric(bare, "×bare")
		b.ReportMetric(toNet, "×net")
		if bare > 1.15 || toNet > 1.1 {
			b.Errorf("Enable costs %.2f times the bare calls (at most 1.15) and %.2f times package net (at most 1.1)", bare, toNet)
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
