package keepalive

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Cause is the reason why a connection ended, or was not established.
type Cause uint8

const (
	// Unknown is every other error, and nil.
	Unknown Cause = iota

	// Dead means that the peer did not answer. Keepalive, a user timeout, the kernel's limit of
	// retransmissions, or package heartbeat ended the connection, or the kernel ended a dial.
	// An error of another package is Dead if it has a method PeerDead() bool that
	// returns true.
	Dead

	// Reset means that the peer's system answered that there is no such connection. For
	// example, the program crashed or closed the connection with unread data, the system was
	// restarted, or no program listens. It is also the cause of a write after the end of the
	// connection ("broken pipe"), because that error does not contain the reason.
	Reset

	// Unreachable means that this system or a router has no route to the peer. It can end a
	// connection with data in flight.
	Unreachable

	// Deadline is a timeout of this program: a deadline, a context, or a library's timeout. It
	// says nothing about the peer.
	Deadline

	// Closed means that this side closed the connection: the program, the system (for example
	// with ss -K), or the cancellation of a context.
	Closed

	// EOF means that the peer closed the connection. It also includes io.ErrUnexpectedEOF, with
	// which libraries report that data is missing before the end.
	EOF
)

var causes = []string{"unknown", "dead", "reset", "unreachable", "deadline", "closed", "EOF"}

// String returns "unknown", "dead", "reset", "unreachable", "deadline", "closed" or "EOF".
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return causes[Unknown]
}

// MarshalText returns the text of String, for JSON and log/slog.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts what MarshalText returns.
func (c *Cause) UnmarshalText(text []byte) error {
	i := slices.Index(causes, string(text))
	if i < 0 {
		return fmt.Errorf("keepalive: invalid cause %q: must be one of %s", text, strings.Join(causes, ", "))
	}
	*c = Cause(i)
	return nil
}

// Diagnose returns the cause of an error from reading, writing, accepting or dialing. The error
// can be wrapped: in [net.OpError], [os.SyscallError], errors of crypto/tls and net/url, by
// [errors.Join], or by anything else that has an Unwrap method. If there are several causes,
// one that the kernel reported has priority, and then the first.
//
// Do not use err.Timeout() for this purpose. It returns true both for ETIMEDOUT, which
// means that the peer is dead, and for an expired deadline. Code that retries on
// Timeout therefore loops forever on a dead connection. On Windows it returns false for
// WSAETIMEDOUT.
//
// The kernel's errors (read(2), tcp(7); Windows Sockets error codes):
//
//	             Unix                               Windows
//	Dead         ETIMEDOUT, ENETRESET               WSAETIMEDOUT, WSAENETRESET, WSAECONNABORTED,
//	                                                and from overlapped I/O 64, 121, 1236
//	Reset        ECONNRESET, ECONNREFUSED, EPIPE    WSAECONNRESET, WSAECONNREFUSED, 1225, 1234
//	Unreachable  EHOSTUNREACH, ENETUNREACH,         WSAEHOSTUNREACH, WSAENETUNREACH,
//	             EHOSTDOWN, ENETDOWN, and EACCES    WSAEHOSTDOWN, WSAENETDOWN, 1231, 1232
//	             from dialing, reading or writing
//	Closed       ECONNABORTED                       WSAESHUTDOWN, 995
//
// Pass the first error that the connection returned. The kernel reports the reason only once.
// After that, a Read returns [io.EOF] and a Write EPIPE, which are EOF and Reset. See
// [KeepError].
//
// Exceptions:
//
//   - An error that does not wrap the original is Unknown. For example, a gRPC status is.
//   - An error of a library that matches [net.ErrClosed], but is not a wrapper of the standard
//     library, is Unknown, or Deadline if it is a timeout. QUIC's errors match net.ErrClosed
//     also if the peer ended the connection.
//   - Windows returns 64 also for some resets.
//   - ENOTCONN from Read or Write is Dead on Linux, because a Multipath TCP connection without a
//     path ends with it (measured, Linux 6.18). From [Enable] it is Unknown.
//   - On Plan 9, JavaScript and WASI the kernel's errors are Unknown.
func Diagnose(err error) Cause {
	cause, _ := diagnose(err, nil, false)
	return cause
}

// diagnose also reports whether the kernel, or package heartbeat, has reported the cause.
// outer wraps err, or is nil. traffic means that an outer error is from dialing, reading or
// writing.
func diagnose(err, outer error, traffic bool) (found Cause, reported bool) {
	timeout := false // an error on the way is a timeout
	for err != nil {
		// Most errors are these two, and a kernel error inside.
		switch e := err.(type) {
		case *net.OpError:
			switch e.Op {
			case "read", "write", "dial", "readfrom", "writeto":
				traffic = true
			}
			outer, err = err, e.Err
			continue
		case *os.SyscallError:
			outer, err = err, e.Err
			continue
		}
		if c := errnoCause(err, traffic); c != Unknown {
			return c, true
		}
		if e, ok := err.(interface{ PeerDead() bool }); ok && e.PeerDead() {
			return Dead, true
		}
		if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
			timeout = true
		}
		if found == Unknown {
			found = cause(err, outer)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			outer, err = err, e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				c, reported := diagnose(inner, err, traffic)
				if reported {
					return c, true
				}
				if found == Unknown {
					found = c
				}
			}
			err = nil
		default:
			err = nil
		}
	}
	if found == Unknown && timeout {
		found = Deadline
	}
	return found, false
}

// cause returns the cause of err itself, without what it wraps. outer wraps err, or is nil.
func cause(err, outer error) Cause {
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return EOF
	case os.ErrDeadlineExceeded, context.DeadlineExceeded:
		return Deadline
	case os.ErrClosed, io.ErrClosedPipe, context.Canceled:
		return Closed
	case net.ErrClosed:
		if isStandard(outer) {
			return Closed
		}
		return Unknown
	}
	if e, ok := err.(interface{ Is(error) bool }); ok {
		switch {
		case e.Is(os.ErrDeadlineExceeded), e.Is(context.DeadlineExceeded):
			return Deadline
		case e.Is(context.Canceled):
			return Closed
		}
	}
	return Unknown
}

// isStandard reports whether err is nil or has a type of the standard library. The first
// element of other import paths has a dot, or is main.
func isStandard(err error) bool {
	t := reflect.TypeOf(err)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return true
	}
	first, _, _ := strings.Cut(t.PkgPath(), "/")
	return first != "main" && !strings.Contains(first, ".")
}
