package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// atEnd runs after all tests.
var atEnd []func()

// TestMain makes the test binary the command if it is executed with that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "keepalive" {
		main()
	}
	status := m.Run()
	for _, f := range atEnd {
		f()
	}
	os.Exit(status)
}

// keepaliveCommand runs the command in this process, and returns what it wrote and its exit status.
func keepaliveCommand(args ...string) (stdout, stderr string, status int) {
	var out, errs strings.Builder
	status = run(args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), status
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"unknown"},
		{"--unknown"},
		{"man"},
	} {
		out, errs, status := keepaliveCommand(args...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Regexp(t, `^keepalive: .*: see keepalive.*\n$`, errs, args)
	}
}

func TestHelp(t *testing.T) {
	out, errs, status := keepaliveCommand()
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Contains(t, out, "OPTIONS")
}

// TestHelpWidth: descriptions and flags have at most 80 columns, except for a single word.
func TestHelpWidth(t *testing.T) {
	root := newRootCommand()
	for _, cmd := range append(root.Commands(), root) {
		for line := range strings.Lines(cmd.Long) {
			assert.False(t, len(line) > 80+len("\n") && len(strings.Fields(line)) > 1, "%s: %s", cmd.Name(), line)
		}
		_, flags, _ := strings.Cut(cmd.UsageString(), "\nFlags:\n")
		for line := range strings.Lines(flags) {
			assert.LessOrEqual(t, len(line), 80+len("\n"), "%s: %s", cmd.Name(), line)
		}
	}
}

// TestNeedsLinux runs what the commands for Linux are on other systems.
func TestNeedsLinux(t *testing.T) {
	cmd := needsLinux("list", "List")
	cmd.SetArgs([]string{"--suspect"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	assert.EqualError(t, cmd.Execute(), "keepalive list needs Linux, and this is "+runtime.GOOS)
}

func TestVersion(t *testing.T) {
	out, _, status := keepaliveCommand("--version")
	assert.Zero(t, status)
	assert.Regexp(t, `^keepalive version .+\n$`, out)
}

// TestMan keeps the lines of lists in the man pages.
func TestMan(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1796068800") // 2026-11-30 20:00 UTC
	local := time.Local
	defer func() { time.Local = local }()
	time.Local = time.FixedZone("Tokyo", 9*60*60)
	dir := filepath.Join(t.TempDir(), "man1")
	_, errs, status := keepaliveCommand("man", dir)
	assert.Zero(t, status, errs)
	for name, line := range map[string]string{
		"keepalive.1":         "idle=45s,interval=5s,count=3,user-timeout=1m   any of these settings",
		"keepalive-explain.1": "- the numbers behind detect-within and keep-open",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		assert.NoError(t, err)
		assert.Contains(t, strings.ReplaceAll(string(page), `\-`, "-"), "\n"+line+"\n")
	}
	page, err := os.ReadFile(filepath.Join(dir, "keepalive.1"))
	assert.NoError(t, err)
	assert.Contains(t, string(page), `"Nov 2026"`)
	pages, err := filepath.Glob(filepath.Join(dir, "*completion*"))
	assert.NoError(t, err)
	assert.Empty(t, pages)
}
