package main

import (
	"fmt"
	"io"
)

// statusLine is the last line on a terminal, which is overwritten. It is nothing if w is no
// terminal.
type statusLine struct {
	w      io.Writer
	screen screen
}

func (s statusLine) show(text string) {
	if s.screen.width > 0 {
		fmt.Fprintf(s.w, "\r\x1b[K%s", s.screen.line(text, 0))
	}
}

func (s statusLine) clear() {
	if s.screen.width > 0 {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
