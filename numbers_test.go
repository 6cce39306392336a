package keepalive

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numbers are the option numbers of one system, as its own headers have them;
// of Solaris and AIX they are second-hand.
type numbers struct {
	on, idle, interval, count, userTimeout int64
	unit                                   string // of idle and interval
	userUnit                               string
	solSocket                              int64
}

const (
	second, half, milli = "time.Second", "time.Second/2", "time.Millisecond"
	none                = -1
)

var headers = map[string]numbers{
	"linux":     {9, 4, 5, 6, 18, second, milli, 1},
	"windows":   {8, 3, 17, 16, 5, second, second, 0xffff},
	"darwin":    {8, 0x10, 0x101, 0x102, 0x80, second, second, 0xffff},
	"freebsd":   {8, 0x100, 0x200, 0x400, 0x44, second, second, 0xffff},
	"netbsd":    {8, 3, 5, 6, none, half, "", 0xffff},
	"openbsd":   {8, none, none, none, none, "", "", 0xffff},
	"dragonfly": {8, 0x100, 0x200, 0x400, none, second, "", 0xffff},
	"illumos":   {8, 0x22, 0x24, 0x23, 0x11, second, milli, 0xffff},
	"solaris":   {8, 0x1d, 0x1e, 0x1f, 0x11, second, milli, 0xffff},
	"aix":       {8, 0x11, 0x12, 0x13, none, second, "", 0xffff},
}

// limits has the range of each field on each system, the integer for no user timeout, and whether
// accepted connections inherit the option. docs/systems.md has the same values.
var limits = map[string][4]string{ // idle, interval, count, user timeout
	"linux":     {"1..32767, inherited", "1..32767, inherited", "1..127, inherited", "1..math.MaxInt32, inherited"},
	"windows":   {"1..math.MaxUint32/1000", "1..math.MaxUint32/1000", "1..255", "1..math.MaxInt32, unlimited -1"},
	"darwin":    {"1..math.MaxUint32/1000", "1..math.MaxUint32/1000", "1..math.MaxInt32", "1..math.MaxUint32/1000"},
	"freebsd":   {"1..math.MaxUint32/1000", "1..math.MaxUint32/1000", "1..math.MaxInt32", "1..math.MaxInt32/1000"},
	"netbsd":    {"1..math.MaxInt32/50", "1..math.MaxInt32/50", "1..math.MaxInt32"},
	"openbsd":   {},
	"dragonfly": {"1..32767", "1..32767", "1..127"},
	"illumos":   {"1..864000", "1..60", "1..math.MaxInt32", "1..math.MaxInt32"},
	"solaris":   {"10..864000", "10..864000", "1..math.MaxInt32", "1..math.MaxInt32"},
	"aix":       {"1..math.MaxInt32", "1..math.MaxInt32", "1..math.MaxInt32"},
}

func limitsOf(row map[string]ast.Expr) string {
	if row == nil {
		return ""
	}
	s := text(row["min"]) + ".." + text(row["max"])
	if row["unlimited"] != nil {
		s += ", unlimited " + text(row["unlimited"])
	}
	if row["inherited"] != nil {
		s += ", inherited"
	}
	return s
}

func headersOf(goos, goarch string) (numbers, bool) {
	switch goos {
	case "android":
		goos = "linux"
	case "ios":
		goos = "darwin"
	}
	n, ok := headers[goos]
	if goos == "linux" && strings.HasPrefix(goarch, "mips") {
		n.on, n.solSocket = 8, 0xffff
	}
	return n, ok
}

// What x/sys does not have as the headers do.
var (
	wrongInSys = map[string]string{
		"solaris TCP_KEEPIDLE":  "x/sys has illumos's numbers",
		"solaris TCP_KEEPINTVL": "x/sys has illumos's numbers",
		"solaris TCP_KEEPCNT":   "x/sys has illumos's numbers",
	}
	missingInSys = map[string]string{
		"freebsd TCP_MAXUNACKTIME": "x/sys has it for riscv64 alone",
	}
)

