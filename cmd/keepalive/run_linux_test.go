package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

// output runs cmd and returns what it writes to its two streams, and its exit status, or 128 and the
// number of the signal that ended it.
func output(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		return out.String(), errs.String(), 128 + int(s.Signal())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

var self = user{"", uint32(os.Geteuid())}

func TestRunExitStatus(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script") // without #!
	require.NoError(t, os.WriteFile(script, []byte("echo $0 $1; exit 4"), 0o755))
	data := filepath.Join(dir, "data")
	require.NoError(t, os.WriteFile(data, nil, 0o644))
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, test := range []struct {
		args           []string
		stdout, stderr string
		status         int
	}{
		{args: []string{"true"}},
		{args: []string{"--", "true"}},
		{args: []string{"sh", "-c", "exit 3"}, status: 3},
		{args: []string{"sh", "-c", "kill -KILL $$"}, status: 128 + 9},
		{args: []string{"echo", "-v", "--", "--help"}, stdout: "-v -- --help\n"},
		{args: []string{"script", "x"}, stdout: script + " x\n", status: 4},
		{args: []string{script, "x"}, stdout: script + " x\n", status: 4},
		{args: []string{"no-such-program"}, stderr: "keepalive: no-such-program: no such file or directory\n", status: 127},
		{args: []string{"/no/such"}, stderr: "keepalive: /no/such: no such file or directory\n", status: 127},
		{args: []string{"data"}, stderr: "keepalive: data: permission denied\n", status: 126},
		{args: []string{"/dev"}, stderr: "keepalive: /dev: permission denied\n", status: 126},
		{args: []string{fifo}, stderr: "keepalive: " + fifo + ": permission denied\n", status: 126},
	} {
		stdout, stderr, status := output(t, runCommand(t, self, append([]string{"on"}, test.args...)...))
		assert.Equal(t, test.stdout, stdout, test.args)
		assert.Equal(t, test.stderr, stderr, test.args)
		assert.Equal(t, test.status, status, test.args)
	}
}

// Without PATH, execvp(3) looks into two folders.
func TestRunWithoutPath(t *testing.T) {
	cmd := runCommand(t, self, "on", "true")
	cmd.Env = []string{}
	_, stderr, status := output(t, cmd)
	assert.Zero(t, status, stderr)
}

func TestRunUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"on"},
		{"on", "--"},
		{"idle=1x", "true"},
		{"idle=100h", "true"},
		{"--mechanism=x", "on", "true"},
		{"--unknown", "on", "true"},
	} {
		stdout, stderr, status := output(t, runCommand(t, self, args...))
		assert.Equal(t, 125, status, args)
		assert.Empty(t, stdout, args)
		assert.Regexp(t, `^keepalive: .*\n$`, stderr, args)
	}
}

// A program is the same process with run as with env, except for what seccomp needs.
func TestRunSameProcess(t *testing.T) {
	// The signals are those that run can keep ignored.
	const script = `trap '' HUP INT; umask 027; cd /; ulimit -S -n 123; ulimit -c 0; exec 7</dev/null; exec "$@"`
	const show = `
		cat /proc/$$/status | grep -E '^(PPid|TracerPid|Uid|Gid|Groups|Umask|FDSize|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt|Cap|Cpus)'
		cat /proc/$$/limits /proc/$$/environ /proc/$$/cgroup
		cut -d' ' -f4-8 /proc/$$/stat
		pwd; nice; ps -o pid= --ppid $$ | wc -l
		cd /proc/$$/fd; echo descriptors *`
	run := func(command ...string) string {
		cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, append(command, "sh", "-c", show)...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "A=B"}
		stdout, stderr, status := output(t, cmd)
		require.Zero(t, status, stderr)
		return stdout
	}
	keepalive := keepaliveBinary(t)
	want := run("env")
	require.Regexp(t, `descriptors .*\b7\b`, want)
	require.Regexp(t, `SigIgn:\s0000000000000003\n`, want)
	assert.Equal(t, want, run(keepalive, "run", "--mechanism=seccomp", "on"))
}

// The first thread executes the program, because the parent death signal belongs to a thread.
func TestRunParentDeathSignal(t *testing.T) {
	requirePrograms(t, "python3")
	const program = `
import ctypes
signal = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(signal)) # PR_GET_PDEATHSIG
print(signal.value)`
	cmd := runCommand(t, self, "--mechanism=seccomp", "on", "python3", "-c", program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGCONT}
	stdout, stderr, status := output(t, cmd)
	require.Zero(t, status, stderr)
	assert.Equal(t, fmt.Sprintln(int(unix.SIGCONT)), stdout)
}

func TestRunFileSizeLimit(t *testing.T) {
	_, stderr, status := output(t, exec.Command("sh", "-c", `ulimit -S -f 0; exec "$@"`, "sh", keepaliveBinary(t), "run", "--mechanism=seccomp", "on", "true"))
	assert.Zero(t, status, stderr)
}

// show is a Python program that writes the options of a new socket.
const show = `
import socket
s = socket.socket()
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))`

