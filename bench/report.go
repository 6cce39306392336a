package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// section is the result of one part: Markdown, pictures, and promises.
type section struct {
	title    string
	command  string
	text     strings.Builder
	pictures []picture
	promises []promise
	absent   []string
}

type picture struct {
	file string
	svg  []byte
}

// say adds a paragraph.
func (s *section) say(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n\n", args...)
}

// lacks adds a paragraph on something that cannot be measured here.
func (s *section) lacks(what string, err error) {
	s.absent = append(s.absent, fmt.Sprintf("%s: %v", what, err))
	s.say("Not measured in this run: %s (%v).", what, err)
}

// table adds a table. Its first column is aligned to the left.
func (s *section) table(head []string, rows [][]string) {
	row := func(cells []string) { fmt.Fprintf(&s.text, "| %s |\n", strings.Join(cells, " | ")) }
	row(head)
	fmt.Fprintf(&s.text, "|---%s|\n", strings.Repeat("|---:", len(head)-1))
	for _, cells := range rows {
		row(cells)
	}
	fmt.Fprintln(&s.text)
}

// timeTable adds the table of a comparison whose first variant is ours.
func (s *section) timeTable(what string, all []series) {
	var rows [][]string
	for i, r := range all {
		ratio := "1"
		if i > 0 {
			ratio = r.against(all[0]).String()
		}
		rows = append(rows, []string{r.name, spreadOf(r.ns).String(), ratio, num(spreadOf(r.allocs).median), num(spreadOf(r.bytes).median)})
	}
	s.table([]string{what, "ns", "times ours", "allocations", "bytes allocated"}, rows)
}

// picture adds a chart. Its description is also the text for readers who do not
// see it.
func (s *section) picture(file string, c *chart) {
	s.pictures = append(s.pictures, picture{file, c.svg()})
	s.say("![%s](%s)", c.desc, file)
}

// promise is a limit, and what was measured.
type promise struct {
	what    string
	seen    spread
	limit   float64
	unit    string
	atLeast bool // the limit is a lower one
}

func (s *section) promise(p promise) { s.promises = append(s.promises, p) }

// noAllocation promises that the first of the variants does not allocate.
func (s *section) noAllocation(what string, all []series) {
	s.promise(promise{what: what, seen: spreadOf(all[0].allocs), unit: "allocations"})
}

// add adds all that m has.
func (s *section) add(m *section) {
	s.text.WriteString(m.text.String())
	s.pictures = append(s.pictures, m.pictures...)
	s.promises = append(s.promises, m.promises...)
	s.absent = append(s.absent, m.absent...)
}

// missed reports whether the median is beyond the limit.
func (p promise) missed() bool { return !p.within(p.seen.median) }

// broken reports whether the whole interval is beyond the limit.
func (p promise) broken() bool {
	if p.atLeast {
		return !p.within(p.seen.high)
	}
	return !p.within(p.seen.low)
}

// within is false for NaN.
func (p promise) within(v float64) bool {
	if p.atLeast {
		return v >= p.limit
	}
	return v <= p.limit
}

func (p promise) bound() string {
	word := "at most"
	if p.atLeast {
		word = "at least"
	}
	return strings.TrimSpace(word + " " + num(p.limit) + " " + p.unit)
}

func (p promise) measured() string { return strings.TrimSpace(p.seen.String() + " " + p.unit) }

func (p promise) result() string {
	switch {
	case p.broken():
		return "**broken**"
	case p.missed():
		return "kept within the noise"
	}
	return "kept"
}

// report is all of them.
type report struct {
	machine  []string
	command  string
	sections []*section
}

const method = `Compare ratios, not times. Times differ from machine to machine.

- Variants that are compared run alternately in one process. A ratio, written a / b, is the median of the ratios of all rounds.
- The number after ± is the uncertainty of the median. The true median lies within it with a probability of 95 %.
- If a median is beyond its limit, it is measured again with three times the rounds, at most twice. The last measurement counts.
- A promise is broken if its limit lies outside the uncertainty. Then the command exits with status 1. CI runs it with ` + "`-short`."

func (r *report) String() string {
	var w strings.Builder
	fmt.Fprintf(&w, "# Results\n\nThis is one run of\n\n    %s\n\non %s.\n\n%s\n\n", r.command, strings.Join(r.machine, ", "), method)
	var rows section
	var cells [][]string
	for _, s := range r.sections {
		for _, p := range s.promises {
			cells = append(cells, []string{p.what, p.bound(), p.measured(), p.result()})
		}
	}
	if len(cells) > 0 {
		rows.table([]string{"promise", "limit", "measured", "result"}, cells)
		fmt.Fprintf(&w, "## Promises\n\n%s", &rows.text)
	}
	for _, s := range r.sections {
		fmt.Fprintf(&w, "## %s\n\n    %s\n\n%s", s.title, s.command, &s.text)
	}
	return strings.TrimRight(w.String(), "\n") + "\n"
}

// save writes RESULTS.md and the pictures to dir.
func (r *report) save(dir string) error {
	for _, s := range r.sections {
		for _, p := range s.pictures {
			if err := os.WriteFile(filepath.Join(dir, p.file), p.svg, 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(r.String()), 0o644)
}
