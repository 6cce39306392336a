package explain

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const s = time.Second

// host is a system with the rules of Linux or, if replaces is false, of the others.
func host(system string, replaces bool) Host {
	defaults := keepalive.Options{Idle: 2 * time.Hour, Interval: 75 * s, Count: 9}
	up := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return (d + s - 1) / s * s
	}
	return Host{
		System:   system,
		Defaults: defaults,
		Detect: func(o keepalive.Options) time.Duration {
			if o.Disabled {
				return never
			}
			idle, interval, n := up(o.Idle, defaults.Idle), up(o.Interval, defaults.Interval), o.Count
			if n == 0 {
				n = defaults.Count
			}
			if u := o.UserTimeout; replaces && hasUserTimeout(o) {
				n = max(1, int((u-idle+interval-1)/interval))
			}
			return idle + time.Duration(n)*interval
		},
		Name:  func(string) string { return "" },
		Linux: DefaultRetransmission,
	}
}

// TestHost: the fake Linux agrees with package keepalive.
func TestHost(t *testing.T) {
	fake, r := host("linux", true), rand.New(rand.NewPCG(1, 2))
	if h := (Host{Detect: keepalive.Options.DetectionTime}); !h.UserTimeoutReplacesCount() {
		t.Skip("not supported here: the fake system is Linux")
	}
	for range 1000 {
		o := keepalive.Options{Idle: time.Duration(1 + r.Int64N(int64(time.Minute))), Interval: time.Duration(1 + r.Int64N(int64(time.Minute))),
			Count: 1 + r.IntN(9), UserTimeout: time.Duration(r.Int64N(2) * r.Int64N(int64(5*time.Minute)))}
		require.Equal(t, o.DetectionTime(), fake.Detect(o), o.String())
	}
}

func explained(t *testing.T, h Host, text string, connections int) *Explanation {
	t.Helper()
	var o keepalive.Options
	require.NoError(t, o.UnmarshalText([]byte(text)), text)
	x, err := Explain(h, text, o, connections)
	require.NoError(t, err, text)
	return x
}

func texts(t *testing.T, x *Explanation) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, x.WriteText(&b, 80))
	return b.String()
}

func TestText(t *testing.T) {
	got := texts(t, explained(t, host("linux", true), "idle=44.5s,interval=5s,user-timeout=50.2s", 1))
	assert.Equal(t, `Settings on linux

  keepalive     on
  idle          45s  44.5s, rounded up
  interval      5s
  count         9  not used: the user timeout replaces it
  user-timeout  50.2s

Idle connection: a dead peer is detected after 55s, at most 1m1.9s

  silence  0s                                   45s       50s       55s
           |------------------------------------|---------|---------|
           last segment                         probe 1   probe 2   dropped

  Rule: 45s + 2 x 5s of silence. Timers can be late by 1/8.

Data in flight: a dead peer is detected after about 50.6s, at most 56.9s

  time     0s   210ms 420ms 830ms 1.7s  3.3s   ...                   50.6s
           |----|-----|-----|-----|-----|------......................|
           data again again again again again                        dropped

  Rule: user timeout + 400ms + 2 x RTT.

Middleboxes: an idle connection has a probe every 45s

  Azure Load Balancer        4m      keeps the connection
  AWS NAT gateway and NLB    5m50s   keeps the connection
  Google Cloud VPC           10m     keeps the connection
  IPVS (Kubernetes, Docker)  15m     keeps the connection
  netfilter (Linux NAT)      5 days  keeps the connection

  Sources: keepalive explain --help

Cost of 1 idle connection: 0.0444 packets/s, 2.93 B/s, 253 kB a day

  A probe and its answer are 2 frames of 66 bytes (IPv4, with timestamps).

Warnings

  - The user timeout ends soon after probe 2 is due. If that probe is late, the
    connection is dropped then, at about 50.2s.

Notes

  - The user timeout also limits connect, if it is set before.
  - It also drops a peer that answers, but whose receive window is closed for
    50.2s, because its program does not read.
  - A program that sets its own values has those instead of the system's
    defaults.
`, got)
}