func TestRunRefused(t *testing.T) {
	requirePrograms(t, "python3")
	keepalive := keepaliveBinary(t)
	deny := filepath.Join(t.TempDir(), "deny")
	build(t, exec.Command("go", "build", "-o", deny, "testdata/deny.go"))
	denied := func(errno syscall.Errno, number int) []string {
		return []string{deny, strconv.Itoa(int(errno)), strconv.Itoa(number)}
	}
	for _, test := range []struct {
		name           string
		under          []string
		mechanism      string
		stdout, stderr string
		status         int
	}{
		{name: "in Docker", under: denied(unix.EPERM, unix.SYS_PIDFD_GETFD), stdout: "1 45\n"},
		{name: "without seccomp", under: denied(unix.ENOSYS, unix.SYS_SECCOMP),
			stderr: "^keepalive: seccomp: user notification needs Linux 5.9 with CONFIG_SECCOMP_FILTER, and this is Linux .*\n$", status: 125},
		{name: "seccomp forbidden", under: denied(unix.EPERM, unix.SYS_SECCOMP),
			stderr: "^keepalive: seccomp: a filter of this process, for example of a container, forbids .*\n$", status: 125},
		{name: "nested", under: []string{keepalive, "run", "--mechanism=seccomp", "idle=1h"},
			stderr: "^keepalive: seccomp: this process has a supervisor already, .*\n$", status: 125},
		{name: "cgroup in seccomp", under: []string{keepalive, "run", "--mechanism=seccomp", "idle=1h"}, mechanism: "cgroup",
			stderr: "^keepalive: cgroup: another keepalive run with seccomp makes the sockets .*\n$", status: 125},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append(test.under, keepalive, "run", "--mechanism="+cmp.Or(test.mechanism, "seccomp"), "idle=45s", "python3", "-c", show)
			stdout, stderr, status := output(t, exec.Command(args[0], args[1:]...))
			assert.Equal(t, test.stdout, stdout)
			assert.Regexp(t, test.stderr, stderr)
			assert.Equal(t, test.status, status)
		})
	}
}

func TestRunVerbose(t *testing.T) {
	programtest.NeedRoot(t)
	for _, u := range users {
		_, stderr, status := output(t, runCommand(t, u, "-v", "--mechanism=seccomp", "idle=1m", "true"))
		assert.Zero(t, status)
		assert.Regexp(t, `^keepalive: mechanism seccomp: idle=1m\nkeepalive: not covered: .*io_uring.*\n$`, stderr)
		assert.Equal(t, u.id != 0, strings.Contains(stderr, "setuid"), "%v: %s", u, stderr)
	}
	requirePrograms(t, "setpriv")
	cmd := exec.Command("setpriv", "--bounding-set=-sys_ptrace", keepaliveBinary(t), "run", "-v", "--mechanism=seccomp", "on", "true")
	_, stderr, status := output(t, cmd)
	assert.Zero(t, status)
	assert.Contains(t, stderr, "programs that change their user")
}

// The supervisor finds the program in /proc only if that is the one of its PID namespace.
func TestRunOtherProc(t *testing.T) {
	programtest.NeedRoot(t)
	requirePrograms(t, "unshare")
	cmd := exec.Command("unshare", "--pid", "--fork", keepaliveBinary(t), "run", "--mechanism=seccomp", "on", "true")
	_, stderr, status := output(t, cmd)
	assert.Equal(t, 125, status)
	assert.Regexp(t, "^keepalive: seccomp: /proc is the one of another PID namespace, [^\n]*\n$", stderr)
}

// A program that enters another network namespace gets sockets of that one.
func TestRunOtherNetwork(t *testing.T) {
	programtest.NeedRoot(t)
	requirePrograms(t, "unshare", "python3")
	host, port, err := net.SplitHostPort(silentServer(t))
	require.NoError(t, err)
	connect := "import socket; socket.create_connection(('" + host + "', " + port + "))"
	_, stderr, status := output(t, runCommand(t, self, "--mechanism=seccomp", "on", "python3", "-c", connect))
	require.Zero(t, status, stderr)
	_, stderr, status = output(t, runCommand(t, self, "--mechanism=seccomp", "on", "unshare", "-n", "python3", "-c", connect))
	assert.NotZero(t, status)
	assert.Contains(t, stderr, "Network is unreachable")
}

// The sockets of a program that changes its user belong to the new one.
func TestRunOtherUser(t *testing.T) {
	programtest.NeedRoot(t)
	requirePrograms(t, "python3")
	const program = `
import os, socket
os.setgid(1234)
os.setuid(4321)
s = socket.socket()
print(os.fstat(s.fileno()).st_uid, os.fstat(s.fileno()).st_gid)`
	stdout, stderr, status := output(t, runCommand(t, self, "--mechanism=seccomp", "on", "python3", "-c", program+"\n"+show))
	require.Zero(t, status, stderr)
	assert.Equal(t, "4321 1234\n1 7200\n", stdout)
}

// A program inherits TCP sockets with the options, and other files as they are.
func TestRunInherited(t *testing.T) {
	programtest.NeedRoot(t)
	var config net.ListenConfig
	config.SetMultipathTCP(false) // has no user timeout
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	cmd := runCommand(t, self, testOptions, "sh", "-c", "echo ready; read line || :")
	cmd.ExtraFiles = []*os.File{file}
	sockets := socketsWhenReady(t, cmd, 1, 0)
	require.Len(t, sockets, 1)
	assert.Equal(t, mustOptions(t, testOptions), sockets[0].options)
}

// Signals neither change the result of socket nor leave descriptors behind.
func TestRunSignals(t *testing.T) {
	requirePrograms(t, "gcc")
	signals := filepath.Join(t.TempDir(), "signals")
	build(t, exec.Command("gcc", "-Wall", "-o", signals, "testdata/signals.c"))
	stdout, stderr, status := output(t, runCommand(t, self, "--mechanism=seccomp", "on", signals))
	assert.Zero(t, status)
	assert.Empty(t, stdout)
	assert.Empty(t, stderr)
}
