package keepalive

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeDefaults returns a system whose new sockets have 2 h, 75 s and 9.
func fakeDefaults(unit time.Duration) (*platform, *fakeKernel) {
	p, k := fake(unit, time.Millisecond)
	p.opts[interval].max, p.opts[count].max = math.MaxInt32, math.MaxInt32
	k.values[optIdle] = int32(2 * time.Hour / unit)
	k.values[optInterval] = int32(75 * time.Second / unit)
	k.values[optCount] = 9
	k.values[optUserTimeout] = -1
	return p, k
}

func TestDetectionTimeOfFakeSystems(t *testing.T) {
	t.Parallel()
	const s = time.Second
	linux, _ := fakeDefaults(s)
	linux.userTimeoutRule = userTimeoutReplacesCount
	coarse, _ := fakeDefaults(s)
	coarse.userTimeoutRule, coarse.opts[userTimeout].unit = userTimeoutReplacesCount, s
	plain, _ := fakeDefaults(s)
	illumos, k := fakeDefaults(s)
	illumos.defaultAbort = 8 * time.Minute
	k.values[optInterval], k.values[optCount] = 0, 0
	openbsd, _ := fake(0, 0)
	openbsd.readDefaults = func(*platform) (Options, error) { return Options{Idle: 100 * s, Interval: 10 * s, Count: 8}, nil }
	silent, _ := fake(0, 0)
	documented, _ := fake(0, 0)
	documented.defaults = Options{Idle: s, Interval: 20 * s, Count: 3}
	gvisor, _ := fakeDefaults(s)
	gvisor.userTimeoutRule = userTimeoutLimitsCount
	legacy, _ := fakeWindows(true)
	legacy = legacy.variantOf(7)
	nothing := &platform{name: "fakeos"}
	for _, c := range []struct {
		p    *platform
		o    Options
		want time.Duration
	}{
		{linux, Options{}, 2*time.Hour + 9*75*s},
		{linux, Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, 60 * s},
		{linux, Options{Idle: 45 * s, Interval: 5 * s}, 90 * s},
		{linux, Options{Idle: 1, Interval: 1, Count: 1}, 2 * s},
		{linux, Options{Idle: 1500 * time.Millisecond, Interval: 2 * s, Count: 2}, 6 * s},
		{linux, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: s}, 3 * s},
		{linux, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: 4500 * time.Millisecond}, 5 * s},
		{linux, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: 10 * s}, 10 * s},
		{linux, Options{Idle: 2 * s, Interval: 5 * s, Count: 3, UserTimeout: 4 * s}, 7 * s},
		{linux, Options{Idle: 2 * s, Interval: 5 * s, Count: 3, UserTimeout: 7*s + 1}, 12 * s}, // 7.001 s
		{coarse, Options{Idle: 2 * s, Interval: 5 * s, Count: 3, UserTimeout: 6500 * time.Millisecond}, 7 * s},
		{coarse, Options{Idle: 2 * s, Interval: 5 * s, Count: 3, UserTimeout: 7500 * time.Millisecond}, 12 * s},
		{coarse, Options{Idle: 2 * s, Interval: 4500 * time.Millisecond, Count: 3, UserTimeout: 6900 * time.Millisecond}, 7 * s},
		{linux, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: NoUserTimeout}, 5 * s},
		{linux, Options{Disabled: true}, maxDuration},
		{linux, Options{Idle: -1}, 0},
		{linux, Options{Idle: time.Duration(math.MaxInt32) * s, Interval: time.Duration(math.MaxInt32) * s, Count: math.MaxInt32}, maxDuration},
		{plain, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: s}, 5 * s},
		{illumos, Options{}, 2*time.Hour + 8*time.Minute},
		{illumos, Options{Idle: 60 * s, Interval: 5 * s}, 9 * time.Minute},
		{illumos, Options{Idle: 60 * s, Interval: 5 * s, Count: 3}, 75 * s},
		{openbsd, Options{Idle: s, Interval: s, Count: 1}, 180 * s},
		{silent, Options{Idle: s, Interval: s, Count: 1}, 0},
		{documented, Options{Idle: s}, 61 * s},
		{gvisor, Options{Idle: 2 * s, Interval: s, Count: 3, UserTimeout: s}, 3 * s},
		{gvisor, Options{Idle: s, Interval: s, Count: 3, UserTimeout: 7 * s}, 4 * s},
		{legacy, Options{Idle: 1500 * time.Millisecond, Interval: 100 * time.Millisecond, Count: 3}, 2500 * time.Millisecond},
		{legacy, Options{Idle: 60 * s}, 70 * s},
		{nothing, Options{}, 0},
	} {
		assert.Equal(t, c.want, c.p.detectionTime(c.o), "%s on %+v", c.o, *c.p)
	}
}

