package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-keepalive/keepalive/bench/internal/svg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	s := &section{title: "Subject", command: "go run -C bench . -only subject"}
	s.say("It is %d.", 7)
	s.table([]string{"what", "ns"}, [][]string{{"this", "1.5"}, {"that", "2"}})
	s.lacks("the rest", errors.New("no root"))
	s.promise(promise{what: "This", seen: spread{1.08, 1.04, 1.12}, limit: 1.15, unit: "times"})
	s.promise(promise{what: "That", seen: spread{0.5, 0.46, 0.54}, limit: 0.9, atLeast: true})
	c := &chart{title: "Title <1>", desc: "A line", x: axis{label: "x (s)", log: true, ticks: []float64{1, 10}}, y: axis{label: "y (s)"}}
	c.curves = []curve{{name: ours, color: svg.Blue, x: []float64{1, 10}, y: []spread{{1, 0.9, 1.1}, {2, 1.9, 2.1}}}}
	c.y.ticks = steps(0, 2)
	assert.NoError(t, c.picture().Check())
	s.picture("some.svg", c)
	assert.Equal(t, []string{"the rest: no root"}, s.absent)

	dir := t.TempDir()
	r := report{machine: []string{"a CPU", "2 cores"}, command: "go run -C bench .", sections: []*section{s}}
	require.NoError(t, r.save(dir))
	b, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	require.NoError(t, err)
	head, text, ok := strings.Cut(string(b), "## Promises\n\n")
	require.True(t, ok)
	assert.Contains(t, head, "\n    go run -C bench .\n\non a CPU, 2 cores.\n")
	assert.Equal(t, `| promise | limit | measured | result |
|---|---:|---:|---:|
| This | at most 1.15 times | 1.08 ± 0.04 times | kept |
| That | at least 0.9 | 0.500 ± 0.040 | **broken** |

## Subject

    go run -C bench . -only subject

It is 7.

| what | ns |
|---|---:|
| this | 1.5 |
| that | 2 |

Not measured in this run: the rest (no root).

![A line](some.svg)
`, text)

	picture, err := os.ReadFile(filepath.Join(dir, "some.svg"))
	require.NoError(t, err)
	for _, want := range []string{`<title id="title">Title &lt;1&gt;</title>`, `<desc id="desc">A line</desc>`, "x (s)", "y (s)", ours, svg.Blue, svg.Card} {
		assert.Contains(t, string(picture), want)
	}
	for d := xml.NewDecoder(strings.NewReader(string(picture))); err == nil; {
		_, err = d.Token()
	}
	assert.Equal(t, io.EOF, err)
}

func TestTicks(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []float64{0, 5, 10, 15, 20}, steps(0, 19))
	assert.Equal(t, []float64{0, 0.5, 1, 1.5, 2}, steps(0, 2))
	assert.Equal(t, []float64{0.5, 1, 2, 5, 10, 20, 50}, decades([]curve{{y: []spread{{1, 0.6, 2}, exact(21)}}}))
	assert.Equal(t, 0.5, axis{log: true, ticks: []float64{1, 10, 100}}.position(10))
	assert.Equal(t, 0.25, axis{ticks: []float64{0, 4}}.position(1))
}

// TestChartTexts: no texts overlap in charts with long names and large numbers.
func TestChartTexts(t *testing.T) {
	t.Parallel()
	all := trials()
	for _, c := range all {
		c.measured = []float64{c.promised.Seconds()}
	}
	assert.NoError(t, detectionChart(all).picture().Check())
	seen, sizes := map[int]map[string]*usage{}, []int{1000, 1_000_000}
	for _, n := range sizes {
		seen[n] = map[string]*usage{}
		for i, l := range peerLoads {
			seen[n][l.name] = &usage{CPU: []float64{0.01 * float64(i+1)}}
		}
	}
	assert.NoError(t, usageChart("Processor time", peerLoads, sizes, seen).picture().Check())
}

// TestColors: everything that is drawn has a color.
func TestColors(t *testing.T) {
	t.Parallel()
	for _, l := range peerLoads {
		assert.Contains(t, colors, l.name)
	}
	for _, w := range wrappers {
		assert.Contains(t, colors, w.name)
	}
	for _, kind := range kinds {
		assert.Contains(t, colors, kind)
	}
}
