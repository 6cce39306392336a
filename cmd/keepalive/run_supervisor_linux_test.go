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

	"github.com/go-keepalive/keepalive"
)

var kills = flag.Int("kills", 20, "how often a test kills the supervisor of keepalive run")

// killedOptions are those of the programs whose supervisor a test kills. No other test binary on
// this machine has them.
var killedOptions = keepalive.Options{Idle: 4321 * time.Second, Interval: time.Duration(1+os.Getpid()%32767) * time.Second}.String()

// If the supervisor is killed, the standby takes its place, and the program does not notice.
func TestRunSupervisorKilled(t *testing.T) {
	dir := t.TempDir()
	makePublic(t, dir)
	dial := filepath.Join(dir, "dial")
	build(t, exec.Command("go", "build", "-o", dial, "testdata/dial.go"))

	cmd := runCommand(t, self, "--mechanism=seccomp", killedOptions, dial, silentServer(t))
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
			t.Logf("program: %s\nstandard error: %s\nsupervisors and their parents: %v", state, text, supervisors(t, killedOptions))
		}
	}()
	for range *kills {
		var supervisor int
		require.Eventually(t, func() bool { supervisor = supervisorWithStandby(t, killedOptions); return supervisor != 0 }, time.Minute, time.Millisecond)
		require.NoError(t, unix.Kill(-supervisor, unix.SIGKILL)) // the group, which has no other process
	}
	require.Eventually(t, func() bool { return supervisorWithStandby(t, killedOptions) != 0 }, time.Minute, time.Millisecond)
	stdin.Close()
	defer time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	require.NoError(t, cmd.Wait())
	assert.Regexp(t, `^[0-9]+ connections\n$`, stdout.String())
	t.Logf("%d kills, %s", *kills, stdout.String())
	assert.Eventually(t, func() bool { return len(supervisors(t, killedOptions)) == 0 }, time.Minute, time.Millisecond)
}

// If the supervisor is killed before the program starts, the standby lets it start. This test is
// keepalive run and the supervisor that ended.
func TestRunSupervisorKilledAtStart(t *testing.T) {
	conns, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	conn, theirs := os.NewFile(uintptr(conns[0]), "conn"), os.NewFile(uintptr(conns[1]), "theirs")
	defer conn.Close()
	defer theirs.Close()
	// A pipe is like the listener of a program without system calls: it hangs up at the end.
	listener, program, err := os.Pipe()
	require.NoError(t, err)
	defer listener.Close()
	defer program.Close()
	memory, err := os.CreateTemp(t.TempDir(), "memory")
	require.NoError(t, err)
	defer memory.Close()
	require.NoError(t, memory.Truncate(int64(os.Getpagesize())))

	cmd := exec.Command(keepaliveBinary(t), "supervise", "standby", killedOptions)
	cmd.ExtraFiles = []*os.File{theirs, listener, memory}
	require.NoError(t, cmd.Start()) // its input, which is empty, ends as with the supervisor
	require.NoError(t, theirs.Close())
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	reply := make([]byte, 100)
	n, err := conn.Read(reply)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(cmd.Process.Pid), string(reply[:n]))
	require.NoError(t, program.Close())
	assert.NoError(t, cmd.Wait())
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
