package keepalive_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTiming: docs/timing.md has the options that DetectWithin returns on Linux.
func TestTiming(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/timing.md")
	if err != nil {
		t.Skipf("not supported here: %v", err) // the test runs without the repository
	}
	rows := regexp.MustCompile("(?m)^\\| (\\S+) \\| `(idle=\\S+)` \\| (\\S+) \\|$").FindAllStringSubmatch(string(b), -1)
	assert.Len(t, rows, 5)
	for _, row := range rows {
		d, err := time.ParseDuration(row[1])
		require.NoError(t, err)
		detection, err := time.ParseDuration(row[3])
		require.NoError(t, err)
		o := keepalive.DetectWithin(d)
		assert.Equal(t, row[2], o.String())
		assert.Equal(t, detection, o.DetectionTime(), row[2])
	}
}
