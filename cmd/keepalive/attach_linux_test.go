package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/cgroup"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

// newCgroup creates a cgroup with a name that is a TARGET.
func newCgroup(t *testing.T, name string) (dir string) {
	mount, err := cgroup.Mount()
	if err == nil {
		dir = filepath.Join(mount, name)
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		programtest.Skip(t, "create a cgroup: %v", err)
	}
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for err := error(unix.EBUSY); err == unix.EBUSY; { // until its processes have ended
			require.True(t, time.Now().Before(deadline), "cgroup %s is still in use", dir)
			pids, _ := cgroup.Processes(dir)
			for _, pid := range pids {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			time.Sleep(time.Millisecond)
			below, _ := filepath.Glob(dir + "/keepalive-run-*")
			for _, dir := range below {
				_ = unix.Rmdir(dir)
			}
			err = unix.Rmdir(dir)
		}
	})
	return dir
}

// startIn starts cmd in the cgroup, by keepalive run if there are args for it.
func startIn(t *testing.T, dir string, cmd *exec.Cmd, args ...string) {
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	if len(args) > 0 {
		cmd.Args = slices.Concat([]string{"keepalive", "run"}, args, []string{"--", cmd.Path}, cmd.Args[1:])
		cmd.Path = "/proc/self/exe"
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// connectionsIn returns the connections of all processes in the cgroup. It waits until there are n,
// because the supervisor of seccomp has a second descriptor of a socket for a short time.
func connectionsIn(t *testing.T, dir string, n int) (list []foreignSocket) {
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		pids, err := cgroup.Processes(dir)
		require.NoError(t, err)
		if list = connectionsOf(t, pids...); len(list) == n {
			break
		}
	}
	assert.Len(t, list, n)
	return list
}

// All connections of real programs have the options, dialed and accepted, whatever the programs
// choose themselves. Package net of a 32-bit program chooses other times when the connection is
// established.
func TestAttachPrograms(t *testing.T) {
	for _, p := range programtest.Programs {
		t.Run(p.Name, func(t *testing.T) {
			want := mustOptions(t, testOptions)
			if p.Bits32 {
				want = keepalive.Options{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9, UserTimeout: time.Minute}
			}
			name := testName(t) + ".service"
			dir := newCgroup(t, name)
			attach(t, testOptions, name)
			p.Run(t, func(cmd *exec.Cmd) { startIn(t, dir, cmd) })
			connections := connectionsIn(t, dir, p.Connections)
			for _, c := range connections {
				assert.Equal(t, want, c.options, c.String())
			}
		})
	}
}

// keepalive run has the same effect with the mechanism cgroup, and leaves 32-bit programs to the other one.
func TestRunInCgroup(t *testing.T) {
	for _, p := range programtest.Programs {
		t.Run(p.Name, func(t *testing.T) {
			dir := newCgroup(t, testName(t))
			stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			require.NoError(t, err)
			defer stderr.Close()
			p.Run(t, func(cmd *exec.Cmd) {
				cmd.Stderr = stderr
				startIn(t, dir, cmd, "-v", testOptions)
			})
			connections := connectionsIn(t, dir, p.Connections)
			for _, c := range connections {
				assert.Equal(t, mustOptions(t, testOptions), c.options, c.String())
			}
			mechanism := "cgroup"
			if p.Bits32 {
				mechanism = "seccomp"
			}
			text, err := os.ReadFile(stderr.Name())
			require.NoError(t, err)
			assert.Contains(t, string(text), "mechanism "+mechanism+": "+testOptions)
		})
	}
}

// Settings of the cgroup above are reported, because they have priority.
func TestRunBelowAttached(t *testing.T) {
	name := testName(t)
	dir := newCgroup(t, name)
	attach(t, "idle=7s", name)
	for mechanism, cgroup := range map[string]string{"cgroup": "/" + name + "/keepalive-run-", "seccomp": "/" + name} {
		cmd := exec.Command("cat", "/proc/self/cgroup")
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		startIn(t, dir, cmd, "--mechanism="+mechanism, "idle=8s")
		require.NoError(t, cmd.Wait(), errs.String())
		assert.Contains(t, out.String(), cgroup)
		assert.Equal(t, "keepalive: idle=7s is attached to /"+name+" and has priority\n", errs.String())
	}
}

// testName returns a name for a cgroup.
func testName(t *testing.T) string {
	return fmt.Sprintf("keepalive-%d-%s", os.Getpid(), strings.ReplaceAll(filepath.Base(t.Name()), " ", "-"))
}

// attach runs keepalive attach, and returns its output.
func attach(t *testing.T, args ...string) string {
	out, errs, status := keepaliveCommand(append([]string{"attach"}, args...)...)
	require.Zero(t, status, errs)
	assert.Empty(t, errs)
	return out
}

var python = programtest.Programs[slices.IndexFunc(programtest.Programs, func(p programtest.Program) bool { return p.Name == "python" })]

func TestAttachExisting(t *testing.T) {
	name := testName(t)
	dir := newCgroup(t, name)
	python.Run(t, func(cmd *exec.Cmd) { startIn(t, dir, cmd) })
	out := attach(t, "--existing", testOptions, name)
	assert.Regexp(t, "(?s)^"+testOptions+" is attached to /"+name+"\n.* 2 +1\nSet .* on 3 of 3 sockets.\n$", out)
	connections := connectionsIn(t, dir, 2)
	for _, c := range connections {
		assert.Equal(t, mustOptions(t, testOptions), c.options)
	}
	assert.Equal(t, "off is attached to /"+name+"\n", attach(t, "off", name))
}

// TestSetAttached: what is attached has priority over keepalive set.
func TestSetAttached(t *testing.T) {
	name := testName(t)
	dir := newCgroup(t, name)
	attach(t, testOptions, name)
	pid := 0
	python.Run(t, func(cmd *exec.Cmd) {
		startIn(t, dir, cmd)
		pid = cmd.Process.Pid
	})
	out, errs, status := keepaliveCommand("set", "idle=7s", "--pid", strconv.Itoa(pid), "--state", "established")
	assert.Equal(t, 1, status)
	assert.Equal(t, "Set \"idle=7s\" on 0 of 2 sockets.\n", out)
	assert.Contains(t, errs, "2 sockets: the options are "+testOptions+" now: the program has changed them again, or keepalive attach has")
}

func TestAttachExistingOfEmptyCgroup(t *testing.T) {
	name := testName(t)
	newCgroup(t, name)
	assert.Equal(t, "on is attached to /"+name+"\n", attach(t, "--existing", "on", name))
}

func TestAttachListDetach(t *testing.T) {
	name := testName(t)
	dir := newCgroup(t, name)
	inner := filepath.Join(dir, "inner")
	require.NoError(t, os.Mkdir(inner, 0o755))
	t.Cleanup(func() { assert.NoError(t, os.Remove(inner)) })
	_, errs, status := keepaliveCommand("detach", name)
	assert.Equal(t, 1, status)
	assert.Equal(t, "keepalive: nothing is attached to /"+name+": keepalive attach lists what is attached\n", errs)

	attach(t, "off", name)
	assert.Equal(t, "idle=7s is attached to /"+name+"/inner\noff is attached to /"+name+" above it and has priority\n",
		attach(t, "--allow-override", "idle=7s", inner))
	list := attach(t)
	assert.Regexp(t, `^CGROUP +OPTIONS +CONNECTIONS +IGNORED +FAILED +OVERRIDE\n`, list)
	assert.Regexp(t, "(?m)^/"+name+" +off +0 +0 +0 +no$", list)
	assert.Regexp(t, "(?m)^/"+name+"/inner +idle=7s +0 +0 +0 +allowed$", list)

	for _, dir := range []string{inner, dir} {
		out, errs, status := keepaliveCommand("detach", dir)
		assert.Zero(t, status, errs)
		assert.Equal(t, "detached from "+cgroup.Name(dir)+"\n", out)
		if dir == inner {
			_, errs, _ = keepaliveCommand("detach", dir)
			assert.Equal(t, "keepalive: nothing is attached to /"+name+"/inner, but to /"+name+" above it\n", errs)
		}
	}
	assert.NotContains(t, attach(t), name)
}

func TestAttachUsage(t *testing.T) {
	for _, args := range [][]string{
		{"attach", "on"},
		{"attach", "on", "a", "b"},
		{"attach", "idle=10h", "a.service"},
		{"attach", "--unknown", "on", "a.service"},
		{"detach"},
		{"detach", "a", "b"},
	} {
		_, errs, status := keepaliveCommand(args...)
		assert.Equal(t, 2, status, args)
		assert.Regexp(t, `^keepalive: [^\n]+\n$`, errs, args)
	}
}

// Each missing right is named, before anything else happens.
func TestAttachWithoutRights(t *testing.T) {
	newCgroup(t, testName(t)) // skips if this process has no rights
	setpriv := programtest.Need(t, "setpriv")
	binary := filepath.Join(t.TempDir(), "keepalive") // this binary is the command if it has that name
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, binary))
	for want, args := range map[string][]string{
		"this needs CAP_BPF and CAP_NET_ADMIN: run it as root\n":         {"--bounding-set=-all", binary, "attach", "on", "/"},
		"this needs CAP_NET_ADMIN: run it as root\n":                     {"--bounding-set=-net_admin", binary, "attach", "on", "/"},
		"this needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run it as root\n":   {"--bounding-set=-all", binary, "attach"},
		"this needs CAP_SYS_ADMIN: run it as root\n":                     {"--bounding-set=-sys_admin", binary, "detach", "/"},
		"cgroup: this needs CAP_BPF and CAP_NET_ADMIN: run it as root\n": {"--bounding-set=-all", binary, "run", "--mechanism=cgroup", "on", "true"},
		"and this process is in a user namespace: run it outside\n":      {"unshare", "-r", binary, "attach", "on", "/"},
	} {
		out, err := exec.Command(setpriv, args...).CombinedOutput()
		assert.Error(t, err)
		assert.Regexp(t, "^keepalive: [^\n]*"+want+"$", string(out))
	}
}
