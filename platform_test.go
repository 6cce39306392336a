package keepalive

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Errors of the made-up kernel.
var (
	errMissing = errors.New("made-up: no such option")
	errRefused = errors.New("made-up: refused")
	errGone    = errors.New("made-up: not connected")
)

// fakeKernel is a kernel made of maps, by option number.
type fakeKernel struct {
	values    map[int]int32
	fails     map[int]error // of set and get
	timesFail error
	gone      bool
	kind      bool
	kindErr   error
	calls     []string
}

func (k *fakeKernel) set(_ uintptr, _, opt int, v int32) error {
	k.calls = append(k.calls, fmt.Sprintf("set %d=%d", opt, v))
	if err := k.fails[opt]; err != nil {
		return err
	}
	k.values[opt] = v
	return nil
}

func (k *fakeKernel) get(_ uintptr, _, opt int) (int32, error) { return k.values[opt], k.fails[opt] }

func (k *fakeKernel) setTimes(_ uintptr, on bool, idle, interval uint32) error {
	k.calls = append(k.calls, fmt.Sprintf("times %v %d %d", on, idle, interval))
	return k.timesFail
}

func (k *fakeKernel) missing(err error) bool           { return err == errMissing }
func (k *fakeKernel) inetStream(uintptr) (bool, error) { return k.kind, k.kindErr }
func (k *fakeKernel) peer(uintptr) error {
	if k.gone {
		return errGone
	}
	return nil
}

// Option numbers of the made-up systems.
const (
	optOn = iota + 101
	optIdle
	optInterval
	optCount
	optUserTimeout
)

// fake makes up a system with these units; 0 is an option that its table lacks.
func fake(times, user time.Duration) (*platform, *fakeKernel) {
	k := &fakeKernel{values: map[int]int32{}, fails: map[int]error{}}
	p := &platform{name: "madeup", kernel: k}
	p.on = &row{name: "ON", opt: optOn}
	if times != 0 {
		p.rows[idle] = &row{name: "IDLE", opt: optIdle, unit: times, min: 1, max: math.MaxInt32}
		p.rows[interval] = &row{name: "INTERVAL", opt: optInterval, unit: times, min: 1, max: 60}
		p.rows[count] = &row{name: "COUNT", opt: optCount, unit: number, min: 1, max: 10}
	}
	if user != 0 {
		p.rows[userTimeout] = &row{name: "USER", opt: optUserTimeout, unit: user, min: 1, max: math.MaxInt32, none: -1}
	}
	return p, k
}

func (p *platform) try(o Options) error {
	if err := p.check(o); err != nil {
		return err
	}
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

func TestRangesOfMadeUpSystems(t *testing.T) {
	t.Parallel()
	p, k := fake(time.Second, time.Second)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Idle: -time.Second}, "keepalive: Idle -1s: is negative; madeup takes 1s to 596523h14m7s, zero leaves the setting alone"},
		{Options{Idle: time.Second, Interval: time.Minute + 1}, "keepalive: Interval 1m0.000000001s: is out of range; madeup takes 1s to 1m0s (INTERVAL)"},
		{Options{Idle: time.Second, Count: 11}, "keepalive: Count 11: is out of range; madeup takes 1 to 10 (COUNT)"},
		{Options{UserTimeout: NoUserTimeout - 1}, "keepalive: UserTimeout 2562047h47m16.854775806s: is out of range; madeup takes 1s to 596523h14m7s (USER)"},
	} {
		require.EqualError(t, p.try(c.o), c.want)
		assert.Empty(t, k.calls, "refused before any system call")
	}
	p, _ = fake(0, 0)
	assert.EqualError(t, p.try(Options{Count: -1}), "keepalive: Count -1: is negative; zero leaves the setting alone")
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
		p := &platform{name: "madeup"} // no kernel to call, either
		err := p.try(full)
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
		k.gone = true
		require.ErrorIs(t, p.try(full), errGone)
	}
	// A system that takes the options of a dead connection, and lacks one.
	p, k := fake(time.Second, 0)
	k.gone = true
	assert.NoError(t, p.try(Options{Idle: time.Second}))
	o, err := p.get(7)
	assert.ErrorIs(t, err, errGone)
	assert.Equal(t, time.Second, o.Idle, "what was read is told all the same")
	k.fails[optCount] = errMissing
	_, err = p.get(7)
	assert.ErrorIs(t, err, errGone)
	assert.NotErrorIs(t, err, errors.ErrUnsupported, "a real failure stands alone")
	p.info = &infoCall{read: func(uintptr) (Info, bool, error) { return Info{}, true, nil }}
	_, err = p.get(7)
	assert.ErrorIs(t, err, errMissing, "one that is being made has no peer yet")

	for _, opt := range []int{optIdle, optInterval, optCount, optUserTimeout} {
		p, k := fake(time.Second, time.Second)
		k.fails[opt] = errRefused
		o, err := p.read(7)
		require.ErrorIs(t, err, errRefused)
		assert.Equal(t, Options{}, o)
	}
}

