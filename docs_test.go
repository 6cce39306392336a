package keepalive_test

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

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
