//go:build unix

package keepalive_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
)

// TestDiagnoseErrno: the error number of the kernel has priority, wherever it is in the chain of
// errors.
func TestDiagnoseErrno(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]keepalive.Cause{
		syscall.ETIMEDOUT:    keepalive.Dead,
		syscall.ENETRESET:    keepalive.Dead,
		syscall.ECONNRESET:   keepalive.Reset,
		syscall.ECONNREFUSED: keepalive.Reset,
		syscall.ECONNABORTED: keepalive.Closed,
		syscall.EPIPE:        keepalive.Reset,
		syscall.EHOSTUNREACH: keepalive.Unreachable,
		syscall.ENETUNREACH:  keepalive.Unreachable,
		syscall.EHOSTDOWN:    keepalive.Unreachable,
		syscall.ENETDOWN:     keepalive.Unreachable,
		syscall.EINVAL:       keepalive.Unknown,
		syscall.EAGAIN:       keepalive.Deadline, // Timeout() says so, and no more
		syscall.ENOTCONN:     keepalive.Unknown,
		syscall.EACCES:       keepalive.Unknown,
	} {
		plain := os.NewSyscallError("read", errno)
		assert.Equal(t, want, keepalive.Diagnose(errno), errno)
		assert.Equal(t, want, keepalive.Diagnose(plain), errno)
		if want == keepalive.Unknown || want == keepalive.Deadline {
			continue
		}
		assert.Equal(t, want, keepalive.Diagnose(&net.OpError{Op: "read", Net: "tcp", Err: plain}), errno)
		assert.Equal(t, want, keepalive.Diagnose(errors.Join(net.ErrClosed, context.DeadlineExceeded, io.EOF, plain)), errno)
		assert.Equal(t, want, keepalive.Diagnose(fakeErr{timeout: true, is: context.DeadlineExceeded, wraps: []error{io.EOF, plain}}), errno)
	}
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(fakeErr{dead: true, wraps: []error{syscall.ECONNREFUSED}}), "a verdict is a verdict")
	lost := os.NewSyscallError("read", syscall.ENOTCONN)
	want := keepalive.Unknown
	if keepalive.HasMultipath() {
		want = keepalive.Dead
	}
	assert.Equal(t, want, keepalive.Diagnose(&net.OpError{Op: "read", Net: "tcp", Err: lost}))
	assert.Equal(t, keepalive.Unknown, keepalive.Diagnose(&net.OpError{Op: "set", Net: "tcp", Err: lost}))
	assert.Equal(t, keepalive.Unreachable, keepalive.Diagnose(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EACCES)}))
}