// fakeWindows makes up one: legacy without the two options for the times.
func fakeWindows(legacy bool) (*platform, *fakeKernel) {
	p, k := fake(time.Second, 0)
	p.rows[interval].max = math.MaxUint32 / 1000
	p.rows[idle].max = math.MaxUint32 / 1000
	p.times = &times{name: "TIMES", idle: 2 * time.Hour, interval: time.Second}
	if legacy {
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
		{Options{Disabled: true}, []string{"set 101=0"}, []string{"set 101=0", "times false 7200000 1000"}, nil},
		{Options{Idle: 45 * s}, []string{"set 101=1", "set 102=45"}, []string{"set 101=1", "times true 45000 1000"}, nil},
		{Options{Interval: 5*s + 1}, []string{"set 101=1", "set 103=6"}, []string{"set 101=1", "times true 7200000 5001"}, nil},
		{Options{Idle: 45 * s, Interval: 5 * s, Disabled: true}, []string{"set 101=0", "set 103=5", "set 102=45"}, []string{"set 101=0", "times false 45000 5000"}, nil},
		{Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, []string{"set 101=1", "set 103=5", "set 104=3", "set 102=45"},
			[]string{"set 101=1", "times true 45000 5000", "set 104=3"}, []string{"Count"}},
		{Options{Count: 3}, []string{"set 101=1", "set 104=3"}, []string{"set 101=1", "set 104=3"}, []string{"Count"}},
		{Options{Idle: math.MaxUint32 / 1000 * s}, []string{"set 101=1", "set 102=4294967"}, []string{"set 101=1", "times true 4294967000 1000"}, nil},
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
	_, err := p.read(7)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	for _, name := range []string{"Idle", "Interval", "Count"} {
		assert.ErrorContains(t, err, name)
	}

	k.timesFail = errRefused
	for option, o := range map[string]Options{"Idle": {Idle: s}, "Interval": {Interval: s}, "KeepAlive": {Disabled: true}} {
		err = p.try(o)
		require.ErrorIs(t, err, errRefused)
		var oe *OptionError
		require.ErrorAs(t, err, &oe)
		assert.Equal(t, option, oe.Option)
		assert.ErrorContains(t, err, "TIMES: wsaioctl")
	}

	k.timesFail = errMissing // neither the options nor the control code
	err = p.try(Options{Idle: s, Interval: s})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "Idle 1s")
	assert.ErrorContains(t, err, "Interval 1s")
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
	for _, c := range []struct {
		err     error
		kind    bool
		kindErr error
		want    error
	}{
		{nil, true, nil, nil},
		{errMissing, true, nil, errNotTCP},          // SCTP on Linux
		{syscall.EINVAL, false, nil, errNotTCP},     // a Unix socket on BSD
		{syscall.EINVAL, true, nil, nil},            // a TCP socket that was reset, on Darwin
		{errRefused, false, errRefused, errRefused}, // no descriptor at all
	} {
		p, k := fake(time.Second, 0)
		k.fails[noDelay], k.kind, k.kindErr = c.err, c.kind, c.kindErr
		assert.Equal(t, c.want, p.isTCP(7), c)
	}
}

// FuzzEncode: what the kernel is asked for is never less than what the caller
// asked for, nor a whole unit more, and out of range is refused.
func FuzzEncode(f *testing.F) {
	for _, d := range []int64{1, 999_999_999, 1e9, 1e9 + 1, 1500 * 1e6, 32767 * 1e9, 32767*1e9 + 1, math.MaxInt64 - 1, math.MaxInt64, -1, math.MinInt64, 0} {
		for i := range int(numParams) {
			f.Add(d, i, 0)
			f.Add(d, i, 1)
		}
	}
	units := []time.Duration{time.Second, time.Second / 2, time.Millisecond, time.Microsecond}
	f.Fuzz(func(t *testing.T, v int64, which, unit int) {
		i := param(uint(which) % uint(numParams))
		u := units[uint(unit)%uint(len(units))]
		p, k := fake(u, u)
		for _, p := range []*platform{p, system} {
			var o Options
			o.set(i, v)
			v := o.get(i) // a count may not fit an int
			r := p.rows[i]
			if r == nil {
				continue
			}
			err := p.check(o)
			n := new(big.Int)
			n.Div(new(big.Int).Add(big.NewInt(v), big.NewInt(int64(r.unit)-1)), big.NewInt(int64(r.unit)))
			inside := v == 0 || i.isNone(v) || v > 0 && n.Cmp(big.NewInt(r.min)) >= 0 && n.Cmp(big.NewInt(r.max)) <= 0
			if inside != (err == nil) {
				t.Fatalf("%v %d: %v", i, v, err)
			}
			if err != nil || v == 0 || i.isNone(v) {
				continue
			}
			raw := int64(r.raw(i, v))
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
		if got := o.get(i); got < 0 || got != 0 && p.rows[i].raw(i, got) != int32(v) {
			t.Fatalf("%v %d reads as %v", i, int32(v), got)
		}
	})
}
