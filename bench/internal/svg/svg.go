// Package svg draws pictures that are readable on light and dark pages.
package svg

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// The colors of marks are those of Okabe and Ito, which color-blind readers can
// tell apart. Ink is for text, and Card is the background.
const (
	Blue      = "#0072b2"
	Orange    = "#e69f00"
	Green     = "#009e73"
	Vermilion = "#d55e00"
	Purple    = "#cc79a7"
	Grey      = "#787878"
	Ink       = "#1f2328"
	Line      = "#e1e1e1"
	Card      = "#ffffff"
)

// Dark has the color that replaces a color on a dark page.
var Dark = map[string]string{
	Blue: "#56b4e9", Orange: "#f0b429", Green: "#2bc49a", Vermilion: "#ff7b2e", Purple: "#e0a3c6",
	Grey: "#9a9a9a", Ink: "#e6edf3", Line: "#343b44", Card: "#0d1117",
}

// Picture is a picture that is being drawn.
type Picture struct {
	Width, Height int
	body          strings.Builder
	texts         []Text
}

// Text is a line of text. Its position is that of the baseline. Anchor is "start", "middle"
// or "end".
type Text struct {
	X, Y   float64
	Anchor string
	Size   float64
	Bold   bool
	Color  string // Ink if it is empty
	Up     bool   // turned to the left by 90°
	S      string
}

// Draw adds an element.
func (p *Picture) Draw(format string, args ...any) { fmt.Fprintf(&p.body, format+"\n", args...) }

// Text adds a line of text.
func (p *Picture) Text(t Text) {
	p.texts = append(p.texts, t)
	style := ""
	if t.Bold {
		style += ` font-weight="bold"`
	}
	if t.Color != "" {
		style += fmt.Sprintf(` fill="%s"`, t.Color)
	}
	place := fmt.Sprintf(`x="%.1f" y="%.1f"`, t.X, t.Y)
	if t.Up {
		place = fmt.Sprintf(`transform="translate(%.1f %.1f) rotate(-90)"`, t.X, t.Y)
	}
	p.Draw(`<text %s text-anchor="%s" font-size="%g"%s>%s</text>`, place, t.Anchor, t.Size, style, escape(t.S))
}

// Bytes returns the file. The card is painted, so that text is readable also where the
// page is dark and the browser's preference is not, or the other way round.
func (p *Picture) Bytes(title, desc string) []byte {
	var w strings.Builder
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title desc" font-family="Arial,Helvetica,'Liberation Sans',sans-serif" fill="%[3]s">`+"\n", p.Width, p.Height, Ink)
	fmt.Fprintf(&w, `<title id="title">%s</title>`+"\n", escape(title))
	fmt.Fprintf(&w, `<desc id="desc">%s</desc>`+"\n", escape(desc))
	fmt.Fprintf(&w, "<style>@media (prefers-color-scheme:dark){")
	for _, c := range []string{Blue, Orange, Green, Vermilion, Purple, Grey, Ink, Line, Card} {
		fmt.Fprintf(&w, `[fill="%[1]s"]{fill:%[2]s}[stroke="%[1]s"]{stroke:%[2]s}`, c, Dark[c])
	}
	fmt.Fprintf(&w, "}</style>\n")
	fmt.Fprintf(&w, `<rect width="%d" height="%d" fill="%s"/>`+"\n", p.Width, p.Height, Card)
	w.WriteString(p.body.String())
	w.WriteString("</svg>\n")
	return []byte(w.String())
}

// Check returns an error if a text lies outside the picture or overlaps another one, as
// far as the estimated widths show.
func (p *Picture) Check() error {
	var errs []error
	for i, t := range p.texts {
		b := t.box()
		if b.left < 0 || b.top < 0 || b.right > float64(p.Width) || b.bottom > float64(p.Height) {
			errs = append(errs, fmt.Errorf("the text %q lies outside the picture", t.S))
		}
		for _, u := range p.texts[:i] {
			if t.Overlaps(u, 0) {
				errs = append(errs, fmt.Errorf("the texts %q and %q overlap", u.S, t.S))
			}
		}
	}
	return errors.Join(errs...)
}

// Fits reports whether t lies inside the picture, and at least gap away from every
// other text.
func (p *Picture) Fits(t Text, gap float64) bool {
	q := Picture{Width: p.Width, Height: p.Height, texts: []Text{t}}
	if q.Check() != nil {
		return false
	}
	for _, u := range p.texts {
		if t.Overlaps(u, gap) {
			return false
		}
	}
	return true
}

// Overlaps reports whether t and u are less than gap apart.
func (t Text) Overlaps(u Text, gap float64) bool {
	a, b := t.box(), u.box()
	return a.left < b.right+gap && b.left < a.right+gap && a.top < b.bottom && b.top < a.bottom
}

type box struct{ left, top, right, bottom float64 }

func (t Text) box() box {
	width := Width(t.S, t.Size)
	if t.Bold {
		width *= 1.12
	}
	left := map[string]float64{"start": 0, "middle": -width / 2, "end": -width}[t.Anchor]
	up, down := 0.75*t.Size, 0.2*t.Size
	if t.Up {
		return box{t.X - up, t.Y - left - width, t.X + down, t.Y - left}
	}
	return box{t.X + left, t.Y - up, t.X + left + width, t.Y + down}
}

// Width estimates the width of s. It is that of DejaVu Sans, the widest of the fonts that
// replace Arial.
func Width(s string, size float64) float64 {
	var em float64
	for _, r := range s {
		switch {
		case strings.ContainsRune("ijl'|", r):
			em += 0.22
		case strings.ContainsRune(" .,:;!/It[]f", r):
			em += 0.28
		case strings.ContainsRune("-()r\"", r):
			em += 0.33
		case strings.ContainsRune("mMW%", r):
			em += 0.85
		case r == 'w' || 'A' <= r && r <= 'Z':
			em += 0.7
		case strings.ContainsRune("cksvxyzJ", r):
			em += 0.5
		case r > 0x2000:
			em += 1
		default: // digits and the other letters
			em += 0.56
		}
	}
	return 1.15 * em * size
}

func escape(s string) string {
	var w strings.Builder
	xml.EscapeText(&w, []byte(s))
	return w.String()
}
