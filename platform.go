package keepalive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"
)

// param is one of the numbers in Options.
type param int

const (
	idle param = iota
	interval
	count
	userTimeout
	numParams
)

// order is the order in which they are set. The idle time comes last: when a
// connection has been silent for longer, Linux probes at once, and the next probe
// comes after the interval that it has by then.
var order = [numParams]param{interval, count, userTimeout, idle}

func (p param) String() string {
	return [...]string{"Idle", "Interval", "Count", "UserTimeout"}[p]
}

// row is one socket option of one system.
type row struct {
	name       string        // as the system's headers have it
	level, opt int           // arguments of setsockopt
	unit       time.Duration // what one of the option's integer stands for; 1 for a plain number
	min, max   int64         // what the system takes, in units
	none       int32         // UserTimeout only: the integer that means NoUserTimeout
	inherited  bool          // accepted sockets have it from the listener, measured, and the listener is safe with it
}

// isNone reports whether v asks for no limit at all.
func (p param) isNone(v int64) bool { return p == userTimeout && v == int64(NoUserTimeout) }

// number is the unit of a plain number.
const number time.Duration = 1

// platform is one operating system: a table, and the system calls it is fed to.
// An option whose row is nil is missing there.
type platform struct {
	name   string
	on     *row // SO_KEEPALIVE
	rows   [numParams]*row
	proto  *row   // the option that reads the protocol, where there is Multipath TCP
	times  *times // what idle and interval are set with where their options are missing
	kernel kernel
	info   *infoCall // nil where there is none

	userTimeoutRules bool                             // it replaces the count, and alone counts while data is in flight: Linux, as in firstProbe
	abort            time.Duration                    // what interval·count is until both are set
	elsewhere        func(*platform) (Options, error) // the defaults that cannot be read from a socket
}

// times is a control code that switches keepalive and sets both of its times
// at once, in milliseconds, and cannot be read: Windows's SIO_KEEPALIVE_VALS.
type times struct {
	name           string
	idle, interval time.Duration // the system's own, for the one that is to be left alone
}

// infoCall is how to read what the kernel knows of a connection.
type infoCall struct {
	name, call string
	read       func(fd uintptr) (i Info, open bool, err error) // whether the connection is still one
}

// kernel is the system calls. There is one for every kind of system, and
// made-up ones in the tests.
type kernel interface {
	set(fd uintptr, level, opt int, v int32) error
	get(fd uintptr, level, opt int) (int32, error)
	setTimes(fd uintptr, on bool, idle, interval uint32) error
	missing(err error) bool              // does err say that there is no such option?
	inetStream(fd uintptr) (bool, error) // a stream socket over IPv4 or IPv6?
	peer(fd uintptr) error               // getpeername's, nil while connected
}

// isTCP asks for an option that every TCP has. Linux answers for other sockets
// that there is no such option. BSD may say EINVAL, but to a TCP socket that
// was reset as well: then the kind of socket decides.
func (p *platform) isTCP(fd uintptr) error {
	const ipprotoTCP, tcpNoDelay = 6, 1 // on every system
	_, err := p.kernel.get(fd, ipprotoTCP, tcpNoDelay)
	switch {
	case err == nil:
		return nil
	case p.kernel.missing(err):
		return errNotTCP
	}
	stream, err := p.kernel.inetStream(fd)
	if err == nil && !stream {
		err = errNotTCP
	}
	return err
}

// errNotTCP is isTCP's answer for a socket of another kind.
var errNotTCP = errors.New("not TCP")

// isMultipath reports whether the socket is a Multipath TCP one.
func (p *platform) isMultipath(fd uintptr) bool {
	const ipprotoMPTCP = 262
	if p.proto == nil {
		return false
	}
	v, err := p.kernel.get(fd, p.proto.level, p.proto.opt)
	return err == nil && v == ipprotoMPTCP
}

// encode returns v, a positive value, in r's unit, rounded up.
func (r *row) encode(v int64) int64 {
	n := v / int64(r.unit)
	if v%int64(r.unit) != 0 {
		n++
	}
	return n
}

// raw is the integer for the kernel; check has seen to it that it fits.
func (r *row) raw(p param, v int64) int32 {
	if p.isNone(v) {
		return r.none
	}
	return int32(r.encode(v))
}

// decode is the reverse of raw. An integer without meaning is zero, not known.
func (r *row) decode(p param, raw int32) int64 {
	if p == userTimeout && raw == r.none {
		return int64(NoUserTimeout)
	}
	return max(0, int64(raw)) * int64(r.unit)
}

func (o *Options) get(p param) int64 {
	switch p {
	case idle:
		return int64(o.Idle)
	case interval:
		return int64(o.Interval)
	case count:
		return int64(o.Count)
	default:
		return int64(o.UserTimeout)
	}
}

