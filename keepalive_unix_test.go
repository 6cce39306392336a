//go:build unix

package keepalive

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestMissingErrors(t *testing.T) {
	t.Parallel()
	for _, err := range []error{unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.ENOTSUP} { // the latter two are one on Linux
		assert.True(t, systemCalls{}.isUnsupported(err), err)
	}
	for _, err := range []error{unix.EINVAL, unix.EBADF, unix.EPERM, unix.ENOTCONN} {
		assert.False(t, systemCalls{}.isUnsupported(err), err)
	}
}
