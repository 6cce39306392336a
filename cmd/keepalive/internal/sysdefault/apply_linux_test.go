package sysdefault

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// inNamespace runs f in a thread with a network namespace of its own, which ends with f.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread is not used again
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		defer close(done)
		f()
	}()
	switch err := <-done; {
	case errors.Is(err, os.ErrPermission):
		t.Skipf("not supported here: network namespace: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

// TestApply: either all values change, or none.
func TestApply(t *testing.T) {
	inNamespace(t, func() {
		values := func() (all []int64) {
			for _, name := range []string{idle, intvl, probes} {
				v, ok, err := Read(name)
				assert.NoError(t, err)
				assert.True(t, ok)
				all = append(all, v)
			}
			return all
		}
		changes := func(idle_, intvl_, probes_ int64) []Change {
			return []Change{{Parameter{Name: idle}, 0, idle_}, {Parameter{Name: intvl}, 0, intvl_}, {Parameter{Name: probes}, 0, probes_}}
		}
		before := []int64{7200, 75, 9}
		assert.Equal(t, before, values())

		// The file of Persist cannot be written.
		failed := errors.New("failed")
		c := changes(300, 10, 3)
		assert.ErrorIs(t, Apply(c, func() error {
			assert.Equal(t, []int64{300, 10, 3}, values())
			return failed
		}), failed)
		assert.Equal(t, before, values())
		assert.Equal(t, "[7200 75 9]", fmt.Sprint([]int64{c[0].Old, c[1].Old, c[2].Old}))

		// The kernel rejects the last value.
		called := false
		err := Apply(changes(300, 10, 1e6), func() error { called = true; return nil })
		assert.ErrorContains(t, err, "net.ipv4.tcp_keepalive_probes = 1000000: ")
		assert.False(t, called)
		assert.Equal(t, before, values())

		// There is no such sysctl.
		none := append(changes(300, 10, 3), Change{Parameter{Name: "net.ipv4.none"}, 0, 1})
		assert.EqualError(t, Apply(none, nil), "net.ipv4.none: no such file or directory: this kernel does not have the sysctl")
		assert.Error(t, Check(none))
		assert.Equal(t, before, values())

		assert.NoError(t, Check(changes(300, 10, 3)))
		assert.Equal(t, before, values())
		assert.NoError(t, Apply(changes(300, 10, 3), func() error { return nil }))
		assert.Equal(t, []int64{300, 10, 3}, values())
	})
}
