//go:build unix

package keepalive

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestDiagnoseErrno: the kernel's word comes before all others, wherever it
// stands.
func TestDiagnoseErrno(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]Cause{
		syscall.ETIMEDOUT:    Dead,
		syscall.ENETRESET:    Dead,
		syscall.ECONNRESET:   Reset,
		syscall.ECONNREFUSED: Reset,
		syscall.ECONNABORTED: Closed,
		syscall.EPIPE:        Reset,
		syscall.EHOSTUNREACH: Unreachable,
		syscall.ENETUNREACH:  Unreachable,
		syscall.EHOSTDOWN:    Unreachable,
		syscall.ENETDOWN:     Unreachable,
		syscall.EINVAL:       Unknown,
		syscall.EAGAIN:       Deadline, // Timeout() says so, and no more
		syscall.ENOTCONN:     Unknown,
		syscall.EACCES:       Unknown,
	} {
		plain := os.NewSyscallError("read", errno)
		assert.Equal(t, want, Diagnose(errno), errno)
		assert.Equal(t, want, Diagnose(plain), errno)
		if want == Unknown || want == Deadline {
			continue
		}
		assert.Equal(t, want, Diagnose(&net.OpError{Op: "read", Net: "tcp", Err: plain}), errno)
		assert.Equal(t, want, Diagnose(errors.Join(net.ErrClosed, context.DeadlineExceeded, io.EOF, plain)), errno)
		assert.Equal(t, want, Diagnose(fakeErr{timeout: true, is: context.DeadlineExceeded, wraps: []error{io.EOF, plain}}), errno)
	}
	assert.Equal(t, Dead, Diagnose(fakeErr{dead: true, wraps: []error{syscall.ECONNREFUSED}}), "a verdict is a verdict")
	lost := os.NewSyscallError("read", syscall.ENOTCONN)
	want := Unknown
	if host.protocolOpt != nil {
		want = Dead
	}
	assert.Equal(t, want, Diagnose(&net.OpError{Op: "read", Net: "tcp", Err: lost}))
	assert.Equal(t, Unknown, Diagnose(&net.OpError{Op: "set", Net: "tcp", Err: lost}))
	assert.Equal(t, Unreachable, Diagnose(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EACCES)}))
}
