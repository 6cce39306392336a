package keepalive

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Errors of the fake kernel.
var (
	errMissing = errors.New("fake: no such option")
	errRefused = errors.New("fake: refused")
	errGone    = errors.New("fake: not connected")
)

// fakeKernel is a kernel made of maps, by option number.
type fakeKernel struct {
	values   map[int]int32
	fails    map[int]error // of set and get
	valsFail error
	gone     bool
	kind     bool
	kindErr  error
	calls    []string
}

func (k *fakeKernel) setsockopt(_ uintptr, _, opt int, v int32) error {
	k.calls = append(k.calls, fmt.Sprintf("set %d=%d", opt, v))
	if err := k.fails[opt]; err != nil {
		return err
	}
	k.values[opt] = v
	return nil
}

func (k *fakeKernel) getsockopt(_ uintptr, _, opt int) (int32, error) {
	return k.values[opt], k.fails[opt]
}

func (k *fakeKernel) setKeepaliveVals(_ uintptr, on bool, idle, interval uint32) error {
	k.calls = append(k.calls, fmt.Sprintf("vals %v %d %d", on, idle, interval))
	return k.valsFail
}

func (k *fakeKernel) isUnsupported(err error) bool   { return err == errMissing }
func (k *fakeKernel) isStream(uintptr) (bool, error) { return k.kind, k.kindErr }
func (k *fakeKernel) getpeername(uintptr) error {
	if k.gone {
		return errGone
	}
	return nil
}

// Option numbers of the fake systems.
const (
	optOn = iota + 101
	optIdle
	optInterval
	optCount
	optUserTimeout
)

// fake returns a system with these units. 0 stands for options that it does not have.
func fake(times, user time.Duration) (*platform, *fakeKernel) {
	k := &fakeKernel{values: map[int]int32{}, fails: map[int]error{}}
	p := &platform{name: "fakeos", kernel: k}
	p.opts[keepAlive] = &sockOpt{name: "ON", opt: optOn}
	if times != 0 {
		p.opts[idle] = &sockOpt{name: "IDLE", opt: optIdle, unit: times, min: 1, max: math.MaxInt32}
		p.opts[interval] = &sockOpt{name: "INTERVAL", opt: optInterval, unit: times, min: 1, max: 60}
		p.opts[count] = &sockOpt{name: "COUNT", opt: optCount, unit: noUnit, min: 1, max: 10}
	}
	if user != 0 {
		p.opts[userTimeout] = &sockOpt{name: "USER", opt: optUserTimeout, unit: user, min: 1, max: math.MaxInt32, unlimited: -1}
	}
	return p, k
}

// try is Enable.
func (p *platform) try(o Options) error {
	return p.apply(7, o)
}

func TestUnits(t *testing.T) {
	t.Parallel()
	o := Options{Idle: 1500 * time.Millisecond, Interval: 1, Count: 3, UserTimeout: time.Minute + 1}
	for _, c := range []struct {
		name        string
		times, user time.Duration
		calls       []string
		back        Options
	}{
		{"seconds", time.Second, time.Millisecond,
			[]string{"set 101=1", "set 103=1", "set 104=3", "set 105=60001", "set 102=2"},
			Options{Idle: 2 * time.Second, Interval: time.Second, Count: 3, UserTimeout: 60001 * time.Millisecond}},
		{"half-seconds", time.Second / 2, time.Second,
			[]string{"set 101=1", "set 103=1", "set 104=3", "set 105=61", "set 102=3"},
			Options{Idle: 1500 * time.Millisecond, Interval: time.Second / 2, Count: 3, UserTimeout: 61 * time.Second}},
		{"milliseconds", time.Millisecond, time.Second,
			[]string{"set 101=1", "set 103=1", "set 104=3", "set 105=61", "set 102=1500"},
			Options{Idle: 1500 * time.Millisecond, Interval: time.Millisecond, Count: 3, UserTimeout: 61 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, k := fake(c.times, c.user)
			require.NoError(t, p.try(o))
			assert.Equal(t, c.calls, k.calls, "the switch first, then the fields in their order")
			back, err := p.read(7)
			require.NoError(t, err)
			assert.Equal(t, c.back, back)

			k.values[optOn] = 8 // a bit, as on Darwin
			back, err = p.read(7)
			require.NoError(t, err)
			assert.False(t, back.Disabled)
		})
	}
}

