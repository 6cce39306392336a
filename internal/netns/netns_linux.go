// Package netns runs parts of a test in another network namespace of Linux.
package netns

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// Run runs f in a thread that enter has moved to another network namespace. The thread ends with f.
// Sockets that f creates stay in the namespace. In f, /proc/sys/net has the values of the
// namespace. If enter fails, Run fails or skips the test.
func Run(t testing.TB, enter func() error, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread is not used again
		if err := enter(); err != nil {
			done <- fmt.Errorf("network namespace: %w", err)
			return
		}
		defer close(done) // also after FailNow
		f()
	}()
	testpeer.SkipIfUnsupported(t, <-done)
}

// New moves the calling thread to a new network namespace, in which loopback is up.
func New() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// Named returns a function that moves the calling thread to a network namespace of ip-netns(8).
func Named(name string) func() error {
	return func() error {
		fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Setns(fd, unix.CLONE_NEWNET)
	}
}
