package heartbeatstress

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
)

var (
	cases    = flag.Int("stress-cases", 0, "number of stress cases for each transport (0: a few)")
	seed     = flag.Uint64("stress-seed", 0, "seed of the first stress case (0: random)")
	parallel = flag.Int("stress-parallel", 8, "number of stress cases at the same time")
)

// Transport connects two ends, of which Conn wraps each. If small is true, buffers
// should be small. The function cleanup closes what is below the two connections.
type Transport struct {
	Name    string
	Connect func(small bool) (near, far net.Conn, cleanup func(), err error)
}

const (
	minTimeout = 2 * time.Second // a busy machine may stop a process for that long
	limit      = 2 * time.Minute // of a case
)

// Run runs the cases that the flags select over each transport. Without flags, it runs
// a few at the same time.
func Run(t *testing.T, transports ...Transport) {
	n, first := *cases, *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	if n == 0 {
		n = 6 * len(transports)
		runBatch(t, transports, first, n, n)
		return
	}
	for i, transport := range transports {
		t.Run(transport.Name, func(t *testing.T) {
			const batch = 100
			for from := 0; from < n; from += batch {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1 + from/batch%2))
				runBatch(t, transports[i:i+1], first+uint64(from), min(batch, n-from), *parallel)
				if t.Failed() {
					return
				}
			}
			t.Logf("%d cases over %s, seeds from %d", n, transport.Name, first)
		})
	}
}

// runBatch runs n cases, several at the same time, and checks that nothing is left.
func runBatch(t *testing.T, transports []Transport, first uint64, n, parallel int) {
	type failed struct {
		Transport
		Case
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	var starved []failed
	var mu sync.Mutex
	var lateness atomic.Int64
	stop := measureLateness(&lateness)
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			transport := transports[i%len(transports)]
			c := NewCase(first+uint64(i), minTimeout)
			err := runCase(transport, c)
			switch late := time.Duration(lateness.Load()); {
			case err == nil:
			case late > minTimeout/8 && errors.As(err, new(*heartbeat.DeadError)):
				mu.Lock()
				defer mu.Unlock()
				starved = append(starved, failed{transport, c})
			default:
				t.Errorf("%s: %v\n%+v\ntimers were late by up to %v; -stress-cases 1 -stress-seed %d repeats it", transport.Name, err, c, late, c.Seed)
			}
		})
	}
	wg.Wait()
	stop()
	for _, f := range starved { // the machine was too busy to answer pings in time
		f.Timeout *= 10
		if err := runCase(f.Transport, f.Case); err != nil {
			t.Errorf("%s, alone: %v\n%+v", f.Name, err, f.Case)
		}
	}
	if len(starved) > 0 {
		t.Logf("%d of %d cases were repeated alone, because timers were late by up to %v", len(starved), n, time.Duration(lateness.Load()))
	}
	if t.Failed() {
		return
	}
	for start := time.Now(); runtime.NumGoroutine() > goroutines || openFiles() > files; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("seeds from %d: %d goroutines and %d files are left\n%s", first, runtime.NumGoroutine()-goroutines, openFiles()-files, stacks.String())
		}
	}
}

func runCase(transport Transport, c Case) error {
	near, far, cleanup, err := transport.Connect(c.SmallBuffers)
	if err != nil {
		return err
	}
	if c.Mode == Silence {
		near2, far2, cleanup2, err := transport.Connect(false)
		if err != nil {
			return err
		}
		defer cleanup2()
		defer relay(far, near2, time.Duration(c.Seed%300)*time.Millisecond)()
		far = far2
	}
	defer cleanup()
	errs := make(chan error, 2)
	began := time.Now()
	go func() { errs <- c.Wrap(near, 0) }()
	go func() { errs <- c.Wrap(far, 1) }()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	var all []error
	for range 2 {
		select {
		case err := <-errs:
			all = append(all, err)
		case <-timeout.C:
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			return fmt.Errorf("hangs: %w\n%s", errors.Join(all...), stacks.String())
		}
	}
	if took := time.Since(began); c.Mode == Silence && took > 4*c.Timeout+10*time.Second {
		all = append(all, fmt.Errorf("DeadError after %v", took))
	}
	return errors.Join(all...)
}

// relay carries bytes between two connections for some time, and then nothing. The
// function that it returns closes both.
func relay(a, b net.Conn, d time.Duration) (stop func()) {
	var silent atomic.Bool
	timer := time.AfterFunc(d, func() { silent.Store(true) })
	carry := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if !silent.Load() {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { carry(a, b) })
	wg.Go(func() { carry(b, a) })
	return func() {
		timer.Stop()
		a.Close()
		b.Close()
		wg.Wait()
	}
}

// measureLateness measures how late timers are until the returned function is called.
func measureLateness(most *atomic.Int64) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			start := time.Now()
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				most.Store(max(most.Load(), int64(time.Since(start)-10*time.Millisecond)))
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// openFiles returns the number of open files, or 0 if the system does not report it.
func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}