func (o *Options) set(p param, v int64) {
	switch p {
	case idle:
		o.Idle = time.Duration(v)
	case interval:
		o.Interval = time.Duration(v)
	case count:
		o.Count = int(min(v, math.MaxInt)) // int has 32 bits on some
	default:
		o.UserTimeout = time.Duration(v)
	}
}

// check finds values that no call must be made with.
func (p *platform) check(o Options) error {
	for i := range numParams {
		v, r := o.get(i), p.rows[i]
		if v == 0 || i.isNone(v) {
			continue
		}
		var why error
		switch {
		case v < 0 && r == nil:
			why = errors.New("is negative; zero leaves the setting alone")
		case v < 0:
			why = fmt.Errorf("is negative; %s takes %s, zero leaves the setting alone", p.name, r.limits(i))
		case r != nil && (v <= (r.min-1)*int64(r.unit) || v > r.max*int64(r.unit)): // as it would be after encode, without a division
			why = fmt.Errorf("is out of range; %s takes %s (%s)", p.name, r.limits(i), r.name)
		default:
			continue
		}
		return &OptionError{Option: i.String(), Value: i.value(v), Err: why}
	}
	return nil
}

func (r *row) limits(p param) string {
	return fmt.Sprintf("%v to %v", p.value(r.min*int64(r.unit)), p.value(r.max*int64(r.unit)))
}

// apply sets o, which has passed check, on a socket: all that the system has.
// It stops at a real failure, and otherwise names all the options it missed.
func (p *platform) apply(fd uintptr, o Options) error {
	var lacking missingOptions
	if err := p.turn(fd, !o.Disabled); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		lacking = append(lacking, err)
	}
	if p.times != nil && (o.Idle != 0 || o.Interval != 0 || o.Disabled) {
		done, err := p.applyTimes(fd, o)
		if err != nil {
			return err
		}
		if done {
			o.Idle, o.Interval = 0, 0
		}
	}
	for _, i := range order {
		v := o.get(i)
		if v == 0 {
			continue
		}
		err := p.applyRow(fd, i, v)
		if err == nil {
			continue
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if !i.isNone(v) { // there is none where there is no option for it
			lacking = append(lacking, err)
		}
	}
	return lacking.err()
}

// get is read for a connection, and an error when that is over.
func (p *platform) get(fd uintptr) (Options, error) {
	o, err := p.read(fd)
	if p.on != nil && (err == nil || errors.Is(err, errors.ErrUnsupported)) {
		err = cmp.Or(p.over(fd), err)
	}
	return o, err
}

// over is an error when the connection is over, or was never made.
func (p *platform) over(fd uintptr) error {
	gone := p.kernel.peer(fd)
	if gone == nil {
		return nil
	}
	if p.info != nil { // it may still be on its way: TCP Fast Open
		if _, open, err := p.info.read(fd); err == nil && open {
			return nil
		}
	}
	return fmt.Errorf("keepalive: the connection is over; a Read tells why: %w", os.NewSyscallError("getpeername", gone))
}

// turn switches SO_KEEPALIVE. It comes before the times: Darwin arms the timer
// of a connected socket when the idle time is set while keepalive is on (xnu
// bsd/netinet/tcp_usrreq.c, tcp_ctloutput).
func (p *platform) turn(fd uintptr, on bool) error {
	err := errNoOption
	if p.on != nil {
		var v int32
		if on {
			v = 1
		}
		err = p.kernel.set(fd, p.on.level, p.on.opt, v)
	}
	if err == nil {
		return nil
	}
	return &OptionError{Option: "KeepAlive", Value: on, Err: p.explain(fd, p.on, "setsockopt", err)}
}

func (p *platform) applyRow(fd uintptr, i param, v int64) error {
	r, err := p.rows[i], errNoOption
	if r != nil {
		err = p.kernel.set(fd, r.level, r.opt, r.raw(i, v))
	}
	if err == nil {
		return nil
	}
	return &OptionError{Option: i.String(), Value: i.value(v), Err: p.explain(fd, r, "setsockopt", err)}
}

// applyTimes uses p.times where the option for the idle time is missing, and
// reports whether it did. The call sets both times, so the one that is to be
// left alone gets the system's default.
func (p *platform) applyTimes(fd uintptr, o Options) (bool, error) {
	r := p.rows[idle]
	if _, err := p.kernel.get(fd, r.level, r.opt); err == nil || !p.kernel.missing(err) {
		return false, nil
	}
	ms := func(d, otherwise time.Duration) uint32 {
		if d == 0 {
			d = otherwise
		}
		return uint32(p.times.row().encode(int64(d)))
	}
	err := p.kernel.setTimes(fd, !o.Disabled, ms(o.Idle, p.times.idle), ms(o.Interval, p.times.interval))
	switch {
	case err == nil:
		return true, nil
	case p.kernel.missing(err):
		return false, nil // then the options' own rows say so
	}
	option, value := "KeepAlive", any(!o.Disabled)
	switch {
	case o.Idle != 0:
		option, value = idle.String(), o.Idle
	case o.Interval != 0:
		option, value = interval.String(), o.Interval
	}
	return false, &OptionError{option, value, p.explain(fd, &row{name: p.times.name}, "wsaioctl", err)}
}

