package compat

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/libraries.md; rows that were not measured stay")

const documentFile = "../docs/libraries.md"

// A document is docs/libraries.md.
type document struct {
	text string
	rows map[string]string // by their first cell
}

func readDocument(t *testing.T) document {
	b, err := os.ReadFile(documentFile)
	if !*update {
		require.NoError(t, err)
	}
	d := document{text: string(b), rows: map[string]string{}}
	for line := range strings.Lines(d.text) {
		line = strings.TrimSuffix(line, "\n")
		if cells := strings.Split(line, " | "); len(cells) > 1 && strings.HasPrefix(line, "| ") {
			d.rows[strings.TrimPrefix(cells[0], "| ")] = line
		}
	}
	return d
}

func (d document) write(t *testing.T, rows map[string]string) {
	require.NoError(t, os.WriteFile(documentFile, []byte(d.generate(t, rows)), 0o644))
}

const (
	clientTable = "| client | options | idle | busy | idle, KeepError | busy, KeepError | function |\n|---|---|---|---|---|---|---|\n"
	serverTable = "| server | options | `Get` | idle | busy | idle, KeepError | busy, KeepError | function |\n|---|---|---|---|---|---|---|---|\n"
	configTable = "| library | reads `Options` | bad text |\n|---|---|---|\n"
)

// generate returns the text of the document: testdata/intro.md, and then for each area its
// tables and its libraries. A row that is not in rows stays as it is.
func (d document) generate(t *testing.T, rows map[string]string) string {
	all := maps.Clone(d.rows)
	maps.Copy(all, rows)
	intro, err := os.ReadFile("testdata/intro.md")
	require.NoError(t, err)
	b := bytes.NewBuffer(intro)
	var areas []string
	for _, l := range libraries {
		if !slices.Contains(areas, l.area) {
			areas = append(areas, l.area)
		}
	}
	slices.Sort(areas)
	b.WriteString("\n## Contents\n\n")
	for _, area := range areas {
		var links []string
		for _, l := range libraries {
			if l.area == area {
				links = append(links, fmt.Sprintf("[%s](#%s)", l.name, anchor(l.name)))
			}
		}
		fmt.Fprintf(b, "- [%s](#%s): %s\n", area, anchor(area), strings.Join(links, ", "))
	}
	table := func(area, head string, has func(libraryCase) bool) {
		for _, l := range libraries {
			for _, c := range l.cases {
				if l.area == area && has(c) && all[rowKey(l, c)] != "" {
					fmt.Fprintf(b, "%s%s\n", head, all[rowKey(l, c)])
					head = ""
				}
			}
		}
		if head == "" {
			b.WriteString("\n")
		}
	}
	for _, area := range areas {
		fmt.Fprintf(b, "\n## %s\n\n", area)
		table(area, clientTable, func(c libraryCase) bool { return c.client != nil })
		table(area, serverTable, func(c libraryCase) bool { return c.server != nil })
		table(area, configTable, func(c libraryCase) bool { return c.config != nil })
		for _, l := range libraries {
			if l.area == area {
				fmt.Fprintf(b, "### %s\n\n%s\n\n%s", l.name, version(t, l.module), fromFile(t, l.file))
			}
		}
	}
	return strings.TrimSpace(regexp.MustCompile(`\n{3,}`).ReplaceAllString(b.String(), "\n\n")) + "\n"
}

// anchor returns the anchor of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// version returns a line with the module and its version.
func version(t *testing.T, module string) string {
	if module == "std" {
		minor := regexp.MustCompile(`^go1\.\d+`).FindString(runtime.Version())
		return "Standard library, Go " + strings.TrimPrefix(minor, "go") + "."
	}
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` (\S+)`).FindSubmatch(mod)
	require.NotNil(t, m, "go.mod does not require %s", module)
	return fmt.Sprintf("`%s` %s.", module, m[1])
}

var (
	notes  = regexp.MustCompile(`(?m)^// notes:\n((?://.*\n)+)`)
	recipe = regexp.MustCompile(`(?s)// recipe: ([^\n]*)\n(.*?)\n\t*// end recipe`)
)

// fromFile returns the notes and the recipes of a file.
func fromFile(t *testing.T, file string) string {
	b, err := os.ReadFile(filepath.Base(file))
	require.NoError(t, err)
	m := notes.FindSubmatch(b)
	require.NotNil(t, m, "%s has no notes", file)
	out := regexp.MustCompile(`(?m)^// ?`).ReplaceAllString(string(m[1]), "") + "\n"
	for _, m := range recipe.FindAllStringSubmatch(string(b), -1) {
		lines := strings.Split(strings.TrimRight(m[2], "\n"), "\n")
		indent := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], "\t"))]
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, indent+"require.") })
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], indent)
		}
		out += fmt.Sprintf("%s:\n\n```go\n%s\n```\n\n", m[1], strings.Join(lines, "\n"))
	}
	return out
}