// TestNarrowText: a list replaces the timeline, which would not fit.
func TestNarrowText(t *testing.T) {
	var b strings.Builder
	require.NoError(t, explained(t, host("linux", true), "idle=45s,interval=5s,count=3,user-timeout=59.5s", 1).WriteText(&b, 60))
	assert.Contains(t, b.String(), `Idle connection: a dead peer is detected after 1m, at most
1m7.5s

  silence  event
  0s       last segment
  45s      probe 1
  50s      probe 2
  55s      probe 3
  1m       dropped

`)
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, len([]rune(line)), 60, line)
	}
}

// seconds of p, or -1.
func seconds(p *Seconds) float64 {
	if p == nil {
		return -1
	}
	return time.Duration(*p).Seconds()
}

func TestDetection(t *testing.T) {
	linux, darwin, windows := host("linux", true), host("darwin", false), host("windows", false)
	for _, c := range []struct {
		host           Host
		text           string
		idle, idleMax  float64
		probes         int64
		flight, flyMax float64
	}{
		{linux, "idle=45s,interval=5s,count=3,user-timeout=1m", 60, 67.5, 3, 60.4, 67.95},
		{linux, "idle=45s,interval=5s,count=3,user-timeout=3s", 50, 56.25, 1, 3.4, 3.825},
		{linux, "idle=45s,interval=5s,count=3,user-timeout=61s", 65, 73.125, 4, 61.4, 69.075},
		{linux, "idle=1s,interval=3s,count=2,user-timeout=off", 7, 10.125, 2, 932.992, 1060.016},
		{linux, "on", 7875, 8859.375, 9, 932.992, 1060.016},
		{linux, "off,user-timeout=10s", -1, -1, 0, 10.4, 11.7},
		{darwin, "idle=45s,interval=5s,count=3", 60, 60, 3, 60, 60},
		{darwin, "idle=45s,interval=5s,count=3,user-timeout=10s", 60, 60, 3, 10, 20},
		{darwin, "idle=45s,interval=5s,count=3,user-timeout=50s", 60, 60, 3, 50, 60},
		{darwin, "idle=45s,interval=5s,count=3,user-timeout=90s", 60, 60, 3, 60, 60},
		{darwin, "idle=1s,interval=3s,count=2", 7, 7, 2, 7, 7},
		{host("freebsd", false), "idle=1s,interval=3s,count=2", 7, 9, 2, 7, 7},
		{darwin, "off", -1, -1, 0, -1, -1},
		{darwin, "off,user-timeout=100s", -1, -1, 0, 100, 164},
		{windows, "idle=45s,interval=5s,count=3", 60, 60, 3, -1, -1},
		{windows, "idle=45s,interval=5s,count=3,user-timeout=10s", 60, 60, 3, 10, 10},
		{host("gvisor", false), "idle=45s,interval=5s,count=3,user-timeout=10s", 60, 60, 3, 10.2, 10.2},
		{host("gvisor", false), "idle=45s,interval=5s,count=3", 60, 60, 3, -1, -1},
	} {
		x := explained(t, c.host, c.text, 1)
		name := c.host.System + " " + c.text
		assert.Equal(t, c.idle, seconds(x.Idle.Detection), name)
		assert.Equal(t, c.idleMax, seconds(x.Idle.Latest), name)
		assert.Equal(t, c.probes, x.Probes, name)
		assert.Equal(t, c.flight, seconds(x.InFlight.Detection), name)
		assert.Equal(t, c.flyMax, seconds(x.InFlight.Latest), name)
	}
}

// TestTimeline: the probes are an interval apart, and a long timeline leaves out its middle.
func TestTimeline(t *testing.T) {
	timeline := func(text string) (all string) {
		for _, e := range explained(t, host("linux", true), text, 1).Idle.Timeline {
			all += fmt.Sprintf("%v %s, ", time.Duration(e.At), e.Name)
		}
		return all
	}
	assert.Equal(t, "0s last segment, 2s probe 1, 3s dropped, ", timeline("2s:1s:1"))
	assert.Equal(t, "0s last segment, 2s probe 1, 3s probe 2, 4s probe 3, 5s probe 4, 6s probe 5, 7s dropped, ", timeline("2s:1s:5"))
	assert.Equal(t, "0s last segment, 2s probe 1, 3s probe 2, 4s probe 3, 5s ..., 7s probe 6, 8s dropped, ", timeline("2s:1s:6"))
	// macOS accepts any count.
	x := explained(t, host("darwin", false), "idle=1s,interval=1s,count=2147483647", 1)
	assert.Len(t, x.Idle.Timeline, 7)
	assert.Equal(t, int64(2147483647), x.Probes)
}

