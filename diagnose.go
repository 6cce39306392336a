package keepalive

import (
	"context"
	"io"
	"net"
	"os"
)

// Cause is why a connection ended, or was not made.
type Cause uint8

const (
	// Unknown is everything else: no error at all, and all that has nothing to
	// do with a connection.
	Unknown Cause = iota

	// Dead is silence: nobody answered, and keepalive, the user timeout, the
	// limit of retransmissions, or package heartbeat gave up. A dial that the
	// kernel gave up is Dead, too. Any error with a method PeerDead() bool can
	// say so.
	Dead

	// Reset is an answer from the peer's system, that there is no such
	// connection, or not any more: it was closed with data unread, the program
	// crashed, the system has restarted, or nobody listens there. Writing after
	// the end ("broken pipe") is Reset as well, whoever has ended it.
	Reset

	// Unreachable is an answer from a system on the way, or this one: there is
	// no route to the peer. It can end a connection when data is in flight.
	Unreachable

	// Deadline is the caller's own: a deadline, the end of a context's time, a
	// timeout of a library. It says nothing about the peer, and the connection
	// may go on.
	Deadline

	// Closed is this side's doing: the connection was closed here, by the
	// program or by the system (ss -K), or a context was canceled.
	Closed

	// EOF is an orderly end: the peer has finished.
	EOF
)

func (c Cause) String() string {
	names := [...]string{"unknown", "dead", "reset", "unreachable", "deadline", "closed", "EOF"}
	if int(c) < len(names) {
		return names[c]
	}
	return names[Unknown]
}

// Diagnose finds the cause in an error that reading, writing, accepting or
// dialing has returned, or a library above: through [net.OpError],
// [os.SyscallError], crypto/tls, net/url, [errors.Join] and all that unwraps.
// Where there are several causes, one that the kernel has told comes before all
// others, and among equals the first.
//
// Do not ask an error whether it is a Timeout() to learn that: ETIMEDOUT, with
// which a connection dies whose peer is dead, says yes, as a deadline does, so
// that who tries again spins on a dead connection. On Windows WSAETIMEDOUT says
// no. Diagnose tells Dead from Deadline on every system.
//
// The kernel's errors, by system (read(2), tcp(7); Windows Sockets error codes):
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
// The kernel tells once. After that a Read returns [io.EOF], and a Write EPIPE,
// which are EOF and Reset to Diagnose: ask it about the first error.
//
// An error that is text and wraps nothing, as gRPC's status is, is Unknown.
// Windows gives 64 for some resets, too. ENOTCONN is Unknown from [Enable], and
// Dead from a Read or Write: there it is how Linux ends a Multipath TCP connection
// of which no path is left (measured, Linux 6.18). On Plan 9, JavaScript and WASI
// the kernel's errors are Unknown.
func Diagnose(err error) (cause Cause) {
	// Somebody's error may be a nil pointer whose methods panic.
	defer func() {
		if recover() != nil {
			cause = Unknown
		}
	}()
	budget := maxErrors
	cause, _ = diagnose(err, &budget)
	return cause
}

// maxErrors bounds the search, in case an error unwraps to itself.
const maxErrors = 1000

// diagnose also tells whether the cause is the kernel's word.
func diagnose(err error, budget *int) (found Cause, kernel bool) {
	timeout := false // of an error that says no more than this
	traffic := false // it comes from dialing, reading or writing
	for err != nil && *budget > 0 {
		*budget--
		// Most errors are these two, and package os's.
		switch e := err.(type) {
		case *net.OpError:
			if e == nil {
				return found, false
			}
			switch e.Op {
			case "read", "write", "dial", "readfrom", "writeto":
				traffic = true
			}
			err = e.Err
			continue
		case *os.SyscallError:
			if e == nil {
				return found, false
			}
			err = e.Err
			continue
		}
		if c := errnoCause(err, traffic); c != Unknown {
			return c, true
		}
		// Package heartbeat's: a verdict as good as the kernel's, whatever its last
		// ping ran into.
		if e, ok := err.(interface{ PeerDead() bool }); ok && e.PeerDead() {
			return Dead, true
		}
		if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
			timeout = true
		}
		if found == Unknown {
			found = cause(err, timeout)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				c, kernel := diagnose(err, budget)
				if kernel {
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

// cause is what err itself says, whatever it wraps. One that was a timeout does
// not become Closed by its looks: QUIC has such errors.
func cause(err error, timeout bool) Cause {
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return EOF
	case os.ErrDeadlineExceeded, context.DeadlineExceeded:
		return Deadline
	case net.ErrClosed, os.ErrClosed, io.ErrClosedPipe, context.Canceled:
		return Closed
	}
	if e, ok := err.(interface{ Is(error) bool }); ok {
		switch {
		case e.Is(os.ErrDeadlineExceeded), e.Is(context.DeadlineExceeded):
			return Deadline
		case !timeout && (e.Is(net.ErrClosed) || e.Is(context.Canceled)):
			return Closed
		}
	}
	return Unknown
}
