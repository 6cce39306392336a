// Package realtime is for tests that measure real time on a machine that may be
// busy with other work.
package realtime

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Env is the environment variable that, if it is "off", has Test skip, for
// machines whose clock is wrong.
const Env = "KEEPALIVE_REALTIME"

const (
	// tries is how often a measurement is made at the most.
	tries = 5
	// period is how long the control timer runs each time.
	period = 10 * time.Millisecond
	// tolerable is how late the control timer may be. Tests must allow for more
	// than that, since a failure that follows a smaller delay counts.
	tolerable = 100 * time.Millisecond
)

// Test returns a parallel test that runs f. Meanwhile, a control timer measures how
// late this machine's timers are. If f fails and the control timer was late by
// more than 100 ms, the machine has spoiled the measurement and f runs again,
// five times at the most. If f fails and the control timer was on time, the test
// fails at once.
func Test(f func(t testing.TB)) func(t *testing.T) {
	return func(t *testing.T) {
		if os.Getenv(Env) == "off" {
			t.Skipf("not supported here: %s=off: this machine's clock is wrong", Env)
		}
		t.Parallel()
		repeat(t, f)
	}
}

func repeat(t testing.TB, f func(t testing.TB)) {
	for n := 1; ; n++ {
		trial := &trial{TB: t}
		late := trial.run(f)
		switch {
		case trial.skipped:
			t.SkipNow()
		case !trial.failed:
			return
		case late <= tolerable || n == tries:
			t.Logf("try %d failed; the control timer was late by %v at the most", n, late)
			t.FailNow()
		}
		t.Logf("try %d does not count: the control timer was late by %v", n, late)
	}
}

// A trial is the testing.TB of one try. Its failure is not yet the test's.
type trial struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	skipped  bool
	cleanups []func()
	late     time.Duration   // the longest delay, guarded by control.Mutex
	delays   []time.Duration // those that are not tolerable, guarded by control.Mutex
}

// run returns how late the control timer was while f ran.
func (t *trial) run(f func(t testing.TB)) time.Duration {
	watch(t)
	done := make(chan struct{})
	go func() { // which FailNow and SkipNow can end
		defer close(done)
		defer t.cleanup()
		f(t)
	}()
	<-done
	if t.Failed() {
		waitForTimer() // it may be late just now
	}
	return unwatch(t)
}

func (t *trial) cleanup() {
	for {
		t.mu.Lock()
		n := len(t.cleanups) - 1
		if n < 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n]
		t.cleanups = t.cleanups[:n]
		t.mu.Unlock()
		f()
	}
}

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *trial) Fail() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *trial) FailNow() {
	t.Fail()
	runtime.Goexit()
}

func (t *trial) Error(args ...any) {
	t.Helper()
	t.Log(args...)
	t.Fail()
}

func (t *trial) Errorf(format string, args ...any) {
	t.Helper()
	t.Error(fmt.Sprintf(format, args...))
}

func (t *trial) Fatal(args ...any) {
	t.Helper()
	t.Log(args...)
	t.FailNow()
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Helper()
	t.Fatal(fmt.Sprintf(format, args...))
}

func (t *trial) Skip(args ...any) {
	t.Helper()
	t.Log(args...)
	t.SkipNow()
}

func (t *trial) Skipf(format string, args ...any) {
	t.Helper()
	t.Skip(fmt.Sprintf(format, args...))
}

func (t *trial) SkipNow() {
	t.mu.Lock()
	t.skipped = true
	t.mu.Unlock()
	runtime.Goexit()
}

func (t *trial) Skipped() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skipped
}

// control is the one control timer of all trials.
var control struct {
	sync.Mutex
	trials map[*trial]bool
	done   chan struct{} // closed when the control timer that runs now is done
}

// add notes a delay of the control timer. The caller has control.Mutex.
func (t *trial) add(late time.Duration) {
	t.late = max(t.late, late)
	if late > tolerable {
		t.delays = append(t.delays, late)
	}
}

func watch(t *trial) {
	control.Lock()
	defer control.Unlock()
	if control.trials == nil {
		control.trials = make(map[*trial]bool)
		control.done = make(chan struct{})
		go measure()
	}
	control.trials[t] = true
}

// waitForTimer waits until the control timer that runs now is done.
func waitForTimer() {
	control.Lock()
	done := control.done
	control.Unlock()
	<-done
}

func unwatch(t *trial) time.Duration {
	control.Lock()
	defer control.Unlock()
	delete(control.trials, t)
	return t.late
}

// Late adds a delay of the control timer of another process to those of the test. See Delays. It is
// for functions that are passed to Cleanup. If the test was not started by Test, Late does nothing.
func Late(t testing.TB, late time.Duration) {
	if t, ok := t.(*trial); ok {
		control.Lock()
		defer control.Unlock()
		t.add(late)
	}
}

// Delays runs a control timer in a process that a test starts. The function that it returns ends
// that, and returns the delays of more than 100 ms.
func Delays() func() []time.Duration {
	t := &trial{}
	watch(t)
	return func() []time.Duration {
		waitForTimer()
		unwatch(t)
		return t.delays
	}
}

func measure() {
	for {
		start := time.Now()
		time.Sleep(period)
		runtime.Gosched() // the runtime prefers timers to a goroutine that waits for a socket
		late := time.Since(start) - period
		control.Lock()
		if len(control.trials) == 0 {
			control.trials = nil
			control.Unlock()
			return
		}
		for t := range control.trials {
			t.add(late)
		}
		close(control.done)
		control.done = make(chan struct{})
		control.Unlock()
	}
}
