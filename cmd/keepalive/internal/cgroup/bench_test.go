//go:build linux

package cgroup

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkConnection opens, accepts and closes a connection in one process, so that it has the
// costs of both ends.
func BenchmarkConnection(b *testing.B) {
	l, dir := listener(b)
	address, err := unix.Getsockname(l)
	require.NoError(b, err)
	compare(b, dir, func() {
		dialed, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(dialed, address)
		}
		if err != nil {
			b.Fatal(err)
		}
		accepted, _, err := unix.Accept(l)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(accepted) // resets the connection
		unix.Close(dialed)
	})
}

// BenchmarkSetsockopt sets an option that the settings do not name.
func BenchmarkSetsockopt(b *testing.B) {
	l, dir := listener(b)
	compare(b, dir, func() {
		if err := unix.SetsockoptInt(l, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			b.Fatal(err)
		}
	})
}

// listener returns a listening socket in a new cgroup. Its connections are reset when they are closed.
func listener(b *testing.B) (l int, dir string) {
	home, err := Own()
	require.NoError(b, err)
	dir = newCgroup(b, "")
	require.NoError(b, move(dir))
	b.Cleanup(func() { require.NoError(b, move(home)) })
	l, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(b, err)
	b.Cleanup(func() { unix.Close(l) })
	require.NoError(b, unix.SetsockoptLinger(l, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(b, unix.Listen(l, 16))
	return l, dir
}

// compare runs rounds of f in turn without settings, and with settings attached to the cgroup. It
// reports the 10th percentile of both and the difference, because other processes disturb many
// rounds. With programs-ns, the kernel reports the time in both programs, with the time to measure it.
func compare(b *testing.B, dir string, f func()) {
	const round = 500
	measure := func() float64 {
		start := time.Now()
		for range round {
			f()
		}
		return float64(time.Since(start).Nanoseconds()) / round
	}
	var without, attachedTo, inside []float64
	for b.Loop() {
		without = append(without, measure())
		require.NoError(b, Attach(dir, Settings{Options: some}))
		attachedTo = append(attachedTo, measure())
		stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		require.NoError(b, err)
		measure()
		stats.Close()
		inside = append(inside, runtime(b, dir)/round)
		require.NoError(b, Detach(dir))
	}
	report := func(name string, values []float64) float64 {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/10], name)
		return values[len(values)/10]
	}
	b.ReportMetric(0, "ns/op") // of all rounds
	b.ReportMetric(report("attached-ns", attachedTo)-report("without-ns", without), "difference-ns")
	report("programs-ns", inside)
}

// runtime returns for how many nanoseconds the programs that are attached to dir have run.
func runtime(b *testing.B, dir string) (total float64) {
	cgroup, err := os.Open(dir)
	require.NoError(b, err)
	defer cgroup.Close()
	kinds, err := attached(cgroup)
	require.NoError(b, err)
	defer kinds.Close()
	for _, programs := range kinds {
		for _, p := range programs {
			stats, err := p.Stats()
			require.NoError(b, err)
			total += float64(stats.Runtime.Nanoseconds())
		}
	}
	return total
}
