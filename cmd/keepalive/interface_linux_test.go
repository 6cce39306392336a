package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/explain"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

var update = flag.Bool("update", false, "write testdata/interface.txt")

// TestInterface compares what scripts can depend on with testdata/interface.txt: subcommands, flags,
// the keys of -o json, and the names of -o metrics.
func TestInterface(t *testing.T) {
	var lines []string
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		lines = append(lines, cmd.UseLine())
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			lines = append(lines, fmt.Sprintf("%s --%s %s", cmd.CommandPath(), f.Name, f.Value.Type()))
			if f.Shorthand != "" {
				lines = append(lines, fmt.Sprintf("%s -%s", cmd.CommandPath(), f.Shorthand))
			}
		})
		for _, c := range cmd.Commands() {
			add(c)
		}
	}
	add(newRootCommand())
	for name, v := range map[string]any{"list": socketJSON{}, "explain": explain.Explanation{}, "system": systemDefaults{}, "path": pathReport{}} {
		lines = append(lines, keys("keepalive "+name+" -o json: ", reflect.TypeOf(v))...)
	}
	var metrics bytes.Buffer
	require.NoError(t, writeMetrics(&metrics, sockets.Table{}, screen{}))
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (.*)$`).FindAllStringSubmatch(metrics.String(), -1) {
		lines = append(lines, "keepalive list -o metrics: "+m[1])
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("testdata/interface.txt", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/interface.txt")
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if this is intended, add it to CHANGELOG.md and run go test -run TestInterface -update .")
}

// keys returns a line for each key of a type in JSON, and for those of its fields.
func keys(prefix string, t reflect.Type) (lines []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" {
			lines = append(lines, prefix+name)
			lines = append(lines, keys(prefix+name+".", f.Type)...)
		}
	}
	return lines
}
