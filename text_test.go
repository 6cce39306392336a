package keepalive_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	const s, m = time.Second, time.Minute
	full := keepalive.Options{Idle: 45 * s, Interval: 5 * s, Count: 3, UserTimeout: m}
	for _, c := range []struct {
		text string
		o    keepalive.Options
		back string // if not text
	}{
		{"on", keepalive.Options{}, ""},
		{"off", keepalive.Options{Disabled: true}, ""},
		{"idle=45s,interval=5s,count=3,user-timeout=1m", full, ""},
		{"idle=2h,interval=1m15s,count=9,user-timeout=off", keepalive.Options{Idle: 2 * time.Hour, Interval: 75 * s, Count: 9, UserTimeout: keepalive.NoUserTimeout}, ""},
		{"off,idle=1h1m,user-timeout=1.5s", keepalive.Options{Idle: 61 * m, UserTimeout: 1500 * time.Millisecond, Disabled: true}, ""},
		{"idle=1h0m1s", keepalive.Options{Idle: time.Hour + s}, ""},
		{"user-timeout=1m,count=3,interval=5s,idle=45s", full, "idle=45s,interval=5s,count=3,user-timeout=1m"},
		{"on,idle=45000ms", keepalive.Options{Idle: 45 * s}, "idle=45s"},
		{"idle=45s,on", keepalive.Options{Idle: 45 * s}, "idle=45s"},
		{"idle=0,count=0", keepalive.Options{}, "on"},
		{"idle=45s, interval=5s ,count=3 , user-timeout=1m", full, "idle=45s,interval=5s,count=3,user-timeout=1m"},
		{"45s:5s:3", keepalive.Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, "idle=45s,interval=5s,count=3"},
		{"30m::10", keepalive.Options{Idle: 30 * m, Count: 10}, "idle=30m,count=10"},
		{":5s:", keepalive.Options{Interval: 5 * s}, "interval=5s"},
		{"keepalives_idle=45,keepalives_interval=5,keepalives_count=3,tcp_user_timeout=60000", full, "idle=45s,interval=5s,count=3,user-timeout=1m"},
		{"keepalives=1 keepalives_idle=45 tcp_user_timeout=0", keepalive.Options{Idle: 45 * s}, "idle=45s"},
		{"keepalives=0", keepalive.Options{Disabled: true}, "off"},
		{" on\r\n", keepalive.Options{}, "on"},
		{"45s:5s:3\n", keepalive.Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, "idle=45s,interval=5s,count=3"},
		{"idle=45s\tinterval=5s\ncount=3", keepalive.Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, "idle=45s,interval=5s,count=3"},
		{"tcp_user_timeout=2592000000", keepalive.Options{UserTimeout: 720 * time.Hour}, "user-timeout=720h"},
		{"keepalives_idle=45 interval=5s", keepalive.Options{Idle: 45 * s, Interval: 5 * s}, "idle=45s,interval=5s"},
	} {
		var o keepalive.Options
		require.NoError(t, o.UnmarshalText([]byte(c.text)), c.text)
		assert.Equal(t, c.o, o, c.text)
		if c.back == "" {
			c.back = c.text
		}
		assert.Equal(t, c.back, o.String())
		b, err := o.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, c.back, string(b))
	}
}

func TestTextGoals(t *testing.T) {
	t.Parallel()
	minute, keepOpen := keepalive.DetectWithin(time.Minute), keepalive.KeepOpen(350*time.Second)
	off, withUser := minute, keepOpen
	off.Disabled = true
	withUser.UserTimeout = 10 * time.Minute
	for text, want := range map[string]keepalive.Options{
		"detect-within=1m":                       minute,
		"on detect-within=60s":                   minute,
		"off,detect-within=1m":                   off,
		"keep-open=350s":                         keepOpen,
		"keep-open=350s,user-timeout=10m":        withUser,
		"tcp_user_timeout=600000,keep-open=350s": withUser,
	} {
		var o keepalive.Options
		require.NoError(t, o.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, o, text)
		assert.NotContains(t, o.String(), "keep-open")
		assert.NotContains(t, o.String(), "detect-within")
	}
}

func TestTextErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      `no settings: must be "on", "off", settings such as "idle=45s`,
		" ":                                     "no settings",
		"yes":                                   `"yes": unknown word: must be "on"`,
		"ON":                                    `"ON": unknown word`,
		"idle":                                  `"idle": unknown word: must be "on"`,
		"idle=":                                 `"idle=": must be a duration such as 45s`,
		"idle=45":                               `"idle=45": missing unit: must be 45s`,
		"idle=soon":                             `"idle=soon": must be a duration`,
		"idle=45s5":                             `"idle=45s5": must be a duration`,
		"idle=-45s":                             `"idle=-45s": must not be negative`,
		"idle=45s,":                             "empty element",
		",":                                     "empty element",
		",idle=45s":                             "empty element",
		"idle=45s,,count=3":                     "empty element",
		"idle=45s;count=3":                      `"idle=45s;count=3": must be a duration`,
		"idle=45s,idle=45s":                     `"idle=45s": duplicate setting`,
		"idle=45s,keepalives_idle=45":           `"keepalives_idle=45": duplicate setting`,
		"on,off":                                `"off": duplicate setting`,
		"count=3.5":                             `"count=3.5": must be a whole number`,
		"count=-3":                              `"count=-3": must not be negative`,
		"count=99999999999999999999":            "must be smaller",
		"count=-99999999999999999999":           "must not be negative",
		"keepalives_idle=9223372036855":         "must be smaller",
		"keepalives_idle=45s":                   `"keepalives_idle=45s": must be a whole number`,
		"keepalives=2":                          "must be 1 or 0",
		"keepalives=":                           "must be 1 or 0",
		"user_timeout=1m":                       `"user_timeout=1m": unknown key: must be idle, interval, count, user-timeout, detect-within or keep-open`,
		"user-timeout=2562047h47m16.854775807s": "must be shorter",
		"45s:5s":                                "must be idle:interval:count",
		"45s:5s:3:1":                            "must be idle:interval:count",
		"45s:5s:3,user-timeout=1m":              `"45s:5s:3": idle:interval:count cannot be combined`,
		"keepalive_idle=45":                     `"keepalive_idle=45": unknown key: must be idle, interval, count, user-timeout, detect-within or keep-open, or libpq's keepalives,`,
		"keepalive_count=3":                     "unknown key",
		"idle=0.4ns":                            "must be at least 1ns",
		"idle=9999999999h":                      "at most 290 years",
		strings.Repeat("é", 50):                 `"` + strings.Repeat("é", 20) + `"…: unknown word`,
		"::":                                    "no settings",
		"45:5s:3":                               `"45": missing unit: must be 45s`,
		"45s:5s:x":                              `"x": must be a whole number`,
		"45s:5s:-3":                             "must not be negative",
		"45s:5s:3,on":                           `"3,on": must be a whole number`,
		"detect-within=0":                       `"detect-within=0": must be more than 0`,
		"keep-open=-1s":                         `"keep-open=-1s": must not be negative`,
		"keep-open=":                            `"keep-open=": must be a duration`,
		"keep-open=350":                         "missing unit: must be 350s",
		"detect-within":                         "unknown word",
		"detect-within=1m,idle=3s":              `"idle=3s": duplicate setting`,
		"idle=3s,detect-within=1m":              `"detect-within=1m": duplicate setting`,
		"keep-open=350s,detect-within=1m":       "duplicate setting",
		"idle=45s trailing":                     `"trailing": unknown word`,
		"idle=45s\x00":                          `"idle=45s\x00": must be a duration`,
		strings.Repeat(",", 1<<20):              "empty element",
		strings.Repeat("a", 1<<20):              `"` + strings.Repeat("a", 40) + `"…: unknown word`,
		strings.Repeat("a:", 1<<20):             "must be idle:interval:count",
		"idle=" + strings.Repeat("1", 1<<20):    "missing unit",
	} {
		before := keepalive.Options{Idle: 7 * time.Second, Disabled: true}
		o := before
		err := o.UnmarshalText([]byte(text))
		require.ErrorContains(t, err, want)
		assert.Less(t, len(err.Error()), 300)
		assert.NotContains(t, err.Error(), "\n")
		assert.Equal(t, before, o, "unchanged")
	}
	for _, o := range []keepalive.Options{{Idle: -1}, {Interval: -1}, {Count: -1}, {UserTimeout: -1}, {Idle: keepalive.NoUserTimeout}, {Interval: keepalive.NoUserTimeout}} {
		_, err := o.MarshalText()
		var oe *keepalive.OptionError
		require.ErrorAs(t, err, &oe)
	}
}

