// Package text formats values for people.
package text

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Width is the number of columns that texts are written for, except on a narrow terminal.
const Width = 80

// Wrap breaks text into lines of less than width columns, if its words allow that. prefix is before
// the first line, and as many blanks are before the others. The result ends with a newline.
func Wrap(prefix, text string, width int) string {
	var b strings.Builder
	line := prefix
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) >= width {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", utf8.RuneCountInString(prefix)), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return b.String() + line + "\n"
}

// Duration returns d without zeros at the end, and without digits that do not matter.
func Duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 48*time.Hour:
		d = d.Round(time.Minute)
	case d >= 10*time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= 100*time.Millisecond:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(time.Millisecond)
	}
	return Exact(d)
}

// Exact returns d without trailing zero units, for example 15m59.5s or 2h.
func Exact(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
