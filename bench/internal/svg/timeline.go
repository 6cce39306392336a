package svg

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Timeline is a picture of what happens on connections, with a lane for each.
type Timeline struct {
	Title string
	Axis  string  // what the time is
	End   float64 // of the axis, in seconds
	Lanes []Lane
}

// Lane is what happens on one connection.
type Lane struct {
	Name  string // the settings
	Marks []Mark // in the order of time
	Spans []Span
	Band  Band
	Note  string // at the right end
}

// Mark is an event at a time in seconds.
type Mark struct {
	Kind Kind
	At   float64
	// Label is written at the mark. Without room for "probe 2", it is "2" or nothing. That of an
	// Error is in the form "ETIMEDOUT after 7.3 s".
	Label string
}

// Kind is the kind of an event.
type Kind int

// The kinds of events. A lane ends with an Error, and goes on to the right without one.
const (
	Probe Kind = iota
	Data
	Answer
	Error
)

// Span is a time between two events. It is drawn with its length, if there is room, and
// with its name, if there is room for that, too.
type Span struct {
	From, To float64
	Name     string
}

// Band is a state that lasts until a time. There is none if To is 0. It goes on to the end if To is
// infinite.
type Band struct {
	To    float64
	Label string
}

const (
	timelineWidth = 640
	headSize      = 17
	nameSize      = 15
	labelSize     = 14
)

// height is that of the lane. Spans take two lines of text below the marks.
func (l *Lane) height() float64 {
	if len(l.Spans) > 0 {
		return 126
	}
	return 92
}

// Picture draws t.
func (t *Timeline) Picture() *Picture {
	const left, right, top = 22.0, timelineWidth - 30.0, 40.0
	bottom := top
	for _, l := range t.Lanes {
		bottom += l.height()
	}
	p := &Picture{Width: timelineWidth, Height: int(bottom) + 48}
	px := func(at float64) float64 { return left + at/t.End*(right-left) }

	p.Text(Text{X: timelineWidth / 2, Y: 25, Anchor: "middle", Size: headSize, Bold: true, S: t.Title})
	step := 1.0
	for _, s := range []float64{2, 5, 10, 20, 60} {
		if t.End/step > 15 {
			step = s
		}
	}
	for at := 0.0; at <= t.End; at += step {
		p.Draw(`<path d="M%.1f %gV%g" stroke="%s"/>`, px(at), top, bottom, Line)
		p.Text(Text{X: px(at), Y: bottom + 17, Anchor: "middle", Size: labelSize, S: fmt.Sprintf("%g", at)})
	}
	p.Text(Text{X: (left + right) / 2, Y: bottom + 38, Anchor: "middle", Size: labelSize, S: t.Axis})
	y := top
	for _, l := range t.Lanes {
		l.draw(p, y, right+14, px)
		y += l.height()
	}
	return p
}

// draw draws a lane whose upper end is y. Without an error it goes on to the end.
func (l *Lane) draw(p *Picture, y, end float64, px func(float64) float64) {
	line := y + 58
	label := func(x, y float64, anchor, s string) Text {
		return Text{X: x, Y: y, Anchor: anchor, Size: labelSize, S: s}
	}
	p.Text(Text{X: px(0), Y: y + 20, Anchor: "start", Size: nameSize, Bold: true, S: l.Name})
	if l.Band.To > 0 {
		p.Draw(`<path d="M%.1f %gH%.1f" stroke="%s" stroke-width="18"/>`, px(0), line, min(px(l.Band.To), end), Line)
	}
	failed := slices.IndexFunc(l.Marks, func(m Mark) bool { return m.Kind == Error })
	if failed >= 0 {
		p.Draw(`<path d="M%.1f %gH%.1f" stroke="%s" stroke-width="1.5"/>`, px(0), line, px(l.Marks[failed].At), Ink)
	} else {
		p.Draw(`<path d="M%.1f %gH%.1f" stroke="%s" stroke-width="1.5"/>`, px(0), line, end-7, Ink)
		p.Draw(`<path d="M%.1f %gL%.1f %gL%.1f %gZ" fill="%s"/>`, end-8, line-4, end, line, end-8, line+4, Ink)
	}
	p.Draw(`<path d="M%.1f %gV%g" stroke="%s" stroke-width="1.5"/>`, px(0), line-7, line+7, Ink)
	for _, m := range l.Marks {
		m.draw(p, px(m.At), line)
	}
	if failed >= 0 { // first, because it must have room: two lines of text, at the right if possible
		x := px(l.Marks[failed].At)
		what, when, _ := strings.Cut(l.Marks[failed].Label, " after ")
		t := Text{X: x + 11, Y: line, Anchor: "start", Size: labelSize, Bold: true, S: what}
		if !p.Fits(t, 0) {
			t.X, t.Y, t.Anchor = x+6, line-25, "end"
		}
		u := t
		u.Y, u.S = t.Y+labelSize+1, when
		p.Text(t)
		p.Text(u)
	}
	for _, m := range l.Marks {
		x := px(m.At)
		switch m.Kind {
		case Error:
		case Answer:
			if t := label(x+10, line+19, "start", m.Label); p.Fits(t, 6) {
				p.Text(t)
			}
		default: // the whole label, or its number
			_, number, _ := strings.Cut(m.Label, " ")
			for _, s := range []string{m.Label, number} {
				t := label(x, line-16, "middle", s)
				if Width(s, labelSize)/2 > x-px(0) {
					t = label(px(0), line-16, "start", s)
				}
				if s != "" && p.Fits(t, 5) {
					p.Text(t)
					break
				}
			}
		}
	}
	if t := label(px(l.Band.To), line+25, "middle", l.Band.Label); l.Band.Label != "" && p.Fits(t, 5) {
		p.Text(t)
	}
	if t := label(end, line+22, "end", l.Note); l.Note != "" && p.Fits(t, 5) {
		p.Text(t)
	}
	for _, s := range l.Spans {
		from, to := px(s.From)+1.5, px(s.To)-1.5
		when := Seconds(s.To-s.From) + " s"
		if Width(when, labelSize) > to-from {
			continue
		}
		p.Draw(`<path d="M%.1f %gV%gM%.1f %gV%gM%.1f %gH%.1f" fill="none" stroke="%s"/>`, from, line+24, line+32, to, line+24, line+32, from, line+28, to, Grey)
		next := line + 45
		if s.Name != "" && Width(s.Name, labelSize) <= to-from {
			p.Text(label((from+to)/2, next, "middle", s.Name))
			next += labelSize + 1
		}
		p.Text(label((from+to)/2, next, "middle", when))
	}
}

