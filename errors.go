package keepalive

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotTCP is returned, wrapped with the type of the connection, if a
// connection is not a TCP connection. For example, it is a Unix socket, a UDP
// socket, or a [net.Pipe]. ErrNotTCP matches [errors.ErrUnsupported].
//
// The check is necessary because Linux accepts SO_KEEPALIVE on every kind of
// socket, without any effect.
var ErrNotTCP = fmt.Errorf("not a TCP connection (%w)", errors.ErrUnsupported)

// OptionError reports a problem with one field of [Options], or with turning
// keepalive on or off.
//
// If the system does not support the option, the error matches
// [errors.ErrUnsupported]. If the kernel returned an error, for example
// syscall.ENOPROTOOPT, it matches that error as well.
type OptionError struct {
	// Option is the name of the field: "Idle", "Interval", "Count" or
	// "UserTimeout". It is "KeepAlive" if turning keepalive on or off failed.
	Option string

	// Value is the requested value. It is a time.Duration, an int for Count, or a
	// bool for KeepAlive. It is nil if reading the option failed.
	Value any

	// Err is the reason.
	Err error
}

func (e *OptionError) Error() string { return "keepalive: " + e.text() }

func (e *OptionError) text() string {
	if e.Value == nil {
		return e.Option + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s %v: %v", e.Option, e.Value, e.Err)
}

func (e *OptionError) Unwrap() error { return e.Err }

// unsupportedOptions is one error for several options that the system does not
// support. Each element is an *OptionError.
type unsupportedOptions []error

func (u unsupportedOptions) Error() string {
	texts := make([]string, len(u))
	for i, err := range u {
		texts[i] = err.(*OptionError).text()
	}
	return "keepalive: " + strings.Join(texts, "; ")
}

func (u unsupportedOptions) Unwrap() []error { return u }

func (u unsupportedOptions) err() error {
	switch len(u) {
	case 0:
		return nil
	case 1:
		return u[0]
	}
	return u
}
