package main

import (
	"strings"
	"testing"

	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestShow: every dead peer is found in time, idle or with unacknowledged data, and no
// live peer is suspected.
func TestShow(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"-keepalive idle=1s,interval=1s,count=2,user-timeout=3s",
		"-conns 100 -dead 100 -keepalive idle=1s,interval=1s,count=1,user-timeout=2s",
	} {
		t.Run(args, realtime.Test(func(t testing.TB) {
			var out, errOut strings.Builder
			code := run(strings.Fields(args), &out, &errOut)
			if s := errOut.String(); strings.Contains(s, "unsupported operation") || strings.Contains(s, "not permitted") {
				t.Skipf("not supported here: %s", s)
			}
			require.Zero(t, code, errOut.String())
			assert.Contains(t, out.String(), ", and suspected 0 live peers.")
		}))
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-conns 0":                "-conns 0",
		"-conns 5 -dead 6":        "-dead 6",
		"-every -1s":              "-every -1s",
		"-keepalive off":          "-keepalive off",
		"-keepalive idle=0.5d":    "idle=0.5d",
		"-nope":                   "-nope",
		"please":                  `"please"`,
		"-keepalive idle=100000h": "Idle",
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run(strings.Fields(args), &out, &errOut), args)
		assert.Contains(t, errOut.String(), want)
		assert.Equal(t, 1, strings.Count(errOut.String(), "\n"), "one line")
		assert.Empty(t, out.String())
	}
	var out, errOut strings.Builder
	assert.Zero(t, run([]string{"-h"}, &out, &errOut))
	assert.Contains(t, out.String(), "-conns")
}
