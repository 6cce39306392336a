package keepalive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// platform describes one operating system: a table of its socket options, and the
// system calls that read and set them. An option that the system does not have is
// nil.
type platform struct {
	name        string
	opts        [numOpts]*sockOpt
	kernel      kernel   // nil: the real one
	protocolOpt *sockOpt // SO_PROTOCOL, if there is Multipath TCP
	vals        string   // if not "", the control code that sets Idle and Interval in place of their options
	info        *infoCall
	variants    *variants

	defaults     Options                          // as documented, if the kernel cannot be asked
	readDefaults func(*platform) (Options, error) // reads defaults that a new socket does not have
	defaultAbort time.Duration                    // Interval·Count until both are set
	maxTotal     time.Duration                    // largest Idle + Interval·Count; 0: any

	userTimeoutRule userTimeoutRule

	// setRestarts: setting an option restarts the keepalive timer. Then only options
	// that change are set.
	setRestarts bool

	// dropsSilent: the kernel drops a connection that has been silent for
	// Interval·Count when Idle is set, before it sends a probe.
	dropsSilent bool

	// setAfterConnect: options that are set before connect do not start the timer.
	setAfterConnect bool
}

// userTimeoutRule is what a user timeout does to an idle connection.
type userTimeoutRule uint8

const (
	ignoresUserTimeout userTimeoutRule = iota
	userTimeoutReplacesCount
	userTimeoutLimitsCount // the connection is dropped at the earlier of both
)

// kernel is the system calls. systemCalls is the real one, and tests have a fake one.
type kernel interface {
	setsockopt(fd uintptr, level, opt int, v int32) error
	getsockopt(fd uintptr, level, opt int) (int32, error)
	setKeepaliveVals(fd uintptr, on bool, idleMs, intervalMs uint32) error
	isUnsupported(err error) bool      // reports whether err means that there is no such option
	isStream(fd uintptr) (bool, error) // reports whether fd is a stream socket over IPv4 or IPv6
	getpeername(fd uintptr) error      // nil while the socket is connected
}

func (p *platform) sys() kernel {
	if p.kernel != nil {
		return p.kernel
	}
	return systemCalls{}
}

// variants finds out which variant of a system runs this program. For example,
// gVisor looks like Linux, and Windows before 10 version 1709 lacks options.
type variants struct {
	detect func(p *platform, fd uintptr) *platform // asks with a TCP socket; nil: cannot tell
	found  atomic.Pointer[platform]
}

// variantOf returns p's variant on this kernel. It asks the kernel once, with fd.
func (p *platform) variantOf(fd uintptr) *platform {
	if p.variants == nil {
		return p
	}
	v := p.variants.found.Load()
	if v == nil {
		v = p.variants.detect(p, fd)
		if v == nil {
			return p
		}
		p.variants.found.Store(v)
	}
	return v
}

// variant is variantOf without a socket at hand. If it cannot create one, it
// returns p, and asks again next time.
func (p *platform) variant() *platform {
	if p.variants == nil {
		return p
	}
	v := p.variants.found.Load()
	if v == nil {
		v = p
		withNewSocket(func(fd uintptr) { v = p.variantOf(fd) })
	}
	return v
}

// useKeepaliveVals returns the table for a Windows that lacks TCP_KEEPIDLE and
// TCP_KEEPINTVL (before 10 version 1709), and perhaps TCP_KEEPCNT (before 1703).
func useKeepaliveVals(p *platform, fd uintptr) *platform {
	lacks := func(opt *sockOpt) bool {
		_, err := p.sys().getsockopt(fd, opt.level, opt.opt)
		return err != nil && p.sys().isUnsupported(err)
	}
	if !lacks(p.opts[idle]) {
		return p
	}
	old := *p
	old.variants = nil
	old.vals = "SIO_KEEPALIVE_VALS"
	ms := &sockOpt{name: old.vals, unit: time.Millisecond, min: 1, max: math.MaxUint32 / 1000 * 1000}
	old.opts[idle], old.opts[interval] = ms, ms
	if lacks(p.opts[count]) {
		old.opts[count] = nil
	}
	return &old
}