func TestZeroAndNone(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, time.Second)
	require.NoError(t, p.try(Options{}))
	assert.Equal(t, []string{"set 101=1"}, k.calls)

	k.calls = nil
	require.NoError(t, p.try(Options{UserTimeout: NoUserTimeout, Disabled: true}))
	assert.Equal(t, []string{"set 101=0", "set 105=-1"}, k.calls)
	back, err := p.read(7)
	require.NoError(t, err)
	assert.Equal(t, Options{UserTimeout: NoUserTimeout, Disabled: true}, back)

	k.values[optUserTimeout] = -77 // an integer without meaning
	back, err = p.read(7)
	require.NoError(t, err)
	assert.Zero(t, back.UserTimeout)
}

func TestRangesOfFakeSystems(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, time.Second)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Idle: -time.Second}, "keepalive: Idle -1s: must be 0 (unchanged) or between 1s and 596523h14m7s on fakeos"},
		{Options{Idle: time.Second, Interval: time.Minute + 1}, "keepalive: Interval 1m0.000000001s: must be between 1s and 1m0s on fakeos (INTERVAL)"},
		{Options{Idle: time.Second, Count: 11}, "keepalive: Count 11: must be between 1 and 10 on fakeos (COUNT)"},
		{Options{UserTimeout: NoUserTimeout - 1}, "keepalive: UserTimeout 2562047h47m16.854775806s: must be between 1s and 596523h14m7s on fakeos (USER)"},
	} {
		require.EqualError(t, p.try(c.o), c.want)
		assert.Empty(t, k.calls, "refused before any system call")
	}
	p, _ = fake(0, 0)
	assert.EqualError(t, p.try(Options{Count: -1}), "keepalive: Count -1: must be 0 (unchanged) or positive")
}

func TestMissingOptions(t *testing.T) {
	t.Parallel()
	full := Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: time.Minute}

	t.Run("one, says the kernel", func(t *testing.T) {
		p, k := fake(time.Second, time.Second)
		k.fails[optCount] = errMissing
		err := p.try(full)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, err, errMissing, "the kernel's own error")
		var oe *OptionError
		require.ErrorAs(t, err, &oe)
		assert.Equal(t, []any{"Count", 3}, []any{oe.Option, oe.Value})
		assert.Equal(t, []string{"set 101=1", "set 103=5", "set 104=3", "set 105=60", "set 102=45"}, k.calls, "all the others were set")

		back, err := p.read(7)
		require.ErrorIs(t, err, errMissing)
		assert.Equal(t, Options{Idle: 45 * time.Second, Interval: 5 * time.Second, UserTimeout: time.Minute}, back)
		require.ErrorAs(t, err, &oe)
		assert.Equal(t, []any{"Count", nil}, []any{oe.Option, oe.Value})
	})
	t.Run("all the numbers, says the table", func(t *testing.T) {
		p, k := fake(0, 0) // OpenBSD
		err := p.try(full)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		for _, name := range []string{"Idle 45s", "Interval 5s", "Count 3", "UserTimeout 1m0s"} {
			assert.ErrorContains(t, err, name)
		}
		assert.NotContains(t, err.Error(), "\n")
		assert.Equal(t, []string{"set 101=1"}, k.calls)
		require.NoError(t, p.try(Options{}))
		require.NoError(t, p.try(Options{UserTimeout: NoUserTimeout}), "there is none")
		back, err := p.read(7)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.NotContains(t, err.Error(), "UserTimeout", "one that cannot be set is not in force")
		assert.Equal(t, Options{}, back)
	})
	t.Run("everything", func(t *testing.T) {
		p := &platform{name: "fakeos"} // without a kernel
		err := p.apply(7, full)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.ErrorContains(t, err, "KeepAlive true")
		_, err = p.read(7)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, p.validate(Options{}), errors.ErrUnsupported)
	})
}

