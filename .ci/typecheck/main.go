// Command typecheck type-checks the module's packages and their tests for every target named in its arguments, from source.
//
// Compiling the tests of all targets would take minutes, because the compiler also has to translate all that they import. Type checking
// finds the same errors and needs only the declarations of the imported packages. Which files and packages those are, go list tells.
//
// Usage: typecheck GOOS/GOARCH...
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// A listed package is what go list tells of it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	DepOnly         bool
	Module          *struct{ GoVersion string }
	Error           *struct{ Err string }
}

// A checker checks the packages of one target. It is the types.Importer of the package that is being checked.
type checker struct {
	env    []string
	goarch string
	listed map[string]*listed
	done   map[string]*types.Package
	errs   []error
}

var (
	fset  = token.NewFileSet()
	files sync.Map // from a file's name to a func() (*ast.File, error), for most files serve many targets
)

func parse(name string) (*ast.File, error) {
	f, _ := files.LoadOrStore(name, sync.OnceValues(func() (*ast.File, error) {
		return parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	}))
	return f.(func() (*ast.File, error))()
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }

// list asks go list for packages and all that they import. If dep, they are only imports themselves.
func (c *checker) list(dep bool, args ...string) error {
	// -e: it also tells of the packages that go could not build, which are checked all the same.
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,DepOnly,Module,Error"}, args...)...)
	cmd.Env = c.env
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if c.listed[p.ImportPath] == nil {
			p.DepOnly = p.DepOnly || dep
			c.listed[p.ImportPath] = p
		}
	}
}

func (c *checker) check(path string) *types.Package {
	if path == "unsafe" {
		return types.Unsafe
	}
	if pkg, ok := c.done[path]; ok {
		return pkg
	}
	p := c.listed[path]
	if p == nil {
		// go list does not follow the imports of a command that cannot be linked without cgo.
		if err := c.list(true, path); err != nil {
			c.errs = append(c.errs, err)
		}
		if p = c.listed[path]; p == nil {
			return nil
		}
	}
	if p.Error != nil && len(p.GoFiles) == 0 {
		c.errs = append(c.errs, fmt.Errorf("%s: %s", path, p.Error.Err))
	}
	conf := types.Config{
		IgnoreFuncBodies: p.DepOnly,
		Sizes:            types.SizesFor("gc", c.goarch),
		Error:            func(err error) { c.errs = append(c.errs, err) },
		Importer: importerFunc(func(path string) (*types.Package, error) {
			if mapped, ok := p.ImportMap[path]; ok {
				path = mapped
			}
			if pkg := c.check(path); pkg != nil {
				return pkg, nil
			}
			return nil, errors.New("cannot import " + path)
		}),
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		conf.GoVersion = "go" + p.Module.GoVersion
	}
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		f, err := parse(name)
		if err != nil {
			c.errs = append(c.errs, err)
			continue
		}
		parsed = append(parsed, f)
	}
	name, _, _ := strings.Cut(path, " ") // "a/b [a/b.test]" is a/b, as compiled for its test
	pkg, _ := conf.Check(name, fset, parsed, nil)
	c.done[path] = pkg
	return pkg
}

// target checks the module for one target and returns the number of packages of its own and tests that it checked.
func target(t string) (int, error) {
	goos, goarch, _ := strings.Cut(t, "/")
	c := &checker{
		env:    append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		goarch: goarch,
		listed: map[string]*listed{},
		done:   map[string]*types.Package{},
	}
	if err := c.list(false, "-test", "./..."); err != nil {
		return 0, err
	}
	n := 0
	for path, p := range c.listed {
		// The main package of a test binary, whose name ends so, is go's own and not there yet.
		if !p.DepOnly && !strings.HasSuffix(path, ".test") {
			c.check(path)
			n++
		}
	}
	if n == 0 {
		return 0, errors.New("no packages")
	}
	return n, errors.Join(c.errs...)
}

func main() {
	failed := false
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, t := range os.Args[1:] {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			n, err := target(t)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = true
				fmt.Printf("FAIL %s\n%v\n", t, err)
				return
			}
			fmt.Printf("ok   %s (%d packages and tests)\n", t, n)
		})
	}
	wg.Wait()
	if failed {
		os.Exit(1)
	}
}