func TestTextInUse(t *testing.T) {
	t.Parallel()
	want := keepalive.Options{Idle: 45 * time.Second, Count: 3}
	var o keepalive.Options
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	var usage bytes.Buffer
	fs.SetOutput(&usage)
	fs.TextVar(&o, "keepalive", keepalive.Options{Idle: time.Minute}, "probing")
	fs.PrintDefaults()
	assert.Contains(t, usage.String(), "(default idle=1m)")
	require.NoError(t, fs.Parse([]string{"-keepalive", "45s::3"}))
	assert.Equal(t, want, o)
	fs.SetOutput(io.Discard)
	require.ErrorContains(t, fs.Parse([]string{"-keepalive", "maybe"}), `"maybe": unknown word`)

	type config struct{ Keepalive keepalive.Options }
	b, err := want.AppendText([]byte("keepalive="))
	require.NoError(t, err)
	assert.Equal(t, "keepalive=idle=45s,count=3", string(b))
	b, err = json.Marshal(config{want})
	require.NoError(t, err)
	assert.JSONEq(t, `{"Keepalive":"idle=45s,count=3"}`, string(b))
	var c config
	require.NoError(t, json.Unmarshal(b, &c))
	assert.Equal(t, want, c.Keepalive)
}

// FuzzText: whatever is read is written in a form that reads as the same.
func FuzzText(f *testing.F) {
	for _, s := range []string{"on", "off", "idle=45s,interval=5s,count=3,user-timeout=1m", "45s:5s:3", "30m::10", "keepalives_idle=45 tcp_user_timeout=60000", "off,user-timeout=off", "idle=1ns", "a=b", ",,,"} {
		f.Add(s, int64(45e9), int64(5e9), 3, int64(6e10), false)
	}
	f.Add("", int64(math.MaxInt64-1), int64(1), math.MaxInt, int64(math.MaxInt64), true)
	f.Fuzz(func(t *testing.T, text string, idle, interval int64, count int, userTimeout int64, disabled bool) {
		var o keepalive.Options
		if err := o.UnmarshalText([]byte(text)); err != nil {
			if o != (keepalive.Options{}) {
				t.Fatal("the receiver was changed")
			}
			o = keepalive.Options{time.Duration(idle), time.Duration(interval), count, time.Duration(userTimeout), disabled}
		}
		b, err := o.MarshalText()
		if (err == nil) != (o.Idle >= 0 && o.Interval >= 0 && o.Count >= 0 && o.UserTimeout >= 0 && o.Idle != keepalive.NoUserTimeout && o.Interval != keepalive.NoUserTimeout) {
			t.Fatalf("%#v: %v", o, err)
		}
		if err != nil {
			return
		}
		var back keepalive.Options
		if err := back.UnmarshalText(b); err != nil || back != o {
			t.Fatalf("%#v: %s: %#v, %v", o, b, back, err)
		}
	})
}