func TestFailureInTheMiddle(t *testing.T) {
	t.Parallel()
	full := Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}
	for opt, want := range map[int]OptionError{
		optOn:       {Option: "KeepAlive", Value: true},
		optIdle:     {Option: "Idle", Value: 45 * time.Second},
		optInterval: {Option: "Interval", Value: 5 * time.Second},
		optCount:    {Option: "Count", Value: 3},
	} {
		p, k := fake(time.Second, 0)
		k.fails[opt] = errRefused
		if opt != optIdle {
			k.fails[optIdle] = errMissing
		}
		err := p.try(full)
		require.ErrorIs(t, err, errRefused)
		assert.NotErrorIs(t, err, errors.ErrUnsupported, "a real failure stands alone")
		var oe *OptionError
		require.ErrorAs(t, err, &oe)
		assert.Equal(t, want.Option, oe.Option)
		assert.Equal(t, want.Value, oe.Value)
		assert.Len(t, k.calls, 1+slices.Index([]int{optOn, optInterval, optCount, optIdle}, opt), "nothing after it was tried")

		_, err = p.read(7)
		require.ErrorIs(t, err, errRefused)
		assert.NotErrorIs(t, err, errGone)
	}
	// A system that takes the options of a dead connection, and lacks one.
	p, k := fake(time.Second, 0)
	k.gone = true
	assert.NoError(t, p.try(Options{Idle: time.Second}))
	o, err := p.readConn(7)
	assert.ErrorIs(t, err, errGone)
	assert.Equal(t, time.Second, o.Idle, "what was read is told all the same")
	k.fails[optCount] = errMissing
	_, err = p.readConn(7)
	assert.ErrorIs(t, err, errGone)
	assert.NotErrorIs(t, err, errors.ErrUnsupported, "a real failure stands alone")
	p.info = &infoCall{read: func(uintptr) (Info, bool, error) { return Info{}, true, nil }}
	_, err = p.readConn(7)
	assert.ErrorIs(t, err, errMissing, "one that is being made has no peer yet")

	for _, opt := range []int{optIdle, optInterval, optCount, optUserTimeout} {
		p, k := fake(time.Second, time.Second)
		k.fails[opt] = errRefused
		o, err := p.read(7)
		require.ErrorIs(t, err, errRefused)
		assert.Equal(t, Options{}, o)
	}
}

// fakeWindows returns a Windows. If old is set, it lacks the options for the times and the
// count.
func fakeWindows(old bool) (*platform, *fakeKernel) {
	p, k := fake(time.Second, 0)
	p.opts[interval].max = math.MaxUint32 / 1000
	p.opts[idle].max = math.MaxUint32 / 1000
	p.variants = &variants{detect: useKeepaliveVals}
	p.defaults = Options{Idle: 2 * time.Hour, Interval: time.Second, Count: 10}
	if old {
		k.fails = map[int]error{optIdle: errMissing, optInterval: errMissing, optCount: errMissing}
	}
	return p, k
}