// read returns what is in force. A user timeout that is missing is none; all
// else that is missing is in force somewhere, unseen, and an error.
func (p *platform) read(fd uintptr) (Options, error) {
	var o Options
	var lacking missingOptions
	on, err := int32(0), errNoOption
	if p.on != nil {
		on, err = p.kernel.get(fd, p.on.level, p.on.opt)
	}
	if err != nil {
		err = &OptionError{Option: "KeepAlive", Err: p.explain(fd, p.on, "getsockopt", err)}
		if !errors.Is(err, errors.ErrUnsupported) {
			return Options{}, err
		}
		lacking = append(lacking, err)
	}
	o.Disabled = on == 0 // 8 is on, too: Darwin, FreeBSD and illumos return the flag's bit
	for i := range numParams {
		v, err := p.readRow(fd, i)
		switch {
		case err == nil:
			o.set(i, v)
		case !errors.Is(err, errors.ErrUnsupported):
			return Options{}, err
		case i != userTimeout:
			lacking = append(lacking, err)
		}
	}
	return o, lacking.err()
}

func (p *platform) readRow(fd uintptr, i param) (int64, error) {
	raw, r, err := int32(0), p.rows[i], errNoOption
	if r != nil {
		raw, err = p.kernel.get(fd, r.level, r.opt)
	}
	if err == nil {
		return r.decode(i, raw), nil
	}
	return 0, &OptionError{Option: i.String(), Err: p.explain(fd, r, "getsockopt", err)}
}

// errNoOption stands for the error of a call that was not made.
var errNoOption = errors.New("no such socket option")

// explain is err as the caller gets it: with the name of the option, and
// whether it is missing on this system, or the connection gone.
func (p *platform) explain(fd uintptr, r *row, call string, err error) error {
	if err == errNoOption {
		return fmt.Errorf("%w: %s has no socket option for it", errors.ErrUnsupported, p.name)
	}
	if p.kernel.missing(err) {
		return fmt.Errorf("%w: %s: %w", errors.ErrUnsupported, r.name, os.NewSyscallError(call, err))
	}
	// Darwin and illumos call it an invalid argument when the connection was
	// reset: say what it is.
	if peer := p.kernel.peer(fd); peer != nil {
		return fmt.Errorf("%s: %w (%w)", r.name, os.NewSyscallError(call, err), os.NewSyscallError("getpeername", peer))
	}
	return fmt.Errorf("%s: %w", r.name, os.NewSyscallError(call, err))
}

func (m missingOptions) err() error {
	switch len(m) {
	case 0:
		return nil
	case 1:
		return m[0]
	}
	return m
}

// fresh runs f on a socket that nobody has touched. Package net makes it, on
// every system alike, and stops before it is bound, because the hook fails.
func fresh(f func(fd uintptr)) error {
	done := errors.New("done")
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if err := c.Control(f); err != nil {
			return err
		}
		return done
	}}
	lc.SetMultipathTCP(false) // what most connections are
	ln, err := lc.Listen(context.Background(), "tcp", ":0")
	if ln != nil {
		ln.Close()
	}
	if !errors.Is(err, done) {
		return fmt.Errorf("keepalive: cannot ask the kernel: %w", err)
	}
	return nil
}

// validate sets o on a fresh socket.
func (p *platform) validate(o Options) error {
	if p.on == nil {
		return p.apply(0, o) // no call is made: all is missing
	}
	var err error
	if ferr := fresh(func(fd uintptr) { err = p.apply(fd, o) }); ferr != nil {
		return ferr
	}
	return err
}

// defaults reads a fresh socket, and from elsewhere what that does not tell.
func (p *platform) defaults() (Options, error) {
	if p.on == nil {
		return p.read(0) // no call is made: all is missing
	}
	var o Options
	var err error
	if ferr := fresh(func(fd uintptr) { o, err = p.read(fd) }); ferr != nil {
		return Options{}, ferr
	}
	if p.elsewhere == nil || !errors.Is(err, errors.ErrUnsupported) {
		return o, err
	}
	more, merr := p.elsewhere(p)
	if merr != nil {
		return o, errors.Join(err, merr)
	}
	for i := range numParams {
		if o.get(i) == 0 {
			o.set(i, more.get(i))
		}
	}
	return o, nil
}
