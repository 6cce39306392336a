package keepalive

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNotTCP is what every function of this package that takes a connection
// returns, wrapped with the connection's type, when there is no TCP socket
// under it: a Unix or UDP socket, a pipe, a connection made of something else.
// It is also [errors.ErrUnsupported]. A *net.TCPConn is taken at its word.
//
// It has to be asked for: on Linux SO_KEEPALIVE can be set on sockets of any
// kind, to no effect.
var ErrNotTCP = fmt.Errorf("not a TCP connection (%w)", errors.ErrUnsupported)

// OptionError is trouble with one field of [Options], or with the switch that
// turns keepalive on and off.
//
// When the option is missing on this system, the error also is
// [errors.ErrUnsupported] and, where the kernel was asked, the kernel's own
// error: errors.Is(err, syscall.ENOPROTOOPT).
type OptionError struct {
	// Option is the name of the field, "Idle", "Interval", "Count" or
	// "UserTimeout", or "KeepAlive" for the switch that Disabled is about.
	Option string

	// Value is what was asked for: a time.Duration, an int for Count, a bool
	// for KeepAlive. It is nil when the option was read.
	Value any

	// Err says what was wrong.
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

// missingOptions is one error for several options that the system lacks.
type missingOptions []error

func (m missingOptions) Error() string {
	texts := make([]string, len(m))
	for i, err := range m {
		texts[i] = err.(*OptionError).text()
	}
	return "keepalive: " + strings.Join(texts, "; ")
}

func (m missingOptions) Unwrap() []error { return m }

// value is v as the caller wrote it.
func (p param) value(v int64) any {
	if p == count {
		return int(v)
	}
	return time.Duration(v)
}
