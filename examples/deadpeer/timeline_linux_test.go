package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTimeline: silence and unanswered probes increase from line to line.
func TestTimeline(t *testing.T) { realtime.Test(testTimeline)(t) }

func testTimeline(t testing.TB) {
	conn, _ := testpeer.New(t, "tcp")
	_, err := keepalive.Inspect(conn)
	testpeer.SkipIfUnsupported(t, err) // qemu-user has no TCP_INFO
	var out, errOut strings.Builder
	require.Zero(t, run(strings.Fields("-idle 1s -interval 1s -count 2"), &out, &errOut), errOut.String())
	lines := regexp.MustCompile(`(?m)^ +\d+\.\d\ds +(\d+\.\d\d)s +(\d+) +0 +(\d+\.\d\d)s$`).FindAllStringSubmatch(out.String(), -1)
	require.NotEmpty(t, lines, out.String())
	silence, probes := 0.0, 0
	for _, l := range lines {
		d, err := strconv.ParseFloat(l[1], 64)
		require.NoError(t, err)
		p, err := strconv.Atoi(l[2])
		require.NoError(t, err)
		assert.GreaterOrEqual(t, d, silence, out.String())
		assert.GreaterOrEqual(t, p, probes, out.String())
		silence, probes = d, p
	}
	assert.Greater(t, silence, 2.0)
	assert.Equal(t, 2, probes)
}
