package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

var table = flag.Bool("table", false, "compare keepalive run with LD_PRELOAD of Debian's libkeepalive0")

// TestRunTable writes a table of the options that the connections of programs have.
func TestRunTable(t *testing.T) {
	if !*table {
		t.Skip("not selected: use the flag -table")
	}
	programtest.NeedRoot(t)
	run := []string{keepaliveBinary(t), "run", testOptions}
	nobody := users[1].process()
	ways := []struct {
		name    string
		command []string
		process syscall.SysProcAttr
	}{
		{"alone", []string{"env"}, nobody},
		{"LD_PRELOAD", []string{"env", "LD_PRELOAD=libkeepalive.so.0", "KEEPIDLE=45", "KEEPINTVL=5", "KEEPCNT=3"}, nobody}, // it has no user timeout
		{"seccomp", slices.Insert(slices.Clone(run), 2, "--mechanism=seccomp"), nobody},
		{"cgroup", slices.Insert(slices.Clone(run), 2, "--mechanism=cgroup"), syscall.SysProcAttr{}}, // needs root
	}
	var b strings.Builder
	fmt.Fprint(&b, "| program |")
	for _, way := range ways {
		fmt.Fprintf(&b, " %s |", way.name)
	}
	fmt.Fprintln(&b, "\n|"+strings.Repeat(" --- |", 1+len(ways)))
	row := func(name string, sockets func(t *testing.T, process syscall.SysProcAttr, command []string) []foreignSocket) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, way := range ways {
			t.Run(name+" "+way.name, func(t *testing.T) {
				fmt.Fprintf(&b, " %s |", connectionOptions(sockets(t, way.process, way.command)))
			})
		}
		fmt.Fprintln(&b)
	}
	for _, p := range pairs {
		row(p.name, func(t *testing.T, process syscall.SysProcAttr, command []string) []foreignSocket {
			requirePrograms(t, p.needs...)
			dir := t.TempDir()
			makePublic(t, dir)
			require.NoError(t, os.Chown(dir, 65534, 65534))
			cmd := exec.Command(command[0], append(command[1:], p.start(t, dir)...)...)
			cmd.SysProcAttr = &process
			return socketsWhenReady(t, cmd, 1, 2)
		})
	}
	for _, p := range programtest.Programs {
		row(p.Name, func(t *testing.T, process syscall.SysProcAttr, command []string) []foreignSocket {
			if p.NeedsRoot {
				process = syscall.SysProcAttr{}
			}
			return awaitSockets(t, startProgram(t, p, process, command...), 0, p.Connections)
		})
	}
	t.Log("\n" + b.String())
}

// connectionOptions returns the different options of connections.
func connectionOptions(sockets []foreignSocket) string {
	var all []string
	for _, s := range sockets {
		if s.isConnected {
			all = append(all, strings.ReplaceAll(s.options.String(), ",user-timeout=off", ""))
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "<br>")
}
