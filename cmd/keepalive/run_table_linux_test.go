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
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	ways := []struct {
		name    string
		command []string
		process *syscall.SysProcAttr
	}{
		{"alone", []string{"env"}, nobody},
		{"LD_PRELOAD", []string{"env", "LD_PRELOAD=libkeepalive.so.0", "KEEPIDLE=45", "KEEPINTVL=5", "KEEPCNT=3"}, nobody}, // it has no user timeout
		{"seccomp", slices.Insert(slices.Clone(run), 2, "--mechanism=seccomp"), nobody},
		{"cgroup", slices.Insert(slices.Clone(run), 2, "--mechanism=cgroup"), nil}, // needs root
	}
	var b strings.Builder
	fmt.Fprint(&b, "| program |")
	for _, way := range ways {
		fmt.Fprintf(&b, " %s |", way.name)
	}
	fmt.Fprintln(&b, "\n|"+strings.Repeat(" --- |", 1+len(ways)))
	for _, p := range programs {
		requirePrograms(t, p.needs...)
		fmt.Fprintf(&b, "| %s |", p.name)
		for _, way := range ways {
			dir := t.TempDir()
			makePublic(t, dir)
			require.NoError(t, os.Chown(dir, 65534, 65534))
			args := slices.Clone(way.command)
			if way.process == nil && p.noRoot {
				args = append(args, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
			}
			args = append(args, p.start(t, dir)...)
			path, err := exec.LookPath(args[0])
			require.NoError(t, err)
			cmd := &exec.Cmd{Path: path, Args: args, SysProcAttr: way.process}
			fmt.Fprintf(&b, " %s |", connectionOptions(socketsWhenReady(t, cmd, p.listeners, p.connections)))
		}
		fmt.Fprintln(&b)
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
