package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	s := &section{title: "Theme"}
	s.say("It is %d.", 7)
	s.table([]string{"what", "ns"}, [][]string{{"this", "1.5"}, {"that", "2"}})
	s.lacks("the rest", errors.New("no root"))
	s.promise(promise{what: "This", seen: spread{1.08, 0.04}, limit: 1.15, unit: "times"})
	s.promise(promise{what: "That", seen: spread{0.5, 0.04}, limit: 0.9, atLeast: true})
	p := newPlot("Title", "x (s)", "y (s)")
	addCurves(p, []curve{{name: ours, x: []float64{1, 10}, y: []spread{{1, 0.1}, {2, 0.1}}}})
	logAxis(&p.X)
	s.picture("some.svg", "A line", p)
	assert.Equal(t, []string{"the rest: no root"}, s.absent)

	dir := t.TempDir()
	r := report{machine: []string{"a CPU", "2 cores"}, command: "go run -C bench .", sections: []*section{s}}
	require.NoError(t, r.save(dir))
	b, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	require.NoError(t, err)
	head, text, ok := strings.Cut(string(b), "## Promises\n\n")
	require.True(t, ok)
	assert.Contains(t, head, "\n    go run -C bench .\n\non a CPU, 2 cores.\n")
	assert.Equal(t, `| promise | limit | measured |  |
|---|---:|---:|---:|
| This | at most 1.15 times | 1.08 ± 0.04 times | kept |
| That | at least 0.9 | 0.500 ± 0.040 | **missed** |

## Theme

It is 7.

| what | ns |
|---|---:|
| this | 1.5 |
| that | 2 |

Not measured in this run: the rest (no root).

![A line](some.svg)
`, text)

	svg, err := os.ReadFile(filepath.Join(dir, "some.svg"))
	require.NoError(t, err)
	for _, want := range []string{"<svg ", "Title", "x (s)", "y (s)", ours, "sans-serif", "fill:#FFFFFF"} {
		assert.Contains(t, string(svg), want)
	}
}

// TestLooks: whatever is drawn has a look of its own.
func TestLooks(t *testing.T) {
	t.Parallel()
	for _, k := range keepers {
		assert.Contains(t, looks, k.name)
	}
	for _, p := range pipes {
		assert.Contains(t, looks, p.name)
	}
	for _, trial := range trials() {
		assert.Contains(t, looks, trial.kind)
	}
}
