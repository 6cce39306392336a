package keepalive

import "time"

// This file has what the tests in package keepalive_test need in addition to the API.

var NoInfo = noInfo

// IsBrokenPipe reports whether err is EPIPE, on systems that have it.
func IsBrokenPipe(err error) bool { return isBrokenPipe(err) }

// Getpeername returns an error if the connection of a socket has ended.
func Getpeername(fd uintptr) error { return host.sys().getpeername(fd) }

// HasMultipath reports whether this system has Multipath TCP.
func HasMultipath() bool { return host.protocolOpt != nil }

// HostName is the name of this system in error messages.
func HostName() string { return host.name }

// IgnoresUserTimeout reports whether UserTimeout does not change the detection time on this
// system, and LimitsCount whether the shorter of both times counts, as on gVisor.
func IgnoresUserTimeout() bool { return host.variant().userTimeoutRule == ignoresUserTimeout }
func LimitsCount() bool        { return host.variant().userTimeoutRule == userTimeoutLimitsCount }

// InheritsUserTimeout reports whether accepted sockets inherit it, or there is none.
func InheritsUserTimeout() bool {
	opt := host.variant().opts[userTimeout]
	return opt == nil || opt.inherited
}

// A Field is a number in Options, for tests of all of them.
type Field = field

const NumFields = numFields

func (f field) Of(o Options) int64       { return o.field(f) }
func (f field) Set(o *Options, v int64)  { o.setField(f, v) }
func (f field) Value(v int64) any        { return f.value(v) }
func (f field) Unlimited(o Options) bool { return f.unlimited(o.field(f)) }

// Limits are the unit and the range of a field on this system. Min and Max are in units.
type Limits struct {
	Unit     time.Duration
	Min, Max int64
}

// Limits returns nil if this system has no option for the field.
func (f field) Limits() *Limits {
	if opt := host.opts[f]; opt != nil {
		return &Limits{opt.unit, opt.min, opt.max}
	}
	return nil
}
