//go:build unix

package keepalive

import (
	"context"
	"errors"
	"fmt"
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
		assert.Equal(t, want, Diagnose(madeUp{timeout: true, is: context.DeadlineExceeded, wraps: []error{io.EOF, plain}}), errno)
	}
	assert.Equal(t, Dead, Diagnose(madeUp{dead: true, wraps: []error{syscall.ECONNREFUSED}}), "a verdict is a verdict")
	lost := os.NewSyscallError("read", syscall.ENOTCONN)
	want := Unknown
	if system.proto != nil {
		want = Dead
	}
	assert.Equal(t, want, Diagnose(&net.OpError{Op: "read", Net: "tcp", Err: lost}))
	assert.Equal(t, Unknown, Diagnose(&net.OpError{Op: "set", Net: "tcp", Err: lost}))
	assert.Equal(t, Unreachable, Diagnose(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EACCES)}))
}

// scripted is a connection that says what it is told to.
type scripted struct {
	net.Conn
	reads, writes []error
}

func (s *scripted) Read([]byte) (int, error)  { return next(&s.reads) }
func (s *scripted) Write([]byte) (int, error) { return next(&s.writes) }

func next(errs *[]error) (int, error) {
	err := (*errs)[0]
	*errs = (*errs)[1:]
	return 0, err
}

// TestKeepErrorBrokenPipe: the writer comes second, and is told of a broken pipe,
// before the reader has said why.
func TestKeepErrorBrokenPipe(t *testing.T) {
	t.Parallel()
	pipe := fmt.Errorf("write: %w", syscall.EPIPE)
	dead := madeUp{dead: true}
	conn := KeepError(&scripted{reads: []error{io.EOF, dead, io.EOF}, writes: []error{pipe, pipe}})
	_, err := conn.Write(nil)
	assert.Equal(t, pipe, err)
	_, err = conn.Read(nil)
	assert.Equal(t, io.EOF, err, "an end is an end")
	_, err = conn.Read(nil)
	assert.Equal(t, dead, err)
	_, err = conn.Read(nil)
	assert.Equal(t, dead, err)
	_, err = conn.Write(nil)
	assert.Equal(t, dead, err)
}