// TestGoalsOfFakeSystems: whatever d is, the settings are taken, and keep it
// where it is not too short.
func TestGoalsOfFakeSystems(t *testing.T) {
	t.Parallel()
	const s = time.Second
	linux, _ := fakeDefaults(s)
	linux.userTimeoutRule = userTimeoutReplacesCount
	netbsd, _ := fakeDefaults(s / 2)
	illumos, _ := fakeDefaults(s)
	illumos.opts[interval].max = 60
	solaris, _ := fakeDefaults(s)
	solaris.opts[idle].min, solaris.opts[interval].min = 10, 10
	noTimeout, _ := fakeDefaults(s)
	noTimeout.opts[userTimeout] = nil
	legacy, _ := fakeWindows(true)
	legacy = legacy.variantOf(7)
	for name, c := range map[string]struct {
		p             *platform
		least         time.Duration // DetectWithin
		leastKeepOpen time.Duration
	}{
		"linux": {linux, 2 * s, 3 * s}, "netbsd": {netbsd, s, 1500 * time.Millisecond}, "illumos": {illumos, 2 * s, 3 * s}, "solaris": {solaris, 20 * s, 25 * s},
		"no user timeout": {noTimeout, 2 * s, 3 * s}, "legacy": {legacy, 20 * time.Millisecond, 100 * time.Millisecond},
	} {
		for _, d := range []time.Duration{1, s / 3, s, 2 * s, 3 * s, 5 * s, 19 * s, 20 * s, 31 * s, time.Minute + 1, time.Hour, 1e4 * time.Hour, maxDuration} {
			o := c.p.detectWithin(d)
			require.NoError(t, c.p.check(&o), "%s: %v", name, d)
			assert.NotZero(t, o.Idle)
			assert.NotZero(t, o.Interval)
			if d >= c.least {
				assert.LessOrEqual(t, c.p.detectionTime(o), d, "%s: %v: %s", name, d, o)
				assert.LessOrEqual(t, o.UserTimeout, d)
			} else {
				assert.Greater(t, c.p.detectionTime(o), d, "%s: %v: %s", name, d, o)
			}
			if d >= c.least*2 && o.Count != 0 {
				assert.Greater(t, o.Count, 1, "%s: %v: %s", name, d, o)
				assert.LessOrEqual(t, c.p.detectionTime(o), d-d/9, "%s: %v: %s", name, d, o)
				if c.p.userTimeoutRule == userTimeoutReplacesCount && d <= time.Hour { // never after a single lost probe, however late
					assert.Greater(t, o.UserTimeout, (o.Idle+o.Interval)/8*9, "%s: %v: %s", name, d, o)
				}
			}
			if o.UserTimeout != 0 && o.UserTimeout < time.Duration(math.MaxInt32)*time.Millisecond {
				assert.Greater(t, o.UserTimeout, c.p.detectionTime(o)-o.Interval, "in step: %s: %v: %s", name, d, o)
				assert.LessOrEqual(t, o.UserTimeout, c.p.detectionTime(o))
			}
			assert.Equal(t, c.p.opts[userTimeout] == nil, o.UserTimeout == 0)

			o = c.p.keepOpen(d)
			require.NoError(t, c.p.check(&o), "%s: %v", name, d)
			if d >= c.leastKeepOpen {
				assert.LessOrEqual(t, o.Idle+o.Interval, d-d/9, "%s: %v: %s", name, d, o)
			}
			assert.Equal(t, name != "legacy", o.Count == 3)
			assert.Zero(t, o.UserTimeout)
		}
		for _, d := range []time.Duration{0, -1, math.MinInt64} {
			detect, keep := c.p.detectWithin(d), c.p.keepOpen(d)
			require.Error(t, c.p.check(&detect))
			require.Error(t, c.p.check(&keep))
			assert.Zero(t, c.p.detectionTime(c.p.detectWithin(d)))
		}
	}
	assert.Equal(t, Options{Idle: 14 * s, Interval: 4 * s, Count: 3, UserTimeout: 25500 * time.Millisecond}, linux.detectWithin(30*s))
	assert.Equal(t, Options{Idle: 280 * s, Interval: 31 * s, Count: 3}, linux.keepOpen(350*s))

	openbsd, _ := fake(0, 0)
	assert.NotPanics(t, func() { openbsd.detectWithin(s); openbsd.keepOpen(s) })
	nothing := &platform{name: "fakeos"}
	assert.NotPanics(t, func() { nothing.detectWithin(s); nothing.keepOpen(s) })
}
