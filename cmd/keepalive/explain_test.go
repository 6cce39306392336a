package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExplainUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "accepts 1 arg(s), received 0: see keepalive explain --help"},
		{[]string{"idle=1s", "count=3"}, "accepts 1 arg(s), received 2: see keepalive explain --help"},
		{[]string{"garbage"}, `OPTIONS "garbage": "garbage": unknown word`},
		{[]string{"idle=-1s"}, "must not be negative"},
		{[]string{""}, "no settings"},
		{[]string{"on", "--connections", "0"}, "--connections 0: must be between 1 and 1000000000"},
		{[]string{"on", "--connections", "-1"}, "--connections -1: must be between 1 and 1000000000"},
		{[]string{"on", "--connections", "many"}, "invalid argument"},
		{[]string{"on", "-o", "xml"}, `--output "xml": must be text or json`},
	} {
		out, errs, status := keepaliveCommand(append([]string{"explain"}, c.args...)...)
		assert.Equal(t, 2, status, c.args)
		assert.Empty(t, out, c.args)
		assert.Contains(t, errs, c.want, c.args)
		assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
}

// explained is what scripts read from the JSON of explain.
type explained struct {
	System    string
	Options   string
	KeepAlive bool
	Settings  struct {
		Idle        float64  `json:"idle_seconds"`
		Interval    float64  `json:"interval_seconds"`
		Count       int      `json:"count"`
		UserTimeout *float64 `json:"user_timeout_seconds"`
		FromSystem  []string `json:"from_system"`
	}
	Probes   int
	Idle     detected `json:"idle_connection"`
	InFlight detected `json:"data_in_flight"`
	Warnings []string
}

type detected struct {
	Detection *float64 `json:"detection_seconds"`
	Latest    *float64 `json:"latest_seconds"`
}

// explainJSON must be called in the network namespace that it is about.
func explainJSON(t testing.TB, options string) (x explained) {
	t.Helper()
	out, errs, status := keepaliveCommand("explain", options, "-o", "json")
	assert.Zero(t, status, errs)
	assert.NoError(t, json.Unmarshal([]byte(out), &x), out)
	return x
}

// TestExplain: the command agrees with the library about this system.
func TestExplain(t *testing.T) {
	defaults, err := keepalive.SystemDefaults()
	if err != nil && runtime.GOOS != "windows" {
		t.Skipf("not supported here: %v", err)
	}
	x := explainJSON(t, "on")
	assert.Equal(t, "on", x.Options)
	assert.True(t, x.KeepAlive)
	assert.Equal(t, defaults.Idle.Seconds(), x.Settings.Idle)
	assert.Equal(t, defaults.Interval.Seconds(), x.Settings.Interval)
	assert.Equal(t, defaults.Count, x.Settings.Count)
	assert.Nil(t, x.Settings.UserTimeout)
	assert.Equal(t, []string{"idle", "interval", "count", "user-timeout"}, x.Settings.FromSystem)
	assert.Equal(t, keepalive.Options{}.DetectionTime().Seconds(), *x.Idle.Detection)

	x = explainJSON(t, "off")
	assert.False(t, x.KeepAlive)
	assert.Nil(t, x.Idle.Detection)
	assert.Nil(t, x.Idle.Latest)

	for _, text := range []string{"detect-within=1m", "keep-open=350s"} {
		var o keepalive.Options
		require.NoError(t, o.UnmarshalText([]byte(text)))
		if o.Validate() != nil {
			t.Skipf("not supported here: %v", o.Validate())
		}
		x = explainJSON(t, text)
		assert.Equal(t, o.Idle.Seconds(), x.Settings.Idle)
		assert.Equal(t, o.Interval.Seconds(), x.Settings.Interval)
		assert.Equal(t, o.DetectionTime().Seconds(), *x.Idle.Detection)
		out, errs, status := keepaliveCommand("explain", text)
		assert.Zero(t, status, errs)
		assert.Contains(t, out, o.String())
	}
}

// TestExplainHelp: the sources of the timeouts are in the help.
func TestExplainHelp(t *testing.T) {
	out, errs, status := keepaliveCommand("explain", "--help")
	assert.Zero(t, status, errs)
	assert.Contains(t, out, "learn.microsoft.com/azure")
}

func TestCompleteOptions(t *testing.T) {
	for _, name := range []string{"explain", "system"} {
		out, _, status := keepaliveCommand("__complete", name, "")
		assert.Zero(t, status)
		assert.Contains(t, out, "detect-within=\n")
	}
}
