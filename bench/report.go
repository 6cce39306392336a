package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
)

// section is what one part of the program has to tell: Markdown, pictures, and
// what became of the promises.
type section struct {
	title    string
	text     strings.Builder
	pictures []picture
	promises []promise
	absent   []string
}

type picture struct {
	file string
	plot *plot.Plot
}

// say adds a paragraph.
func (s *section) say(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n\n", args...)
}

// lacks adds a paragraph on what cannot be had here, and why.
func (s *section) lacks(what string, err error) {
	s.absent = append(s.absent, fmt.Sprintf("%s: %v", what, err))
	s.say("Not measured in this run: %s (%v).", what, err)
}

// table adds a table, its first column to the left, the others to the right.
func (s *section) table(head []string, rows [][]string) {
	row := func(cells []string) { fmt.Fprintf(&s.text, "| %s |\n", strings.Join(cells, " | ")) }
	row(head)
	fmt.Fprintf(&s.text, "|---%s|\n", strings.Repeat("|---:", len(head)-1))
	for _, cells := range rows {
		row(cells)
	}
	fmt.Fprintln(&s.text)
}

// picture adds a plot; alt says what is to be seen on it.
func (s *section) picture(file, alt string, p *plot.Plot) {
	s.pictures = append(s.pictures, picture{file, p})
	s.say("![%s](%s)", alt, file)
}

// promise is what the README says, and what was seen.
type promise struct {
	what    string
	seen    spread
	limit   float64
	unit    string
	atLeast bool // the limit is a lower one
}

func (s *section) promise(p promise) { s.promises = append(s.promises, p) }

// missed reports whether the median misses the limit.
func (p promise) missed() bool { return !p.within(0) }

// broken reports whether it does so by more than the noise.
func (p promise) broken() bool { return !p.within(p.seen.noise) }

// within is false for what is not a number.
func (p promise) within(slack float64) bool {
	if p.atLeast {
		return p.seen.median+slack >= p.limit
	}
	return p.seen.median-slack <= p.limit
}

func (p promise) bound() string {
	word := "at most"
	if p.atLeast {
		word = "at least"
	}
	return strings.TrimSpace(word + " " + num(p.limit) + " " + p.unit)
}

func (p promise) measured() string { return strings.TrimSpace(p.seen.String() + " " + p.unit) }

func (p promise) verdict() string {
	switch {
	case p.broken():
		return "**missed**"
	case p.missed():
		return "missed by less than the noise"
	}
	return "kept"
}

// report is all of them.
type report struct {
	machine  []string
	command  string
	sections []*section
}

const method = `Ways that are compared take turns in one process: each round runs all of them, forwards and then backwards, and one round before goes
uncounted. A ratio is the median of the rounds' ratios. What stands behind ± is the noise: half of the interquartile range of the rounds.
When a median misses its limit, the theme is measured once more, with three times the rounds, and that counts; the run fails when the median then misses by
more than the noise. Absolute times differ from machine to machine; the ratios are what to look at.`

func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "# Results\n\nOne run of\n\n    %s\n\non %s.\n\n%s\n\n", r.command, strings.Join(r.machine, ", "), method)
	var rows section
	var cells [][]string
	for _, s := range r.sections {
		for _, p := range s.promises {
			cells = append(cells, []string{p.what, p.bound(), p.measured(), p.verdict()})
		}
	}
	if len(cells) > 0 {
		rows.table([]string{"promise", "limit", "measured", ""}, cells)
		fmt.Fprintf(w, "## Promises\n\n%s", &rows.text)
	}
	for _, s := range r.sections {
		fmt.Fprintf(w, "## %s\n\n%s", s.title, &s.text)
	}
}

// save writes RESULTS.md and the pictures to dir.
func (r *report) save(dir string) error {
	for _, s := range r.sections {
		for _, p := range s.pictures {
			if err := savePlot(p.plot, filepath.Join(dir, p.file)); err != nil {
				return fmt.Errorf("%s: %w", p.file, err)
			}
		}
	}
	var b strings.Builder
	r.write(&b)
	text := strings.TrimRight(b.String(), "\n") + "\n"
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(text), 0o644)
}

// which lists the promises of which something is true.
func which(sections []*section, is func(promise) bool) []promise {
	var all []promise
	for _, s := range sections {
		for _, p := range s.promises {
			if is(p) {
				all = append(all, p)
			}
		}
	}
	return all
}
