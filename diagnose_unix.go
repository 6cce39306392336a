//go:build unix

package keepalive

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// errnoCause returns the cause of a kernel error. traffic means that the error comes
// from dialing, reading or writing.
func errnoCause(err error, traffic bool) Cause {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch errno {
	case unix.ETIMEDOUT, unix.ENETRESET:
		return Dead
	case unix.ECONNRESET, unix.ECONNREFUSED, unix.EPIPE:
		return Reset
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN:
		return Unreachable
	case unix.EACCES:
		if traffic { // a firewall's ICMPv6 message
			return Unreachable
		}
	case unix.ECONNABORTED:
		return Closed
	case unix.ENOTCONN:
		if traffic && host.protocolOpt != nil { // Multipath TCP without a path
			return Dead
		}
	}
	return Unknown
}

func isBrokenPipe(err error) bool { return errors.Is(err, unix.EPIPE) }