// TestIllumos: a time that the system does not report.
func TestIllumos(t *testing.T) {
	h := host("illumos", false)
	h.Defaults = keepalive.Options{Idle: 2 * time.Hour}
	h.Detect = func(o keepalive.Options) time.Duration {
		abort := time.Duration(o.Count) * o.Interval
		if abort == 0 {
			abort = 8 * time.Minute
		}
		if o.Idle == 0 {
			o.Idle = 2 * time.Hour
		}
		return o.Idle + abort
	}
	x := explained(t, h, "idle=1m", 1)
	assert.Equal(t, 540., seconds(x.Idle.Detection))
	assert.Regexp(t, `interval +not known`, texts(t, x))
	assert.NotContains(t, texts(t, x), "single lost probe")
	x = explained(t, h, "1m:10s:3", 1)
	assert.Equal(t, 90., seconds(x.Idle.Detection))
	assert.Equal(t, Seconds(10*s), x.Settings.Interval)
}

// TestFixed: Windows before 10 version 1709 has ten probes, and OpenBSD nothing but the
// switch.
func TestFixed(t *testing.T) {
	h := host("windows", false)
	h.Defaults = keepalive.Options{Idle: 2 * time.Hour, Interval: s, Count: 10}
	plain := h.Detect
	h.Detect = func(o keepalive.Options) time.Duration {
		if o.Interval == 0 {
			o.Interval = s
		}
		o.Count = 10
		return plain(o)
	}
	x := explained(t, h, "idle=1m,interval=4.5s", 1)
	assert.Equal(t, Seconds(5*s), x.Settings.Interval)
	assert.Equal(t, int64(10), x.Probes)
	assert.Equal(t, 110., seconds(x.Idle.Detection))

	h = host("openbsd", false)
	plain = h.Detect
	h.Detect = func(keepalive.Options) time.Duration { return plain(keepalive.Options{}) }
	x = explained(t, h, "on", 1)
	assert.Equal(t, Seconds(75*s), x.Settings.Interval)
	assert.Equal(t, int64(9), x.Probes)
}

// TestGoals: what the goals return on this system has no trap, and keeps what they promise.
func TestGoals(t *testing.T) {
	h := host("linux", true)
	h.Detect = keepalive.Options.DetectionTime
	if !h.UserTimeoutReplacesCount() {
		t.Skip("not supported here: the fake system is Linux")
	}
	for d := 4 * s; d < 4*time.Minute; d += 777 * time.Millisecond {
		x := explained(t, h, "detect-within="+d.String(), 1)
		assert.Empty(t, x.Warnings, d)
	}
	for _, m := range Middleboxes {
		x := explained(t, h, "keep-open="+time.Duration(m.IdleTimeout).String(), 1)
		for _, other := range x.Middleboxes {
			want := Yes
			if other.IdleTimeout < m.IdleTimeout {
				want = No
			}
			assert.Equal(t, want, other.Survives, "keep-open for %s, at %s", m.Name, other.Name)
		}
	}
}

