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

// broken reports whether the promise is missed by more than the noise.
func (p promise) broken() bool {
	if p.atLeast {
		return !(p.seen.median+p.seen.noise >= p.limit)
	}
	return !(p.seen.median-p.seen.noise <= p.limit) // NaN is broken
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
	if p.broken() {
		return "**missed**"
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
A promise counts as missed when the median misses it by more than that; then it is measured once more, with three times the rounds, and the second
measurement counts. Absolute times differ from machine to machine; the ratios are what to look at.`

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

// broken lists the promises that were missed.
func broken(sections []*section) []promise {
	var all []promise
	for _, s := range sections {
		for _, p := range s.promises {
			if p.broken() {
				all = append(all, p)
			}
		}
	}
	return all
}