func (m Mark) draw(p *Picture, x, line float64) {
	switch m.Kind {
	case Probe:
		p.Draw(`<circle cx="%.1f" cy="%g" r="6" fill="%s"/>`, x, line, Blue)
	case Data:
		p.Draw(`<rect x="%.1f" y="%g" width="8" height="12" fill="%s" stroke="%s"/>`, x-4, line-6, Orange, Ink)
	case Answer:
		p.Draw(`<path d="M%.1f %gL%.1f %gL%.1f %gZ" fill="%s"/>`, x-6, line+19, x+6, line+19, x, line+8, Green)
	case Error:
		p.Draw(`<path d="M%.1f %gL%.1f %gM%.1f %gL%.1f %g" stroke="%s" stroke-width="4"/>`, x-6, line-6, x+6, line+6, x-6, line+6, x+6, line-6, Vermilion)
	}
}

// Describe is a text alternative for the whole picture.
func (t *Timeline) Describe() string {
	var all []string
	for _, l := range t.Lanes {
		all = append(all, l.Name+": "+l.Describe())
	}
	return strings.Join(all, " ")
}

// Describe tells in words what a lane shows, without its name.
func (l *Lane) Describe() string {
	var parts []string
	for i := 0; i < len(l.Marks); {
		m := l.Marks[i]
		if m.Kind == Error {
			parts = append(parts, m.Label)
			i++
			continue
		}
		// Neighbors of a kind are one part. A probe and its answer are one event.
		var at []string
		answered := true
		for ; i < len(l.Marks) && l.Marks[i].Kind == m.Kind; i++ {
			at = append(at, Seconds(l.Marks[i].At))
			has := i+1 < len(l.Marks) && l.Marks[i+1].Kind == Answer
			if len(at) == 1 {
				answered = has
			}
			if has != answered {
				at = at[:len(at)-1]
				break
			}
			if has {
				i++
			}
		}
		parts = append(parts, describe(m.Kind, at, answered))
	}
	if l.Band.Label != "" {
		parts = append(parts, fmt.Sprintf("%s after %s s", l.Band.Label, Seconds(l.Band.To)))
	}
	if !slices.ContainsFunc(l.Marks, func(m Mark) bool { return m.Kind == Error }) {
		parts = append(parts, "no error")
	}
	return strings.Join(parts, "; ") + "."
}

func describe(kind Kind, at []string, answered bool) string {
	what := map[Kind]string{Probe: "probe", Data: "data", Answer: "answer"}[kind]
	switch {
	case kind == Answer:
	case answered:
		what = "answered " + what
	case kind == Probe:
		what = "unanswered " + what
	}
	if kind == Data && len(at) > 1 {
		return fmt.Sprintf("%s at %s s, sent again at %s s", what, at[0], list(at[1:]))
	}
	if len(at) > 1 {
		what += "s"
	}
	return fmt.Sprintf("%s at %s s", what, list(at))
}

func list(words []string) string {
	n := len(words) - 1
	if n == 0 {
		return words[0]
	}
	return strings.Join(words[:n], ", ") + " and " + words[n]
}

// Seconds writes a time with a resolution of 0.1 s, or 0.01 s below a second.
func Seconds(v float64) string {
	if v < 0.995 {
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
