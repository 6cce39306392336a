package keepalive

import (
	"fmt"
	"math"
	"time"
)

// field is one of the numbers in Options, or keepAlive.
type field int

const (
	idle field = iota
	interval
	count
	userTimeout
	numFields

	keepAlive = numFields // 1, or 0 if Disabled is set
	numOpts   = numFields + 1
)

func (f field) String() string {
	return [...]string{"Idle", "Interval", "Count", "UserTimeout", "KeepAlive"}[f]
}

// value returns v, a value of field f, with the type that it has in Options.
func (f field) value(v int64) any {
	switch f {
	case count:
		return int(v)
	case keepAlive:
		return v != 0
	}
	return time.Duration(v)
}

// unlimited reports whether v removes the user timeout.
func (f field) unlimited(v int64) bool { return f == userTimeout && v == int64(NoUserTimeout) }

func (o *Options) field(f field) int64 {
	switch f {
	case idle:
		return int64(o.Idle)
	case interval:
		return int64(o.Interval)
	case count:
		return int64(o.Count)
	case userTimeout:
		return int64(o.UserTimeout)
	}
	if o.Disabled {
		return 0
	}
	return 1
}

func (o *Options) setField(f field, v int64) {
	switch f {
	case idle:
		o.Idle = time.Duration(v)
	case interval:
		o.Interval = time.Duration(v)
	case count:
		o.Count = int(min(v, math.MaxInt)) // int may have 32 bits
	case userTimeout:
		o.UserTimeout = time.Duration(v)
	case keepAlive:
		o.Disabled = v == 0
	}
}

// sockOpt is one socket option of one system.
type sockOpt struct {
	name       string        // in the system's headers
	level, opt int           // arguments of setsockopt
	unit       time.Duration // of the option's integer; noUnit for a plain number
	min, max   int64         // accepted range, in units
	unlimited  int32         // UserTimeout only: the integer for NoUserTimeout
	inherited  bool          // accepted sockets inherit it, and a listener works with it; both measured
}

// noUnit is the unit of a plain number.
const noUnit time.Duration = 1

// roundUp returns v, which is positive, in s's unit. A division by a constant is much
// faster.
func (s *sockOpt) roundUp(v int64) int64 {
	switch s.unit {
	case time.Second:
		return int64(uint64(v-1)/uint64(time.Second) + 1)
	case time.Millisecond:
		return int64(uint64(v-1)/uint64(time.Millisecond) + 1)
	case noUnit:
		return v
	}
	return (v-1)/int64(s.unit) + 1
}

// roundDown returns the largest time up to d that the system accepts, or the
// smallest that it accepts if d is below. If the system has no option, s is nil,
// and the unit is the second.
func (s *sockOpt) roundDown(d time.Duration) time.Duration {
	if s == nil {
		s = &sockOpt{unit: time.Second, min: 1, max: math.MaxInt32}
	}
	return time.Duration(min(max(int64(d/s.unit), s.min), s.max)) * s.unit
}

// fromKernel returns the value for an integer of the kernel. An undocumented negative
// integer counts as unknown, which is zero.
func (s *sockOpt) fromKernel(f field, v int32) int64 {
	switch {
	case f == keepAlive:
		return int64(v) // macOS, FreeBSD and illumos return 8 for on
	case f == userTimeout && v == s.unlimited:
		return int64(NoUserTimeout)
	}
	return max(0, int64(v)) * int64(s.unit)
}

// limits returns the accepted range as text.
func (s *sockOpt) limits(f field) string {
	return fmt.Sprintf("between %v and %v", f.value(s.min*int64(s.unit)), f.value(s.max*int64(s.unit)))
}
