package keepalive_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/api.txt")

// TestAPI compares all exported declarations of this package and of package heartbeat with
// testdata/api.txt, so that none of them changes by accident. It reads the files of all systems,
// so the result is the same on each.
func TestAPI(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("heartbeat/doc.go"); err != nil {
		t.Skipf("not supported here: %v", err) // the test runs without the repository
	}
	got := "package keepalive\n\n" + exported(t, ".") + "\npackage heartbeat\n\n" + exported(t, "heartbeat")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile("testdata/api.txt", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/api.txt")
	require.NoError(t, err)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got,
		"if this is intended, add it to CHANGELOG.md and run go test -run TestAPI -update .")
}

// exported returns the exported declarations of the package in a folder without their comments.
// Constants and variables come first, then functions and types, each type with its methods.
func exported(t *testing.T, dir string) string {
	var decls []string
	fset := token.NewFileSet()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.FileExports(f)
		for _, d := range f.Decls {
			if key := sortKey(d); key != "" {
				decls = append(decls, key+"\x00"+declaration(t, fset, d))
			}
		}
	}
	require.NotEmpty(t, decls)
	slices.Sort(decls)
	var b strings.Builder
	for _, d := range decls {
		_, text, _ := strings.Cut(d, "\x00")
		b.WriteString(text)
	}
	return b.String()
}

// sortKey returns an empty string for declarations that are not exported.
func sortKey(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return "2" + d.Name.Name
		}
		receiver := d.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		if name := fmt.Sprint(receiver); ast.IsExported(name) {
			return "3" + name + "." + d.Name.Name
		}
	case *ast.GenDecl:
		switch s := d.Specs[0].(type) {
		case *ast.ValueSpec:
			return map[token.Token]string{token.CONST: "0", token.VAR: "1"}[d.Tok] + s.Names[0].Name
		case *ast.TypeSpec:
			return "3" + s.Name.Name
		}
	}
	return ""
}

var emptyLines = regexp.MustCompile(`\n\s*\n`)

// declaration formats a declaration as if it had no comments and no empty lines.
func declaration(t *testing.T, fset *token.FileSet, d ast.Decl) string {
	if f, ok := d.(*ast.FuncDecl); ok {
		f.Body = nil
	}
	var b bytes.Buffer
	require.NoError(t, format.Node(&b, fset, d))
	text, err := format.Source(emptyLines.ReplaceAll(b.Bytes(), []byte("\n")))
	require.NoError(t, err)
	return string(text) + "\n"
}