// TestNumbers holds every system's table against the system's headers and
// against x/sys's own sources, for every target of the Go distribution.
func TestNumbers(t *testing.T) {
	t.Parallel()
	run := func(args ...string) string {
		out, err := exec.Command("go", args...).Output()
		if err != nil {
			t.Skipf("not supported here: the go command and the module's source: %v", err)
		}
		return strings.TrimSpace(string(out))
	}
	sys := run("list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys")
	if sys == "" {
		t.Skip("not supported here: this user has no module cache, so no source of golang.org/x/sys")
	}
	src := sources{files: map[string]*ast.File{}}
	checked, excused := 0, map[string]bool{}
	for _, target := range strings.Fields(run("tool", "dist", "list")) {
		goos, goarch, _ := strings.Cut(target, "/")
		ours := src.load(t, goos, goarch, ".")
		rows := ours.table(t)
		want, ok := headersOf(goos, goarch)
		if !ok { // no socket options
			assert.Emptyf(t, rows, target)
			continue
		}
		pkg := "unix"
		if goos == "windows" {
			pkg = goos
		}
		system := strings.NewReplacer("android", "linux", "ios", "darwin").Replace(goos)
		for i, field := range []string{"idle", "interval", "count", "userTimeout"} {
			assert.Equalf(t, limits[system][i], limitsOf(rows[field]), "%s: %s", target, field)
		}
		assert.Equalf(t, system == "linux", rows["keepAlive"]["inherited"] != nil, "%s: only Linux was measured", target)
		theirs := src.load(t, goos, goarch, filepath.Join(sys, pkg))
		value := func(e ast.Expr) int64 {
			v, ok := ours.eval(e, &theirs)
			require.Truef(t, ok, "%s: cannot evaluate %#v", target, e)
			return v
		}
		for field, number := range map[string]int64{"keepAlive": want.on, "idle": want.idle, "interval": want.interval, "count": want.count, "userTimeout": want.userTimeout} {
			row := rows[field]
			if number == none {
				assert.Nilf(t, row, "%s: %s", target, field)
				continue
			}
			require.NotNilf(t, row, "%s: %s", target, field)
			checked++
			name, _ := strconv.Unquote(row["name"].(*ast.BasicLit).Value)
			assert.Equalf(t, number, value(row["opt"]), "%s: %s", target, name)
			level := int64(6)
			if field == "keepAlive" {
				level = want.solSocket
			}
			assert.Equalf(t, level, value(row["level"]), "%s: level of %s", target, name)
			switch field {
			case "idle", "interval":
				assert.Equalf(t, want.unit, text(row["unit"]), "%s: unit of %s", target, name)
			case "userTimeout":
				assert.Equalf(t, want.userUnit, text(row["unit"]), "%s: unit of %s", target, name)
			}

			sysNumber, ok := theirs.eval(ast.NewIdent(name), nil)
			key := goos + " " + name
			switch {
			case !ok:
				assert.NotEmptyf(t, missingInSys[key], "%s: x/sys has no %s", target, name)
				excused[key] = true
			case sysNumber != number:
				assert.NotEmptyf(t, wrongInSys[key], "%s: x/sys has %#x for %s", target, sysNumber, name)
				excused[key] = true
			}
		}
	}
	assert.Greater(t, checked, 150)
	for _, list := range []map[string]string{wrongInSys, missingInSys} {
		for key := range list {
			assert.Truef(t, excused[key], "x/sys has put right what is listed as wrong: %s", key)
		}
	}
}

// sources parses each file once.
type sources struct{ files map[string]*ast.File }

// source is the constants and variables of a package for one target.
type source struct {
	consts map[string]ast.Expr
	vars   map[string]ast.Expr
}

func (s sources) load(t *testing.T, goos, goarch, dir string) source {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = goos, goarch, false
	pkg, err := ctx.ImportDir(dir, 0)
	require.NoError(t, err)
	out := source{map[string]ast.Expr{}, map[string]ast.Expr{}}
	for _, name := range pkg.GoFiles {
		path := filepath.Join(dir, name)
		if s.files[path] == nil {
			s.files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
		}
		for _, d := range s.files[path].Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, id := range v.Names {
					if i >= len(v.Values) {
						continue
					}
					if g.Tok == token.CONST {
						out.consts[id.Name] = v.Values[i]
					} else {
						out.vars[id.Name] = v.Values[i]
					}
				}
			}
		}
	}
	return out
}

// table returns the rows of the variable of that name, each by its keys.
func (s source) table(t *testing.T) map[string]map[string]ast.Expr {
	rows := map[string]map[string]ast.Expr{}
	for key, e := range keyed(s.vars["host"]) {
		switch key {
		case "opts":
			for name, row := range keyed(e) {
				rows[name] = keyed(row)
			}
		}
	}
	return rows
}

func keyed(e ast.Expr) map[string]ast.Expr {
	if u, ok := e.(*ast.UnaryExpr); ok {
		e = u.X
	}
	out := map[string]ast.Expr{}
	if c, ok := e.(*ast.CompositeLit); ok {
		for _, elt := range c.Elts {
			kv := elt.(*ast.KeyValueExpr)
			out[kv.Key.(*ast.Ident).Name] = kv.Value
		}
	}
	return out
}

// eval knows as much of constant expressions as these sources need; a selector
// is looked up in sys.
func (s source) eval(e ast.Expr, sys *source) (int64, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		v, err := strconv.ParseInt(e.Value, 0, 64)
		return v, err == nil
	case *ast.Ident:
		return s.eval(s.consts[e.Name], sys)
	case *ast.SelectorExpr:
		if sys != nil {
			return sys.eval(e.Sel, nil)
		}
	}
	return 0, false
}

func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		return e.Value
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	case *ast.UnaryExpr:
		return e.Op.String() + text(e.X)
	case *ast.BinaryExpr:
		return text(e.X) + e.Op.String() + text(e.Y)
	}
	return ""
}