func TestWindowsBothPaths(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		o       Options
		modern  []string
		legacy  []string
		lacking []string // of the legacy path
	}{
		{Options{}, []string{"set 101=1"}, []string{"set 101=1"}, nil},
		{Options{Disabled: true}, []string{"set 101=0"}, []string{"vals false 7200000 1000", "set 101=0"}, nil},
		{Options{Idle: 45 * s}, []string{"set 101=1", "set 102=45"}, []string{"vals true 45000 1000", "set 101=1"}, nil},
		{Options{Interval: 5*s + 1}, []string{"set 101=1", "set 103=6"}, []string{"vals true 7200000 5001", "set 101=1"}, nil},
		{Options{Idle: 45 * s, Interval: 5 * s, Disabled: true}, []string{"set 101=0", "set 103=5", "set 102=45"}, []string{"vals false 45000 5000", "set 101=0"}, nil},
		{Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, []string{"set 101=1", "set 103=5", "set 104=3", "set 102=45"},
			[]string{"vals true 45000 5000", "set 101=1"}, []string{"Count"}},
		{Options{Count: 3}, []string{"set 101=1", "set 104=3"}, []string{"set 101=1"}, []string{"Count"}},
		{Options{Idle: math.MaxUint32 / 1000 * s}, []string{"set 101=1", "set 102=4294967"}, []string{"vals true 4294967000 1000", "set 101=1"}, nil},
	} {
		p, k := fakeWindows(false)
		require.NoError(t, p.try(c.o))
		assert.Equal(t, c.modern, k.calls)

		p, k = fakeWindows(true)
		err := p.try(c.o)
		assert.Equal(t, c.legacy, k.calls)
		if c.lacking == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errors.ErrUnsupported)
		for _, name := range c.lacking {
			assert.ErrorContains(t, err, name)
		}
		assert.NotContains(t, err.Error(), "Idle")
	}

	p, k := fakeWindows(true)
	_, err := p.variantOf(7).read(7)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	for _, name := range []string{"Idle", "Interval", "Count"} {
		assert.ErrorContains(t, err, name)
	}

	k.valsFail = errRefused
	for option, o := range map[string]Options{"Idle": {Idle: s}, "Interval": {Interval: s}, "KeepAlive": {Disabled: true}} {
		err = p.try(o)
		require.ErrorIs(t, err, errRefused)
		var oe *OptionError
		require.ErrorAs(t, err, &oe)
		assert.Equal(t, option, oe.Option)
		assert.ErrorContains(t, err, "SIO_KEEPALIVE_VALS: wsaioctl")
	}

	p, k = fakeWindows(true) // version 1703 has the count
	delete(k.fails, optCount)
	require.NoError(t, p.try(Options{Idle: s, Count: 3}))
	assert.Equal(t, []string{"vals true 1000 1000", "set 101=1", "set 104=3"}, k.calls)
}

// TestValidateAsks: what the table allows, the kernel may still refuse.
func TestValidateAsks(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, 0)
	require.NoError(t, p.validate(Options{Idle: time.Minute}))
	assert.Equal(t, []string{"set 101=1", "set 102=60"}, k.calls)
	k.fails[optIdle] = errRefused
	require.ErrorIs(t, p.validate(Options{Idle: time.Minute}), errRefused)
	k.fails[optIdle] = errMissing
	require.ErrorIs(t, p.validate(Options{Idle: time.Minute}), errors.ErrUnsupported)
}

func TestIsTCP(t *testing.T) {
	t.Parallel()
	const noDelay = 1
	for name, c := range map[string]struct {
		err     error // of reading TCP_NODELAY
		kind    bool
		kindErr error
		want    bool
		wantErr error
	}{
		"TCP":                             {nil, true, nil, true, nil},
		"SCTP on Linux":                   {errMissing, true, nil, false, nil},
		"Unix socket on BSD":              {syscall.EINVAL, false, nil, false, nil},
		"TCP socket reset on macOS":       {syscall.EINVAL, true, nil, true, nil},
		"descriptor that is not a socket": {errRefused, false, errRefused, false, errRefused},
	} {
		p, k := fake(time.Second, 0)
		k.fails[noDelay], k.kind, k.kindErr = c.err, c.kind, c.kindErr
		got, err := p.isTCP(7)
		assert.Equal(t, c.want, got, name)
		assert.Equal(t, c.wantErr, err, name)
	}
}

