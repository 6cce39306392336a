//go:build ignore

// Pages prints what pkg.go.dev shows of the module in a folder: the license, and for each package
// the synopsis of its documentation and the number of examples. It fails if pkg.go.dev would not
// recognize the license, or if a package has no documentation.
package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/licensecheck"
)

func main() {
	log.SetFlags(0)
	root := os.Args[1]
	text, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		log.Fatal(err)
	}
	license := licensecheck.Scan(text)
	// pkg.go.dev requires three quarters.
	if license.Percent < 75 || len(license.Match) != 1 {
		log.Fatalf("%s: pkg.go.dev would not recognize the license", root)
	}
	fmt.Printf("license %s (%.0f%%)\n", license.Match[0].ID, license.Percent)
	err = filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || strings.HasPrefix(name, ".") {
			return fs.SkipDir
		}
		return show(root, dir)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// show prints the package in a folder, if there is one.
func show(root, dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	var tests []*ast.File
	var synopsis, name string
	fset := token.NewFileSet()
	for _, n := range names {
		f, err := parser.ParseFile(fset, n, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if strings.HasSuffix(n, "_test.go") {
			tests = append(tests, f)
			continue
		}
		name = f.Name.Name
		if f.Doc != nil {
			synopsis = new(doc.Package).Synopsis(f.Doc.Text())
		}
	}
	if name == "" {
		return nil
	}
	path, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	if synopsis == "" {
		return fmt.Errorf("%s: package %s has no documentation", path, name)
	}
	fmt.Printf("%s: %s (%d examples)\n", path, synopsis, len(doc.Examples(tests...)))
	return nil
}
