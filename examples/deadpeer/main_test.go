package main

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string // matches the end of the output
	}{
		{"-idle 1s -interval 1s -count 1", `before  keepalive off, .*\nafter   keepalive on, idle 1s, interval 1s, count 1, user timeout none\n(?s:.*)Detection time 2s, measured 2\.\d\ds\.\n$`},
		{"-idle 1s -interval 1s -count 1 -user-timeout 3s", `user timeout 3s\n(?s:.*)Detection time 3s, measured 3\.\d\ds\.\n$`},
		{"-keepalive 1s:1s:1", `after   keepalive on, idle 1s, interval 1s, count 1, user timeout none\n(?s:.*)Detection time 2s, measured 2\.\d\ds\.\n$`},
		{"-keepalive idle=9s,interval=1s,count=1 -idle 1s", `after   keepalive on, idle 1s, interval 1s, count 1, user timeout none\n(?s:.*)Detection time 2s, measured 2\.\d\ds\.\n$`},
		{"-keepalive off -wait 1s", `The dead peer was not detected in 1\.\d\ds, because keepalive is off\.\n$`},
		{"-idle 1s -interval 1s -count 2 -outage 1s", `the peer receives again\n(?s:.*)The connection survived an outage of 1s and carries data\.\n$`},
		{"-idle 1s -interval 1s -count 1 -unacked -user-timeout 1s", `14 bytes were written(?s:.*)Detection time 1s, measured 1\.\d\ds\.\n$`},
	} {
		t.Run(c.args, realtime.Test(func(t testing.TB) {
			var out, errOut strings.Builder
			require.Zero(t, run(strings.Fields(c.args), &out, &errOut), errOut.String())
			if s := out.String(); strings.Contains(s, "Stopping: ") || strings.Contains(s, "not set: ") {
				t.Skipf("not supported here: %s", s)
			}
			assert.Regexp(t, regexp.MustCompile(c.want), out.String())
		}))
	}
}

// TestUnackedAlone: without a user timeout, a dead peer is not detected while data is
// unacknowledged.
func TestUnackedAlone(t *testing.T) { realtime.Test(testUnackedAlone)(t) }

func testUnackedAlone(t testing.TB) {
	var out, errOut strings.Builder
	start := time.Now()
	require.Zero(t, run([]string{"-idle", "1s", "-count", "1", "-unacked"}, &out, &errOut), errOut.String())
	if s := out.String(); strings.Contains(s, "Stopping: ") {
		t.Skipf("not supported here: %s", s)
	}
	assert.Contains(t, out.String(), "The dead peer was not detected")
	assert.Greater(t, time.Since(start), 9*time.Second)
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var out, errOut strings.Builder
	require.Zero(t, run([]string{"-addr", l.Addr().String()}, &out, &errOut), errOut.String())
	assert.Regexp(t, `before  keepalive off,(?s:.*)after   keepalive on,`, out.String())

	l.Close()
	require.Equal(t, 1, run([]string{"-addr", l.Addr().String()}, &out, &errOut))
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-idle -1s":            "Idle -1s",
		"-idle soon":           `"soon" for flag -idle`,
		"-count 1.5":           `"1.5" for flag -count`,
		"-count -1":            "Count -1",
		"-outage -1s":          "-outage -1s: must not be negative",
		"-outage 1s -addr x:1": "-addr cannot be combined",
		"-wait -1s":            "-wait -1s: must not be negative",
		"-nope":                "-nope",
		"-keepalive idle=45":   `"idle=45": missing unit`,
		"please":               `"please"`,
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run(strings.Fields(args), &out, &errOut), args)
		assert.Contains(t, errOut.String(), want)
		assert.Equal(t, 1, strings.Count(errOut.String(), "\n"), "one line")
		assert.Empty(t, out.String())
	}
	var out, errOut strings.Builder
	assert.Zero(t, run([]string{"-h"}, &out, &errOut))
	assert.Contains(t, out.String(), "-user-timeout")
}
