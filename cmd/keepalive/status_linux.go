package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// statusLine is a line at the end of a terminal's output that is overwritten. It is nothing
// if the output is no terminal.
type statusLine struct{ terminal *os.File }

func newStatusLine(w io.Writer) statusLine {
	f, ok := w.(*os.File)
	if !ok {
		return statusLine{}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return statusLine{}
	}
	return statusLine{f}
}

func (s statusLine) show(text string) {
	if s.terminal == nil {
		return
	}
	if size, err := unix.IoctlGetWinsize(int(s.terminal.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 1 {
		text = text[:min(len(text), int(size.Col)-1)]
	}
	fmt.Fprintf(s.terminal, "\r\x1b[K%s", text)
}

func (s statusLine) clear() {
	if s.terminal != nil {
		fmt.Fprint(s.terminal, "\r\x1b[K")
	}
}
