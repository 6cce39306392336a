package svg

import (
	"encoding/xml"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBytes: the file is well-formed XML with text alternatives, and has every color for
// dark pages.
func TestBytes(t *testing.T) {
	t.Parallel()
	p := &Picture{Width: 100, Height: 50}
	p.Text(Text{X: 50, Y: 20, Anchor: "middle", Size: 10, Bold: true, Color: Blue, S: "a < b"})
	p.Text(Text{X: 10, Y: 25, Anchor: "middle", Size: 10, Up: true, S: "up"})
	b := string(p.Bytes("Title & more", "It <is> so"))
	d := xml.NewDecoder(strings.NewReader(b))
	var err error
	for err == nil {
		_, err = d.Token()
	}
	require.Equal(t, io.EOF, err)
	for _, want := range []string{
		`viewBox="0 0 100 50"`, `<title id="title">Title &amp; more</title>`, `<desc id="desc">It &lt;is&gt; so</desc>`,
		`<rect width="100" height="50" fill="#ffffff"/>`, `font-weight="bold" fill="#0072b2">a &lt; b</text>`, `rotate(-90)`,
	} {
		assert.Contains(t, b, want)
	}
	for light, dark := range Dark {
		assert.Contains(t, b, `[fill="`+light+`"]{fill:`+dark+`}[stroke="`+light+`"]{stroke:`+dark+`}`)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	text := func(x, y float64, anchor, s string) Text { return Text{X: x, Y: y, Anchor: anchor, Size: 10, S: s} }
	for _, c := range []struct {
		name  string
		texts []Text
		want  string
	}{
		{"good", []Text{text(5, 10, "start", "some words"), text(5, 22, "start", "some words"), text(95, 10, "end", "x")}, ""},
		{"overlap", []Text{text(5, 10, "start", "some words"), text(20, 12, "start", "more")}, `"some words" and "more" overlap`},
		{"right", []Text{text(80, 10, "start", "some words")}, `"some words" lies outside`},
		{"left", []Text{text(20, 10, "end", "some words")}, `"some words" lies outside`},
		{"above", []Text{text(50, 5, "middle", "x")}, `"x" lies outside`},
		{"below", []Text{text(50, 50, "middle", "x")}, `"x" lies outside`},
		{"turned", []Text{{X: 10, Y: 10, Anchor: "middle", Size: 10, Up: true, S: "words"}}, `"words" lies outside`},
	} {
		p := &Picture{Width: 100, Height: 50}
		for _, t := range c.texts {
			p.Text(t)
		}
		if c.want == "" {
			assert.NoError(t, p.Check(), c.name)
		} else {
			assert.ErrorContains(t, p.Check(), c.want, c.name)
		}
		assert.False(t, p.Fits(c.texts[0], 0), c.name)
	}
}

// TestContrast: text has the contrast of 4.5 to the card that the Web Content Accessibility
// Guidelines ask for, on light and dark pages. Marks have 3, except two light colors,
// which need an outline or a label.
func TestContrast(t *testing.T) {
	t.Parallel()
	luminance := func(color string) float64 {
		n, err := strconv.ParseUint(color[1:], 16, 32)
		require.NoError(t, err)
		var sum float64
		for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
			v := float64(n>>(8*i)&255) / 255
			if v <= 0.03928 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	contrast := func(a, b string) float64 {
		x, y := luminance(a), luminance(b)
		return (max(x, y) + 0.05) / (min(x, y) + 0.05)
	}
	assert.Greater(t, contrast(Ink, Card), 4.5)
	assert.Greater(t, contrast(Ink, Line), 4.5)
	assert.Greater(t, contrast(Dark[Ink], Dark[Card]), 4.5)
	assert.Greater(t, contrast(Dark[Ink], Dark[Line]), 4.5)
	for _, color := range []string{Blue, Green, Vermilion, Grey} {
		assert.Greater(t, contrast(color, Card), 3.0, color)
	}
	for _, color := range []string{Blue, Orange, Green, Vermilion, Purple, Grey} {
		assert.Greater(t, contrast(Dark[color], Dark[Card]), 3.0, color)
	}
}

func example() *Timeline {
	return &Timeline{
		Title: "A title", Axis: "seconds", End: 14,
		Lanes: []Lane{
			{
				Name: "idle=5s,interval=1s,count=3",
				Marks: []Mark{
					{Probe, 5.1, "probe 1"}, {Probe, 6.1, "probe 2"}, {Probe, 7.2, "probe 3"}, {Error, 8.2, "ETIMEDOUT after 8.2 s"},
				},
				Spans: []Span{{0, 5.1, "Idle"}, {5.1, 6.1, "Interval"}, {6.1, 6.2, "Interval"}},
			},
			{Name: "at the right end", Marks: []Mark{{Probe, 11, "probe"}, {Error, 13.9, "ETIMEDOUT after 13.9 s"}}},
			{
				Name: "data", Note: "no error yet", Band: Band{4, "dropped"},
				Marks: []Mark{
					{Probe, 1, "probe"}, {Answer, 1.01, "answer"}, {Probe, 2, "probe"}, {Answer, 2.01, "answer"}, {Probe, 3, "probe"},
					{Data, 10, "data"}, {Data, 10.2, "again"}, {Data, 10.4, "again"},
				},
			},
		},
	}
}

// TestTimeline: labels do not overlap, and those without room become shorter, or are
// left out.
func TestTimeline(t *testing.T) {
	t.Parallel()
	tl := example()
	p := tl.Picture()
	require.NoError(t, p.Check())
	b := string(p.Bytes(tl.Title, tl.Describe()))
	for _, want := range []string{
		">A title<", ">seconds<", ">14<", ">probe 1<", ">2<", ">probe 3<", ">ETIMEDOUT<", ">8.2 s<", ">13.9 s<", ">Idle<", ">5.1 s<", ">1 s<",
		">no error yet<", ">dropped<", ">data<", ">answer<",
	} {
		assert.Contains(t, b, want)
	}
	for _, not := range []string{">probe 2<", ">Interval<", ">0.1 s<", ">again<"} {
		assert.NotContains(t, b, not)
	}
	assert.Equal(t, `idle=5s,interval=1s,count=3: unanswered probes at 5.1, 6.1 and 7.2 s; ETIMEDOUT after 8.2 s. `+
		`at the right end: unanswered probe at 11 s; ETIMEDOUT after 13.9 s. `+
		`data: answered probes at 1 and 2 s; unanswered probe at 3 s; data at 10 s, sent again at 10.2 and 10.4 s; dropped after 4 s; no error.`, tl.Describe())
}