// FuzzEncode: the value for the kernel is never less than the one of the caller, and less than a unit
// more. A value that is out of range is an error.
func FuzzEncode(f *testing.F) {
	for _, d := range []int64{1, 999_999_999, 1e9, 1e9 + 1, 1500 * 1e6, 32767 * 1e9, 32767*1e9 + 1, math.MaxInt64 - 1, math.MaxInt64, -1, math.MinInt64, 0} {
		for i := range int(numFields) {
			f.Add(d, i, 0)
			f.Add(d, i, 1)
		}
	}
	units := []time.Duration{time.Second, time.Second / 2, time.Millisecond, time.Microsecond}
	f.Fuzz(func(t *testing.T, v int64, which, unit int) {
		i := field(uint(which) % uint(numFields))
		u := units[uint(unit)%uint(len(units))]
		p, k := fake(u, u)
		for _, p := range []*platform{p, host} {
			var o Options
			o.setField(i, v)
			v := o.field(i) // a count may not fit an int
			r := p.opts[i]
			if r == nil {
				continue
			}
			err := p.check(&o)
			n := new(big.Int)
			n.Div(new(big.Int).Add(big.NewInt(v), big.NewInt(int64(r.unit)-1)), big.NewInt(int64(r.unit)))
			inside := v == 0 || i.unlimited(v) || v > 0 && n.Cmp(big.NewInt(r.min)) >= 0 && n.Cmp(big.NewInt(r.max)) <= 0
			if inside != (err == nil) {
				t.Fatalf("%v %d: %v", i, v, err)
			}
			if err != nil || v == 0 || i.unlimited(v) {
				continue
			}
			var all values
			if !p.encode(&o, &all) {
				t.Fatalf("%v %d: encode and check disagree", i, v)
			}
			raw := int64(all[slices.Index(setOrder[:], i)])
			if raw != n.Int64() {
				t.Fatalf("%v %d: %d, want %v", i, v, raw, n)
			}
			asked := new(big.Int).Mul(big.NewInt(raw), big.NewInt(int64(r.unit)))
			more := asked.Sub(asked, big.NewInt(v))
			if more.Sign() < 0 || more.Cmp(big.NewInt(int64(r.unit))) >= 0 {
				t.Fatalf("%v %d: off by %v", i, v, more)
			}
		}
		// Whatever integer the kernel returns, it makes a setting that it takes
		// back, or nothing.
		k.values[101+1+int(i)] = int32(v)
		o, err := p.read(7)
		if err != nil {
			t.Fatal(err)
		}
		back := Options{}
		back.setField(i, o.field(i))
		var all values
		ok := p.encode(&back, &all)
		if got := o.field(i); got < 0 || got != 0 && ok && all[slices.Index(setOrder[:], i)] != int32(v) {
			t.Fatalf("%v %d reads as %v", i, int32(v), got)
		}
	})
}

// fakeBSD returns a system on which setting an option restarts the keepalive timer.
func fakeBSD() (*platform, *fakeKernel) {
	p, k := fakeDefaults(time.Second)
	p.name = "fakebsd"
	p.defaults = Options{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 8}
	p.maxTotal = math.MaxUint32 / 1000 * time.Second
	p.setRestarts, p.dropsSilent = true, true
	return p, k
}

// TestSetOnlyChanges: a pool may call Enable each time that it takes a connection out.
func TestSetOnlyChanges(t *testing.T) {
	t.Parallel()
	const s = time.Second
	p, k := fakeBSD()
	o := Options{Idle: 45 * s, Interval: 5 * s, Count: 3, UserTimeout: 30 * s}
	steps := []struct {
		name string
		o    Options
		want []string
	}{
		{"first", o, []string{"set 101=1", "set 103=5", "set 104=3", "set 105=30000", "set 102=45"}},
		{"same", o, nil},
		{"same, rounded up", Options{Idle: 44*s + 1, Interval: 4500 * time.Millisecond}, nil},
		{"on", Options{}, nil},
		{"one change", Options{Idle: 45 * s, Interval: 6 * s}, []string{"set 103=6"}},
		{"no user timeout", Options{UserTimeout: NoUserTimeout}, []string{"set 105=-1"}},
		{"off", Options{Disabled: true}, []string{"set 101=0"}},
		{"on again starts the timer", Options{Idle: 45 * s, Interval: 6 * s}, []string{"set 101=1", "set 103=6", "set 102=45"}},
	}
	for _, step := range steps {
		k.calls = nil
		require.NoError(t, p.try(step.o), step.name)
		assert.Equal(t, step.want, k.calls, step.name)
	}
}

// TestSilentConnection: the kernel would drop the connection before it sends a probe.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	const s = time.Second
	o := Options{Idle: 45 * s, Interval: 5 * s, Count: 3}
	p, k := fakeBSD()
	info := Info{Silence: 15 * s}
	p.info = &infoCall{read: func(uintptr) (Info, bool, error) { return info, true, nil }}
	require.EqualError(t, p.try(o), "keepalive: the connection has been silent for 15s: fakebsd would drop it when Idle is set, because Interval·Count is only 15s; set options earlier, or after data has arrived")
	assert.Empty(t, k.calls, "nothing is set")
	info.Silence--
	require.NoError(t, p.try(o))
	info.Silence = time.Hour
	require.NoError(t, p.try(o), "nothing to set")
	require.NoError(t, p.try(Options{Interval: 7 * s}), "does not start the timer")
	info.Silence = -1 // unknown
	require.NoError(t, p.try(Options{Idle: 50 * s}))
}

