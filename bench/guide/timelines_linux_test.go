package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/internal/svg"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

// shortTimeline has a lane of each kind, and takes six seconds.
func shortTimeline() *timeline {
	set := func(text string) *lane { return &lane{o: mustOptions(text), spans: true} }
	idle, alive, outage, data, limited := set("idle=1s,interval=1s,count=2"), set("idle=1s,interval=1s,count=2"), set("idle=2s,interval=1s,count=5"),
		set("idle=2s,interval=1s,count=2,user-timeout=2s"), set("idle=1s,interval=1s,count=9,user-timeout=2500ms")
	alive.alive, outage.alive = true, true
	outage.dead = []time.Duration{time.Second, 3500 * time.Millisecond}
	data.write = time.Second
	nat := &lane{name: "NAT", o: keepalive.Options{Disabled: true}, alive: true, nat: 2 * time.Second, write: 4 * time.Second}
	return &timeline{"short.svg", "Short", 6 * time.Second, []*lane{idle, alive, outage, data, limited, nat}}
}

// TestTimelines captures the segments of each kind of lane.
func TestTimelines(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		tl := shortTimeline()
		need(t, record([]*timeline{tl}))
		p := tl.picture()
		for _, l := range p.Lanes {
			t.Logf("%s: %s", l.Name, l.Describe())
		}
		drawn := p.Picture()
		require.NoError(t, drawn.Check())
		idle, alive, outage, data, limited, nat := p.Lanes[0], p.Lanes[1], p.Lanes[2], p.Lanes[3], p.Lanes[4], p.Lanes[5]

		checkMarks(t, idle, []wantMark{{svg.Probe, 1}, {svg.Probe, 2}, {svg.Error, 3}})
		checkMarks(t, limited, []wantMark{{svg.Probe, 1}, {svg.Probe, 2}, {svg.Error, 3}})
		checkMarks(t, alive, []wantMark{{svg.Probe, 1}, {svg.Answer, 1}, {svg.Probe, 2}, {svg.Answer, 2}, {svg.Probe, 3}, {svg.Answer, 3}, {svg.Probe, 4}, {svg.Answer, 4}})
		assert.Equal(t, "seconds since the last segment from the peer", p.Axis)
		checkMarks(t, outage, []wantMark{{svg.Probe, 2}, {svg.Probe, 3}, {svg.Probe, 4}, {svg.Answer, 4}})

		// Data in flight: no probe after 2s, and each wait is twice the one before.
		at := []float64{}
		for _, m := range data.Marks[:len(data.Marks)-1] {
			require.Equal(t, svg.Data, m.Kind)
			at = append(at, m.At)
		}
		require.GreaterOrEqual(t, len(at), 5)
		for i := 3; i < len(at); i++ {
			assert.InDelta(t, 2, (at[i]-at[i-1])/(at[i-1]-at[i-2]), 0.5)
		}
		last := data.Marks[len(data.Marks)-1]
		assert.Equal(t, svg.Error, last.Kind)
		assert.Contains(t, last.Label, "ETIMEDOUT after 3.")
		assert.InDelta(t, 1+2.4, last.At, 0.5)

		// The NAT drops the connection before the data.
		assert.Greater(t, nat.Band.To, 1.9)
		assert.Less(t, nat.Band.To, 4.0)
		require.GreaterOrEqual(t, len(nat.Marks), 3)
		for _, m := range nat.Marks {
			assert.Equal(t, svg.Data, m.Kind)
			assert.GreaterOrEqual(t, m.At, 4.0)
		}
		assert.Equal(t, "no error yet", nat.Note)
	})(t)
}

type wantMark struct {
	kind    svg.Kind
	seconds float64
}

// checkMarks checks the first marks of a lane. Timers can be late by 1/8. They count from the
// last tick of the kernel, which was up to 10 ms before.
func checkMarks(t testing.TB, l svg.Lane, want []wantMark) {
	t.Helper()
	if !assert.GreaterOrEqual(t, len(l.Marks), len(want), l.Name) {
		return
	}
	for i, w := range want {
		assert.Equal(t, w.kind, l.Marks[i].Kind, "%s, mark %d", l.Name, i)
		assert.GreaterOrEqual(t, l.Marks[i].At, w.seconds-0.02, "%s, mark %d", l.Name, i)
		assert.LessOrEqual(t, l.Marks[i].At, w.seconds*1.125+0.3, "%s, mark %d", l.Name, i)
	}
}

// TestTimelineTexts: the texts of all pictures have room, with times as late as they can be.
func TestTimelineTexts(t *testing.T) {
	t.Parallel()
	const late = 1.125
	for _, tl := range timelineSet() {
		for _, l := range tl.lanes {
			l.drawn = svg.Lane{Name: l.name}
			if l.name == "" {
				l.drawn.Name = l.o.String()
			}
			if !l.alive && l.write == 0 {
				for at := l.o.Idle; at < l.o.DetectionTime(); at += l.o.Interval {
					l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Probe, At: at.Seconds() * late, Label: "probe 1"})
				}
				l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Error, At: l.o.DetectionTime().Seconds() * late, Label: "ETIMEDOUT after 12.3 s"})
			}
			assert.LessOrEqual(t, (l.write + l.o.UserTimeout).Seconds(), tl.end.Seconds())
		}
		p := tl.picture()
		assert.NoError(t, p.Picture().Check(), tl.file)
	}
}

func TestTimelinesArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-o no/such/folder":     "no/such/folder",
		"-o timelines_linux.go": "must be a folder",
		"please":                `"please"`,
	} {
		var usage usageError
		err := timelines(io.Discard, strings.Fields(args))
		assert.ErrorAs(t, err, &usage, args)
		assert.ErrorContains(t, err, want)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("some words ", 30)
	wrapped := wrap(text, "    ")
	checkWidth(t, wrapped)
	assert.Equal(t, strings.Fields(text), strings.Fields(wrapped))
	for line := range strings.Lines(wrapped) {
		assert.True(t, strings.HasPrefix(line, "    some") || strings.HasPrefix(line, "    words"), line)
	}
}
