package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/internal/realtime"
)

func TestClaims(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		var out strings.Builder
		need(t, claims(&out, nil))
		t.Log(out.String())
		after := regexp.MustCompile(`first (?:probe followed )?after (\S+)s\.`).FindAllStringSubmatch(out.String(), -1)
		require.Len(t, after, 3)
		for i, want := range []float64{1, 1, 2} {
			seconds, err := strconv.ParseFloat(after[i][1], 64)
			require.NoError(t, err)
			assert.InDelta(t, want+want/16, seconds, want/16+0.3)
		}
		assert.Contains(t, out.String(), "the peer answered: 3 probes in 10s")
		assert.Contains(t, out.String(), "Read returned EOF")
		assert.Contains(t, out.String(), "an open connection reported idle=2s")
	})(t)
}