// values are the integers for the kernel, in setOrder.
type values [numOpts]int32

// unchanged marks an option that is not set. No option uses this integer.
const unchanged = math.MinInt32

// setOrder is the order in which options are set. macOS starts the timer of a connection
// when Idle is set while keepalive is on (xnu bsd/netinet/tcp_usrreq.c, tcp_ctloutput). If
// the connection has been silent for longer than Idle, Linux sends a probe at once, and the
// next one after the Interval that is set by then.
var setOrder = [numOpts]field{keepAlive, interval, count, userTimeout, idle}

// encode converts o to raw. It returns false if a value is invalid. An option that the
// system does not have gets any value, because setFrom does not use it.
func (p *platform) encode(o *Options, raw *values) bool {
	raw[0] = 1
	if o.Disabled {
		raw[0] = 0
	}
	for i, v := range [...]int64{int64(o.Interval), int64(o.Count), int64(o.UserTimeout), int64(o.Idle)} {
		if v == 0 {
			raw[i+1] = unchanged
			continue
		}
		f := setOrder[i+1]
		opt := p.opts[f]
		if opt == nil {
			if v < 0 {
				return false
			}
			continue
		}
		n := opt.roundUp(v) // out of range for a negative v
		if n < opt.min || n > opt.max {
			if !f.unlimited(v) {
				return false
			}
			n = int64(opt.unlimited)
		}
		raw[i+1] = int32(n)
	}
	return p.maxTotal == 0 || p.checkTotal(o.or(p.defaults)) == nil
}

// check returns the reason why encode returns false.
func (p *platform) check(o *Options) error {
	for f := range numFields {
		v, opt := o.field(f), p.opts[f]
		if v < 0 || v > 0 && opt != nil && !f.unlimited(v) && (opt.roundUp(v) < opt.min || opt.roundUp(v) > opt.max) {
			return p.rangeError(f, v)
		}
	}
	return p.checkTotal(o.or(p.defaults))
}

func (p *platform) rangeError(f field, v int64) error {
	var why error
	switch opt := p.opts[f]; {
	case opt == nil:
		why = errors.New("must be 0 (unchanged) or positive")
	case v < 0:
		why = fmt.Errorf("must be 0 (unchanged) or %s on %s", opt.limits(f), p.name)
	default:
		why = fmt.Errorf("must be %s on %s (%s)", opt.limits(f), p.name, opt.name)
	}
	return &OptionError{Option: f.String(), Value: f.value(v), Err: why}
}

// checkTotal returns an error if Idle + Interval·Count overflows in the kernel.
func (p *platform) checkTotal(o Options) error {
	total := addSat(o.Idle, mulSat(o.Interval, int64(o.Count)))
	if p.maxTotal == 0 || total <= p.maxTotal {
		return nil
	}
	return &OptionError{Option: count.String(), Value: o.Count, Err: fmt.Errorf(
		"with Idle %v and Interval %v, Idle + Interval·Count is %v: must be at most %v on %s", o.Idle, o.Interval, total, p.maxTotal, p.name)}
}

// or returns o with the fields of other for those that are zero.
func (o Options) or(other Options) Options {
	for f := range numFields {
		o.setField(f, cmp.Or(o.field(f), other.field(f)))
	}
	return o
}

// apply sets o on a socket. If options are unsupported, it sets all others, and returns one
// error for them. It stops at any other error.
func (p *platform) apply(fd uintptr, o Options) error {
	p = p.variantOf(fd)
	first := 0
	if p.setRestarts {
		changes, switched, err := p.changes(fd, o)
		if err != nil {
			return err
		}
		o = changes
		if !switched {
			first = 1
		}
	}
	var raw values
	if !p.encode(&o, &raw) {
		return p.check(&o)
	}
	if p.vals != "" {
		if err := p.setVals(fd, o); err != nil {
			return err
		}
		raw[slices.Index(setOrder[:], idle)], raw[slices.Index(setOrder[:], interval)] = unchanged, unchanged
	}
	var unsupported unsupportedOptions
	for failed, err := p.setFrom(fd, &raw, first); err != nil; failed, err = p.setFrom(fd, &raw, failed+1) {
		f := setOrder[failed]
		err = p.optionError(f, o.field(f), "setsockopt", err)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if !f.unlimited(o.field(f)) { // without an option there is no limit
			unsupported = append(unsupported, err)
		}
	}
	return unsupported.err()
}

