//go:build unix || windows

package keepalive_test

import (
	"errors"
	"io"
	"syscall"
)

// errBrokenPipe is the error of a Write after the end of the connection.
var errBrokenPipe error = syscall.EPIPE

// dead reports whether err is the error of a connection whose peer is dead.
func dead(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.Errno(10060)) // WSAETIMEDOUT
}

// reset reports whether err is the error of a connection that the peer has reset.
func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.Errno(10054)) || // WSAECONNRESET
		err == io.EOF && resetIsEOF
}

// notConnected reports whether err means that the connection has already ended.
func notConnected(err error) bool { return errors.Is(err, syscall.ENOTCONN) }

// untranslated reports whether err is a number that qemu-user has not translated
// for MIPS, whose errors have numbers of their own: what connect ends with.
func untranslated(err error) bool {
	return hostErrnos && (errors.Is(err, syscall.Errno(110)) || errors.Is(err, syscall.Errno(111)))
}
