package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is the terminal that shows the output. Its zero value stands for a file or a pipe.
type screen struct {
	width  int // 0: lines may have any length
	height int // 0: there may be any number of lines
	color  bool
}

// screenOf returns the screen that w writes to.
func screenOf(w io.Writer) screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width, height = 80, 24
	}
	return screen{width: width, height: height, color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colors of lines.
const (
	red    = 31
	yellow = 33
)

// line returns text, cut to the width and in a color unless that is 0.
func (s screen) line(text string, color int) string {
	if r := []rune(text); s.width > 0 && len(r) > s.width {
		text = string(r[:s.width-1]) + "…"
	}
	text = strings.TrimRight(text, " ")
	if s.color && color != 0 {
		text = fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text)
	}
	return text
}

// rows returns how many of n rows fit on one page, with a title above, and below them a blank line
// and text. If not all fit, there is room for a line that states how many are missing.
func (s screen) rows(n int, text string) int {
	if s.height == 0 {
		return n
	}
	const others = 3 // the title, the blank line, and the line of the cursor at the end
	room := s.height - others - (utf8.RuneCountInString(text)+s.width-1)/s.width
	if n <= room {
		return n
	}
	return max(room-1, 1)
}

// nextPage returns what is between two pages: it clears a terminal, and separates pages in a file.
func (s screen) nextPage() string {
	if s.width > 0 {
		return "\x1b[H\x1b[2J"
	}
	return "\n"
}

// progress shows text on w, if that is a terminal, when a second has passed before stop is called.
// stop can be called again.
func progress(w io.Writer, text string) (stop func()) {
	if screenOf(w).width == 0 {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-done:
		case <-time.After(time.Second):
			fmt.Fprintf(w, "%s…", text)
			<-done
			fmt.Fprint(w, "\r\x1b[K")
		}
	}()
	return sync.OnceFunc(func() { close(done); <-stopped })
}

// plural returns the number with the noun, for example "1 connection" or "2 connections".
func plural(n int, noun string) string { return number(n, noun, noun+"s") }

// number returns the number with one of two texts, for example "1 peer is" or "2 peers are".
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// printable returns text with control characters quoted, which a program can put into its name.
func printable(text string) string {
	q := strconv.Quote(text)
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`)
}