// isPlain reports whether apply is known to consist of setFrom.
func (p *platform) isPlain() bool {
	return p.variants != nil && p.variants.found.Load() == p && !p.setRestarts
}

// setFrom sets raw, beginning at index i. It stops at an error and returns its index. It
// contains only what is necessary, because each function and each variable around the
// system calls costs 1 to 3 % of them (bench, Enable).
func (p *platform) setFrom(fd uintptr, raw *values, i int) (failed int, err error) {
	for ; i < len(raw); i++ {
		v := raw[i]
		if v == unchanged {
			continue
		}
		opt := p.opts[setOrder[i]]
		switch {
		case opt == nil:
			return i, errNoOption
		case p.kernel == nil:
			err = setsockopt(fd, opt.level, opt.opt, v) // inlined
		default:
			err = p.kernel.setsockopt(fd, opt.level, opt.opt, v)
		}
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

func (p *platform) optionError(f field, v int64, call string, err error) error {
	return &OptionError{Option: f.String(), Value: f.value(v), Err: p.wrapErr(p.opts[f], call, err)}
}

// changes returns o without the values that are in effect already, and whether
// keepalive has to be turned on or off. It returns an error if the kernel would
// drop the connection because of the changes.
func (p *platform) changes(fd uintptr, o Options) (changed Options, switched bool, err error) {
	now, err := p.read(fd)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return o, true, err
	}
	result := o.or(now)
	if err := p.checkTotal(result); err != nil {
		return o, true, err
	}
	if now.Disabled == o.Disabled {
		for f := range numFields {
			if opt := p.opts[f]; opt != nil && o.field(f) > 0 && !f.unlimited(o.field(f)) && opt.roundUp(o.field(f))*int64(opt.unit) == now.field(f) {
				o.setField(f, 0)
			}
		}
	}
	if p.dropsSilent && o.Idle != 0 && !o.Disabled && p.info != nil {
		limit := mulSat(result.Interval, int64(result.Count))
		if i, open, err := p.info.read(fd); err == nil && open && i.Silence >= limit {
			return o, true, fmt.Errorf("keepalive: the connection has been silent for %v: %s would drop it when Idle is set, because Interval·Count is only %v; set options earlier, or after data has arrived",
				i.Silence.Round(time.Millisecond), p.name, limit)
		}
	}
	return o, now.Disabled != o.Disabled, nil
}

// setVals sets Idle and Interval with p.vals. The call turns keepalive on or off and always
// sets both, so a zero field gets the default. It cannot be read.
func (p *platform) setVals(fd uintptr, o Options) error {
	if o.Idle == 0 && o.Interval == 0 && !o.Disabled {
		return nil
	}
	ms := func(f field) uint32 {
		return uint32(p.opts[f].roundUp(cmp.Or(o.field(f), p.defaults.field(f))))
	}
	err := p.sys().setKeepaliveVals(fd, !o.Disabled, ms(idle), ms(interval))
	if err == nil {
		return nil
	}
	e := &OptionError{Option: "KeepAlive", Value: !o.Disabled, Err: p.wrapErr(&sockOpt{name: p.vals}, "wsaioctl", err)}
	switch {
	case o.Idle != 0:
		e.Option, e.Value = idle.String(), o.Idle
	case o.Interval != 0:
		e.Option, e.Value = interval.String(), o.Interval
	}
	return e
}

// read returns the options of a socket. A user timeout that the system does not
// have is zero. Each other option that cannot be read is part of the error.
func (p *platform) read(fd uintptr) (Options, error) {
	var o Options
	var unsupported unsupportedOptions
	for _, f := range setOrder {
		v, err := int32(0), errNoOption
		opt := p.opts[f]
		if opt != nil && (p.vals == "" || f != idle && f != interval) {
			v, err = p.sys().getsockopt(fd, opt.level, opt.opt)
		}
		if err == nil {
			o.setField(f, opt.fromKernel(f, v))
			continue
		}
		err = &OptionError{Option: f.String(), Err: p.wrapErr(opt, "getsockopt", err)}
		switch {
		case !errors.Is(err, errors.ErrUnsupported):
			return Options{}, err
		case f == keepAlive:
			o.Disabled = true
			fallthrough
		case f != userTimeout:
			unsupported = append(unsupported, err)
		}
	}
	return o, unsupported.err()
}

// errNoOption stands for the error of a system call that was not made.
var errNoOption = errors.New("no such socket option")

// wrapErr adds the name of the option to the error of a system call. An option
// that the system does not have matches errors.ErrUnsupported.
func (p *platform) wrapErr(opt *sockOpt, call string, err error) error {
	switch {
	case err == errNoOption:
		return fmt.Errorf("%w: %s has no socket option for it", errors.ErrUnsupported, p.name)
	case p.sys().isUnsupported(err):
		return fmt.Errorf("%w: %s: %w", errors.ErrUnsupported, opt.name, os.NewSyscallError(call, err))
	}
	return fmt.Errorf("%s: %w", opt.name, os.NewSyscallError(call, err))
}

// checkConnected returns an error matching syscall.ENOTCONN if a socket is not, or
// no longer, connected.
func (p *platform) checkConnected(fd uintptr) error {
	err := p.sys().getpeername(fd)
	if err == nil {
		return nil
	}
	if p.info != nil { // TCP Fast Open may not have connected yet
		if _, open, err := p.info.read(fd); err == nil && open {
			return nil
		}
	}
	return fmt.Errorf("keepalive: connection is closed (Read returns the reason): %w", os.NewSyscallError("getpeername", err))
}

// isMultipath reports whether fd is a Multipath TCP socket.
func (p *platform) isMultipath(fd uintptr) bool {
	const ipprotoMPTCP = 262
	if p.protocolOpt == nil {
		return false
	}
	v, err := p.sys().getsockopt(fd, p.protocolOpt.level, p.protocolOpt.opt)
	return err == nil && v == ipprotoMPTCP
}

// withNewSocket calls f with a new TCP socket. Package net creates it, in the same
// way on every system, and stops before bind because the hook returns an error.
func withNewSocket(f func(fd uintptr)) error {
	done := errors.New("done")
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if err := c.Control(f); err != nil {
			return err
		}
		return done
	}}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", ":0")
	if ln != nil {
		ln.Close()
	}
	if !errors.Is(err, done) {
		return fmt.Errorf("keepalive: cannot create a socket to ask the kernel: %w", err)
	}
	return nil
}

// validate sets o on a new socket.
func (p *platform) validate(o Options) error {
	if p.opts[keepAlive] == nil {
		return p.apply(0, o) // makes no system call
	}
	var err error
	if serr := withNewSocket(func(fd uintptr) { err = p.apply(fd, o) }); serr != nil {
		return serr
	}
	return err
}

// systemDefaults reads the options of a new socket, and then those that a socket
// does not have from elsewhere.
func (p *platform) systemDefaults() (Options, error) {
	if p.opts[keepAlive] == nil {
		return p.read(0) // makes no system call
	}
	var o Options
	var err error
	if serr := withNewSocket(func(fd uintptr) { o, err = p.read(fd) }); serr != nil {
		return Options{}, serr
	}
	if p.readDefaults == nil || !errors.Is(err, errors.ErrUnsupported) {
		return o, err
	}
	more, merr := p.readDefaults(p)
	if merr != nil {
		return o, errors.Join(err, merr)
	}
	return o.or(more), nil
}
