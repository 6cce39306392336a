package sysdefault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-keepalive/keepalive/internal/netns"
)

// TestApply: either all values change, or none.
func TestApply(t *testing.T) {
	netns.Run(t, netns.New, func() {
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