// TestTotal: Idle + Interval·Count overflows in some kernels.
func TestTotal(t *testing.T) {
	t.Parallel()
	const s = time.Second
	p, k := fakeBSD()
	for _, o := range []Options{
		{Count: math.MaxInt32}, // with the default Interval
		{Idle: 45 * s, Interval: 5 * s, Count: math.MaxInt32},
		{Idle: 4294967 * s, Interval: s, Count: 1},
		{Interval: 4294967 * s},
	} {
		err := p.check(&o)
		var oe *OptionError
		require.ErrorAs(t, err, &oe, o)
		assert.Equal(t, "Count", oe.Option)
		assert.ErrorContains(t, err, "must be at most 1193h2m47s on fakebsd")
		require.ErrorAs(t, p.listenConfig(nil, o).Control("tcp4", "", rawConn{}), &oe, o)
	}
	require.NoError(t, p.check(&Options{Idle: 4294966 * s, Interval: s, Count: 1}))
	assert.Empty(t, k.calls)
	// Each call is in range, and what the socket has then is not.
	require.NoError(t, p.try(Options{Interval: s, Count: 4_000_000}))
	k.calls = nil
	var oe *OptionError
	require.ErrorAs(t, p.try(Options{Interval: 2 * s}), &oe)
	assert.Empty(t, k.calls)
	linux, _ := fakeDefaults(s)
	assert.NoError(t, linux.check(&Options{Count: math.MaxInt32}))
}

// TestRefusedBeforeConnect: a sandbox can forbid setsockopt. The error is not that the
// connection is closed.
func TestRefusedBeforeConnect(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, 0)
	k.fails[optIdle], k.gone = syscall.EPERM, true // never connected
	err := p.dialer(nil, Options{Idle: time.Minute}).Control("tcp4", "", rawConn{})
	require.ErrorIs(t, err, syscall.EPERM)
	assert.NotErrorIs(t, err, errGone)
	assert.EqualError(t, err, "keepalive: Idle 1m0s: IDLE: setsockopt: "+syscall.EPERM.Error())
}

// TestVariants: the kernel is asked once.
func TestVariants(t *testing.T) {
	t.Parallel()
	p, _ := fake(time.Second, 0)
	other := &platform{name: "other"}
	asked := 0
	p.variants = &variants{detect: func(*platform, uintptr) *platform { asked++; return other }}
	assert.Equal(t, other, p.variant())
	assert.Equal(t, other, p.variantOf(7))
	assert.Equal(t, other, p.variant())
	assert.Equal(t, 1, asked)
}

// TestAfterConnect: on gVisor, options that are set before connect do not start the timer, and
// accepted sockets inherit only the user timeout.
func TestAfterConnect(t *testing.T) {
	t.Parallel()
	o := Options{Idle: 45 * time.Second, Count: 3, UserTimeout: time.Minute}
	each := net.KeepAliveConfig{Enable: true, Idle: o.Idle, Interval: -1, Count: 3}
	p, k := fake(time.Second, time.Second)
	p.setAfterConnect, p.opts[userTimeout].inherited = true, true
	d := p.dialer(nil, o)
	assert.Equal(t, each, d.KeepAliveConfig)
	require.NoError(t, d.Control("tcp4", "", rawConn{}))
	assert.Equal(t, []string{"set 101=1", "set 104=3", "set 105=60", "set 102=45"}, k.calls)
	o.Disabled = true
	assert.Zero(t, p.dialer(nil, o).KeepAliveConfig)
	o.Disabled = false

	k.calls = nil
	lc := p.listenConfig(nil, o)
	assert.Equal(t, each, lc.KeepAliveConfig)
	require.NoError(t, lc.Control("tcp4", "", rawConn{}))
	assert.Equal(t, []string{"set 105=60"}, k.calls)
	k.fails[optUserTimeout] = errRefused
	require.ErrorIs(t, lc.Control("tcp4", "", rawConn{}), errRefused)
}
