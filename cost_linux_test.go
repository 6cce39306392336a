package keepalive

import (
	"net"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var typical = Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}

var typicalError error = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", unix.ETIMEDOUT)}

func TestNoAllocation(t *testing.T) {
	tcp, _ := testpeer.New(t, "tcp")
	var conn net.Conn = tcp
	require.Zero(t, testing.AllocsPerRun(1000, func() { Enable(conn, typical) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Get(conn) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Disable(conn) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Inspect(conn) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { Diagnose(typicalError) }))
}

// BenchmarkCost compares Enable and Inspect with the same system calls on the
// bare descriptor, and Enable with package net's setter, in turns, and fails
// when they cost more than they may.
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
		func() error { _, err := Inspect(conn); return err },
		func() error {
			var t unix.TCPInfo
			size := uint32(unsafe.Sizeof(t))
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&t)), uintptr(unsafe.Pointer(&size)), 0)
			if errno != 0 {
				return errno
			}
			return nil
		},
		func() error {
			if Diagnose(typicalError) != Dead {
				return typicalError
			}
			return nil
		},
	}
	const rounds, calls, tries = 60, 1000, 5 // others use the machine as well
	for b.Loop() {
		for try := 1; ; try++ {
			took := make([][]float64, len(ways))
			for round := range rounds {
				for i := range ways {
					if round%2 == 1 { // there and back, so that nobody gains by what comes before
						i = len(ways) - 1 - i
					}
					way := ways[i]
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
			bare, toNet, inspect, diagnose := ratio(0, 1), ratio(0, 2), ratio(4, 5), median(took[6])
			b.ReportMetric(median(took[0]), "ns/Enable")
			b.ReportMetric(median(took[3]), "ns/Get")
			b.ReportMetric(bare, "×bare")
			b.ReportMetric(toNet, "×net")
			b.ReportMetric(median(took[4]), "ns/Inspect")
			b.ReportMetric(inspect, "×bare-Inspect")
			b.ReportMetric(diagnose, "ns/Diagnose")
			if bare <= 1.15 && toNet <= 1.1 && inspect <= 1.2 && diagnose <= 100 {
				break
			}
			b.Logf("try %d: Enable costs %.2f times the bare calls (at most 1.15) and %.2f times package net (at most 1.1), Inspect %.2f times the bare call (at most 1.2), Diagnose %.0f ns (at most 100)",
				try, bare, toNet, inspect, diagnose)
			if try == tries {
				b.FailNow()
			}
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
