package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var kills = flag.Int("kills", 20, "how often a test kills the supervisor of keepalive run")

// If the supervisor is killed, the standby takes its place, and the program does not notice.
func TestRunSupervisorKilled(t *testing.T) {
	const options = "idle=1h12m1s"
	dir := t.TempDir()
	makePublic(t, dir)
	dial := filepath.Join(dir, "dial")
	build(t, exec.Command("go", "build", "-o", dial, "testdata/dial.go"))

	cmd := runCommand(t, self, "--mechanism=seccomp", options, dial, silentServer(t))
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	require.NoError(t, err)
	defer stderr.Close()
	cmd.Stderr = stderr
	require.NoError(t, cmd.Start())
	defer func() {
		if t.Failed() { // before the program is ended
			text, _ := os.ReadFile(stderr.Name())
			state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
			t.Logf("program: %s\nstandard error: %s\nsupervisors and their parents: %v", state, text, supervisors(t, options))
		}
	}()
	for range *kills {
		var supervisor int
		require.Eventually(t, func() bool { supervisor = supervisorWithStandby(t, options); return supervisor != 0 }, time.Minute, time.Millisecond)
		require.NoError(t, unix.Kill(-supervisor, unix.SIGKILL)) // the group, which has no other process
	}
	require.Eventually(t, func() bool { return supervisorWithStandby(t, options) != 0 }, time.Minute, time.Millisecond)
	stdin.Close()
	defer time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	require.NoError(t, cmd.Wait())
	assert.Regexp(t, `^[0-9]+ connections\n$`, stdout.String())
	t.Logf("%d kills, %s", *kills, stdout.String())
	assert.Eventually(t, func() bool { return len(supervisors(t, options)) == 0 }, time.Minute, time.Millisecond)
}

// supervisorWithStandby returns the process that supervises the program with these options, or 0
// if it has no standby yet.
func supervisorWithStandby(t *testing.T, options string) int {
	processes := supervisors(t, options)
	for pid, parent := range processes {
		if _, ok := processes[parent]; !ok {
			continue
		}
		// Before Go starts the standby, it makes a child that only tests the kernel. That
		// one still has the standard input of its parent.
		input, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
		inputOfParent, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", parent))
		if strings.HasPrefix(input, "pipe:") && inputOfParent != "" && input != inputOfParent {
			return parent
		}
	}
	return 0
}

// supervisors returns the supervisor and the standby of the program with these options, and their
// parents.
func supervisors(t *testing.T, options string) map[int]int {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	parents := map[int]int{}
	for _, path := range commands {
		args, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(args), "keepalive\x00supervise\x00") || !strings.HasSuffix(string(args), "\x00"+options+"\x00") {
			continue
		}
		status, err := os.ReadFile(filepath.Dir(path) + "/status")
		if err != nil {
			continue
		}
		pid, parent := statusField(t, status, "Pid"), statusField(t, status, "PPid")
		parents[pid] = parent
	}
	return parents
}

func statusField(t *testing.T, status []byte, name string) int {
	match := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindSubmatch(status)
	require.NotNil(t, match, "%s", status)
	n, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return n
}