// TestTraffic compares with the table in the documentation of keepalive.KeepOpen.
func TestTraffic(t *testing.T) {
	for _, c := range []struct {
		idle          string
		packets, kilo int
	}{{"192s", 10417, 688}, {"280s", 7143, 471}, {"480s", 4167, 275}, {"720s", 2778, 183}, {"32767s", 61, 4}} {
		x := explained(t, host("linux", true), "interval=1s,idle="+c.idle, 1e6)
		assert.InDelta(t, c.packets, x.Traffic.Packets, 0.5)
		assert.InDelta(t, c.kilo, x.Traffic.Bytes/1000, 0.5)
	}
	x := explained(t, host("linux", true), "off", 5)
	assert.Zero(t, x.Traffic.Bytes)
	assert.Contains(t, texts(t, x), "\nCost of 5 idle connections: nothing\n")
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ system, text, want string }{
		{"linux", "45s:5s:1", "A single lost probe drops the connection. Choose count=3."},
		{"linux", "idle=45s,interval=5s,count=3,user-timeout=50s", "because the user timeout ends before the second one. Choose user-timeout=52.5s or longer."},
		{"linux", "idle=45s,interval=5s,count=3,user-timeout=90s", "so an idle connection takes 1m30s and not 1m. Choose user-timeout=59.5s."},
		{"linux", "idle=45s,interval=5s,count=3,user-timeout=50.1s", "ends soon after probe 2 is due"},
		{"linux", "1s:3s:3", "so detection can take 2s longer"},
		{"linux", "5m:3s:3", "The time between probes, 5m, is too long for Azure Load Balancer. keep-open=4m keeps connections open there."},
		{"linux", "45s:5s:3", "detection takes 15m33s. Add user-timeout=59.5s to limit it."},
		{"linux", "off", "Without a user timeout, data in flight to a dead peer waits 15m33s."},
		{"linux", "idle=1s,interval=1s,count=3,user-timeout=1s", "or to make connect fail"},
		{"linux", "detect-within=2s", "detect-within=2s is too short for this system: an idle connection can take 2.3s."},
		{"linux", "detect-within=2s", "A single lost probe drops the connection. Choose detect-within=4s or longer."},
		{"linux", "idle=45s,interval=5s,count=1,user-timeout=46s", "Choose user-timeout=52.5s or longer."},
		{"linux", "keep-open=2s", "keep-open=2s is too short for this system"},
		{"freebsd", "off", "always_keepalive"},
		{"windows", "45s:5s:3", "Keepalive does not limit the time that data is in flight on windows."},
	} {
		h := host(c.system, c.system == "linux")
		assert.Contains(t, strings.Join(explained(t, h, c.text, 1).Warnings, "\n"), c.want, c.text)
	}
	// What a warning suggests has no trap.
	for _, text := range []string{"user-timeout=52.5s", "user-timeout=59.5s"} {
		assert.Empty(t, explained(t, host("linux", true), "idle=45s,interval=5s,count=3,"+text, 1).Warnings, text)
	}
}

// TestAnyOptions: whatever is accepted fits the width, and can be written as JSON.
func TestAnyOptions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	any := func(limit time.Duration) time.Duration {
		if r.IntN(3) == 0 {
			return 0
		}
		return time.Duration(r.Int64N(int64(limit)>>r.IntN(40)) + 1)
	}
	for range 3000 {
		h := []Host{host("linux", true), host("darwin", false), host("freebsd", false), host("windows", false), host("gvisor", false)}[r.IntN(5)]
		times := 32767 * s
		if h.System != "linux" && h.System != "gvisor" {
			times = 4294967 * s
		}
		o := keepalive.Options{Idle: any(times), Interval: any(times), UserTimeout: any(24 * 24 * time.Hour), Count: r.IntN(128 >> r.IntN(7)), Disabled: r.IntN(10) == 0}
		x, err := Explain(h, o.String(), o, 1+r.IntN(1_000_000_000>>r.IntN(30)))
		require.NoError(t, err)
		text := texts(t, x)
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len([]rune(line)), 80+len("\n"), "%v on %s:\n%s", o, h.System, text)
			require.NotContains(t, line, " \n", "%v on %s:\n%s", o, h.System, text)
		}
		require.Positive(t, x.Settings.Idle)
		_, err = json.Marshal(x)
		require.NoError(t, err)
	}
}

func TestNoKeepalive(t *testing.T) {
	h := host("plan9", false)
	h.Detect = func(keepalive.Options) time.Duration { return 0 }
	_, err := Explain(h, "on", keepalive.Options{}, 1)
	assert.EqualError(t, err, "plan9 has no keepalive")
}
