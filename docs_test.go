package keepalive_test

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadme: the program in README.md is the package's Example, which is compiled, and
// imports what it uses.
func TestReadme(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Skipf("not supported here: %v", err) // the test runs without the repository
	}
	_, program, _ := strings.Cut(strings.ReplaceAll(string(b), "\r\n", "\n"), "```go\n")
	program, rest, found := strings.Cut(program, "```\n")
	require.True(t, found)
	assert.NotContains(t, rest, "```go", "only the first program is checked")

	readme, file := function(t, "README.md", program, "main")
	example, _ := function(t, "example_test.go", nil, "Example")
	assert.Equal(t, example, readme)

	formatted, err := format.Source([]byte(program))
	require.NoError(t, err)
	assert.Equal(t, string(formatted), program)

	used := map[string]bool{}
	for _, name := range file.Unresolved {
		if types.Universe.Lookup(name.Name) == nil {
			used[name.Name] = true
		}
	}
	imported := map[string]bool{}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		imported[path.Base(name)] = true
	}
	assert.Equal(t, used, imported)
}

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	code    = regexp.MustCompile("(?s)```.*?```")
	goRun   = regexp.MustCompile(`go run (?:-C (\S+) )?(\./[\w/.-]+)`)
	goTest  = regexp.MustCompile(`go test (?:-C (\S+) )?-run '?(\w+)`)
)

// TestDocuments: relative links lead to files and headings, and commands to programs and tests.
func TestDocuments(t *testing.T) {
	t.Parallel()
	files := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "cmd/keepalive/README.md", "heartbeat/FORMAT.md", "bench/RESULTS.md"}
	docs, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, file := range docs {
		files = append(files, filepath.ToSlash(file))
	}
	text := map[string]string{}
	anchors := map[string]map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Skipf("not supported here: %v", err) // the test runs without the repository
		}
		text[file] = string(b)
		anchors[file] = map[string]bool{}
		for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(text[file], ""), -1) {
			anchors[file][anchor(m[1])] = true
		}
	}
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text[file], ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := file
			if m[1] != "" {
				target = path.Join(path.Dir(file), m[1])
				_, err := os.Stat(target)
				assert.NoError(t, err, file)
			}
			if m[2] != "" {
				assert.True(t, anchors[target][m[2]], "%s: %s has no heading for #%s", file, target, m[2])
			}
		}
		folder := path.Dir(file) // where its commands run
		if folder == "docs" || folder == "bench" {
			folder = "."
		}
		for _, m := range goRun.FindAllStringSubmatch(text[file], -1) {
			_, err := os.Stat(path.Join(folder, m[1], m[2]))
			assert.NoError(t, err, "%s: %s", file, m[0])
		}
		for _, m := range goTest.FindAllStringSubmatch(text[file], -1) {
			assert.True(t, hasTest(t, path.Join(folder, m[1]), m[2]), "%s: there is no %s", file, m[0])
		}
	}
}

// anchor returns the name that GitHub gives to a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_", r) || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, heading), " ", "-")
}

// hasTest reports whether a folder has a test or an example whose name begins with prefix.
func hasTest(t *testing.T, folder, prefix string) bool {
	files, err := filepath.Glob(path.Join(folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(b), "\nfunc "+prefix) {
			return true
		}
	}
	return false
}

// function returns the body of a function in a file, or in src.
func function(t *testing.T, filename string, src any, name string) (body string, file *ast.File) {
	if src == nil {
		b, err := os.ReadFile(filename)
		require.NoError(t, err)
		src = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filename, src, 0)
	require.NoError(t, err)
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == name {
			return src.(string)[set.Position(f.Body.Pos()).Offset:set.Position(f.Body.End()).Offset], file
		}
	}
	t.Fatalf("%s has no function %s", filename, name)
	return "", nil
}
