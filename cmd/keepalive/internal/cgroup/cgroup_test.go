//go:build linux

package cgroup

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// TestMain runs this binary in a cgroup made by Enter, or without bpf(2), if the environment says so.
func TestMain(m *testing.M) {
	if args := os.Getenv("CGROUP_TEST_RUN"); args != "" {
		os.Unsetenv("CGROUP_TEST_RUN")
		err := Enter(Settings{Options: some})
		if err == nil {
			err = unix.Exec("/bin/sh", []string{"sh", "-c", args}, os.Environ())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if errno, err := strconv.Atoi(os.Getenv("CGROUP_TEST_BPF")); err == nil {
		forbidBPF(uint32(errno))
		_, err := List()
		fmt.Println(err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// forbidBPF makes bpf(2) return an error in this process.
func forbidBPF(errno uint32) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_BPF, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if err != 0 {
		fmt.Println("seccomp:", err)
		os.Exit(1)
	}
}

var (
	some = keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: time.Minute}
)

// newCgroup creates a cgroup below parent, which can be empty.
func newCgroup(t testing.TB, parent string) string {
	mount, err := Mount()
	dir := filepath.Join(parent, "keepalive-test-"+strconv.Itoa(os.Getpid()))
	if err == nil {
		if parent == "" {
			dir = filepath.Join(mount, dir)
		}
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		programtest.Skip(t, "create a cgroup: %v", err)
	}
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { // a process leaves its cgroup after its parent has seen its end
			err := unix.Rmdir(dir)
			return err == nil || err == unix.ENOENT
		}, 10*time.Second, time.Millisecond, "%s is still in use", dir)
	})
	return dir
}

// prelude has functions for the programs that these tests run.
const prelude = `
import json, os, socket, struct, sys
from socket import SOL_SOCKET, SO_KEEPALIVE, IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT

def options(s):
    return [s.getsockopt(*o) for o in ((SOL_SOCKET, SO_KEEPALIVE), (IPPROTO_TCP, TCP_KEEPIDLE), (IPPROTO_TCP, TCP_KEEPINTVL),
            (IPPROTO_TCP, TCP_KEEPCNT), (IPPROTO_TCP, TCP_USER_TIMEOUT))]

def show(*values):
    print(json.dumps(values), flush=True)
`

// pair has a connection to itself: the ends c and a.
const pair = prelude + `
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
a, _ = l.accept()
`

// in starts a Python program in the cgroup, and returns its output, its input, and a function
// that waits for its end.
func in(t *testing.T, dir, program string) (out *json.Decoder, stdin io.WriteCloser, wait func()) {
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	cmd := exec.Command(programtest.Need(t, "/usr/bin/python3", "python3"), "-c", program)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	cmd.Stderr = os.Stderr
	stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return json.NewDecoder(stdout), stdin, func() { require.NoError(t, cmd.Wait()) }
}

// run runs a Python program in the cgroup, and returns what it shows.
func run(t *testing.T, dir, program string) (values []any) {
	out, _, wait := in(t, dir, program)
	err := out.Decode(&values)
	wait()
	require.NoError(t, err)
	return values
}

// options are those that the function options of prelude returns.
func options(values ...float64) []any {
	var list []any
	for _, v := range values {
		list = append(list, v)
	}
	return list
}

// attachment returns what is attached to the cgroup.
func attachment(t *testing.T, dir string) Attachment {
	list, err := List()
	require.NoError(t, err)
	var found []Attachment
	for _, a := range list {
		if a.Dir == dir {
			found = append(found, a)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

func TestSettings(t *testing.T) {
	for text, want := range map[string]string{
		"on":  "on",
		"off": "off",
		"idle=45s,interval=5s,count=3,user-timeout=1m": "idle=45s,interval=5s,count=3,user-timeout=1m",
		"idle=1500ms,interval=1ns,user-timeout=1ns":    "idle=2s,interval=1s,user-timeout=1ms",
		"off,count=7":      "off,count=7",
		"user-timeout=off": "user-timeout=off",
	} {
		var s Settings
		require.NoError(t, s.Options.UnmarshalText([]byte(text)))
		got := newState(s).settings()
		assert.Equal(t, want, got.Options.String())
		assert.False(t, got.AllowOverride)
		s.AllowOverride = true
		assert.True(t, newState(s).settings().AllowOverride)
	}
}

// What is attached replaces what was attached, and a connection has the values of its time.
func TestAttach(t *testing.T) {
	dir := newCgroup(t, "")
	require.ErrorIs(t, Detach(dir), ErrNotAttached)
	require.NoError(t, Attach(dir, Settings{Options: some}))
	assert.Equal(t, []any{options(1, 45, 5, 3, 60000), options(1, 45, 5, 3, 60000)}, run(t, dir, pair+"show(options(c), options(a))"))
	assert.Equal(t, Attachment{dir, Settings{Options: some}, Counters{Connections: 2}}, attachment(t, dir))

	off := keepalive.Options{Disabled: true, Count: 4}
	require.NoError(t, Attach(dir, Settings{Options: off}))
	assert.Equal(t, Attachment{Dir: dir, Settings: Settings{Options: off}}, attachment(t, dir))
	got := run(t, dir, pair+"c.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1); show(options(c)[0::3], options(a)[0::3])")
	assert.Equal(t, []any{options(0, 4), options(0, 4)}, got)

	require.NoError(t, Detach(dir))
	got = run(t, dir, pair+"c.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 7); show(options(c)[1], options(a)[0])")
	assert.Equal(t, []any{7.0, 0.0}, got)
	assert.ErrorIs(t, Detach(dir), ErrNotAttached)
}

// A setsockopt call for a named option sets the value of the settings, at any time.
func TestIgnored(t *testing.T) {
	dir := newCgroup(t, "")
	require.NoError(t, Attach(dir, Settings{Options: keepalive.Options{Idle: 45 * time.Second}}))
	got := run(t, dir, pair+`
def error(*call):
    try:
        c.setsockopt(*call)
    except OSError as e:
        return e.errno

s = socket.socket()
s.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 7)
show(
    options(s)[:2],
    error(IPPROTO_TCP, TCP_KEEPIDLE, 8),                      # ignored
    error(IPPROTO_TCP, TCP_KEEPIDLE, -1),                     # ignored
    error(IPPROTO_TCP, TCP_KEEPIDLE, 45),                     # the same value
    error(SOL_SOCKET, SO_KEEPALIVE, 0),                       # ignored
    error(SOL_SOCKET, SO_KEEPALIVE, 2),                       # the same as 1
    error(IPPROTO_TCP, TCP_KEEPIDLE, b"\1"),                  # too short
    error(IPPROTO_TCP, TCP_KEEPIDLE, b""),
    error(IPPROTO_TCP, TCP_KEEPIDLE, struct.pack("5000i", *range(5000))), # ignored
    error(IPPROTO_TCP, TCP_KEEPINTVL, 0),                     # not named, not valid
    error(IPPROTO_TCP, TCP_KEEPINTVL, 9),                     # not named
    options(c)[:3])
`)
	einval := float64(unix.EINVAL)
	assert.Equal(t, []any{options(0, 45), nil, nil, nil, nil, nil, einval, einval, nil, einval, nil, options(1, 45, 9)}, got)
	assert.Equal(t, Counters{Connections: 2, Ignored: 5}, attachment(t, dir).Counters)
}

// Sockets of other protocols are left alone.
func TestOtherSockets(t *testing.T) {
	dir := newCgroup(t, "")
	require.NoError(t, Attach(dir, Settings{Options: keepalive.Options{Disabled: true}}))
	got := run(t, dir, prelude+`
result = []
for s in socket.socket(socket.AF_UNIX), socket.socket(type=socket.SOCK_DGRAM), socket.socket():
    s.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    result.append(s.getsockopt(SOL_SOCKET, SO_KEEPALIVE))
show(*result)
`)
	assert.Equal(t, options(1, 1, 0), got)
	assert.Equal(t, Counters{Ignored: 1}, attachment(t, dir).Counters)
}

// With AllowOverride, values that a program sets are kept, also on a listener for the
// connections that it accepts.
func TestAllowOverride(t *testing.T) {
	dir := newCgroup(t, "")
	require.NoError(t, Attach(dir, Settings{Options: some, AllowOverride: true}))
	got := run(t, dir, prelude+`
l = socket.create_server(("127.0.0.1", 0))
l.setsockopt(IPPROTO_TCP, TCP_KEEPCNT, 9)
c = socket.socket()
c.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 0)
c.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 7)
c.connect(l.getsockname())
a, _ = l.accept()
before = options(c), options(a)
a.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 1234)
show(*before, options(a))
`)
	cpu, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	if n := attachment(t, dir).Failed; n > 0 && strings.Contains(string(cpu), "User Mode Linux") {
		// Seen on User-Mode Linux 7.2, not on 5.10, 6.1 and 6.12, and not on a kernel on hardware.
		t.Skipf("not supported here: bpf_sk_storage_get failed %d times on User-Mode Linux", n)
	}
	assert.Equal(t, []any{options(0, 7, 5, 3, 60000), options(1, 45, 5, 9, 60000), options(1, 45, 5, 9, 1234)}, got)
	assert.Equal(t, Attachment{dir, Settings{some, true}, Counters{Connections: 2}}, attachment(t, dir))
}

// List shows what an interrupted call of Attach or Detach has left, and Detach removes it.
func TestInterrupted(t *testing.T) {
	for _, interrupted := range []int{setsockopt, connection} {
		dir := newCgroup(t, "")
		require.NoError(t, Attach(dir, Settings{Options: some}))
		cgroup, err := os.Open(dir)
		require.NoError(t, err)
		defer cgroup.Close()
		a, err := attached(cgroup)
		require.NoError(t, err)
		defer a.Close()
		require.NoError(t, put(cgroup, kinds[interrupted].attach, nil, a.first()[interrupted]))
		assert.Equal(t, Attachment{Dir: dir, Settings: Settings{Options: some}}, attachment(t, dir))
		require.NoError(t, Detach(dir))
		require.NoError(t, unix.Rmdir(dir))
	}
}

// A path can lead over a link.
func TestFindLink(t *testing.T) {
	dir := newCgroup(t, "")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	found, err := Find(link)
	require.NoError(t, err)
	assert.Equal(t, dir, found)
}

// The outermost settings have priority, unless they allow overrides.
func TestNested(t *testing.T) {
	outer := newCgroup(t, "")
	inner := newCgroup(t, outer)
	require.NoError(t, Attach(inner, Settings{Options: keepalive.Options{Idle: 30 * time.Second, Count: 8}}))
	o := keepalive.Options{Idle: time.Minute, Interval: 7 * time.Second}
	program := pair + "c.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 99); show(options(c)[:4], options(a)[:4])"

	require.NoError(t, Attach(outer, Settings{Options: o}))
	assert.Equal(t, []any{options(1, 60, 7, 8), options(1, 60, 7, 8)}, run(t, inner, program))
	require.NoError(t, Attach(outer, Settings{Options: o, AllowOverride: true}))
	assert.Equal(t, []any{options(1, 30, 7, 8), options(1, 30, 7, 8)}, run(t, inner, program))

	above, err := Above(inner)
	require.NoError(t, err)
	require.Len(t, above, 1)
	assert.Equal(t, outer, above[0].Dir)
	above, err = Above(outer)
	require.NoError(t, err)
	assert.Empty(t, above)
}

// A listener from before has the settings for the connections that it accepts from now on.
func TestExistingListener(t *testing.T) {
	dir := newCgroup(t, "")
	out, stdin, wait := in(t, dir, prelude+`
l = socket.create_server(("127.0.0.1", 0))
show()
sys.stdin.readline()
c = socket.create_connection(l.getsockname())
a, _ = l.accept()
show(options(a))
`)
	var values []any
	require.NoError(t, out.Decode(&values))
	require.NoError(t, Attach(dir, Settings{Options: some}))
	fmt.Fprintln(stdin)
	require.NoError(t, out.Decode(&values))
	wait()
	assert.Equal(t, []any{options(1, 45, 5, 3, 60000)}, values)
}

// The kernel's timers run with the values: it detects a dead peer.
func TestDeadPeer(t *testing.T) {
	dir := newCgroup(t, "")
	require.NoError(t, Attach(dir, Settings{Options: keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	out, stdin, wait := in(t, dir, prelude+fmt.Sprintf(`
c = socket.create_connection(("127.0.0.1", %d))
sys.stdin.readline()
try:
    c.recv(1)
except OSError as e:
    show(e.errno)
`, l.Addr().(*net.TCPAddr).Port))
	require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(30*time.Second)))
	peer, err := l.Accept()
	require.NoError(t, err)
	defer peer.Close()
	require.NoError(t, testpeer.Filter(peer.(*net.TCPConn), true))
	fmt.Fprintln(stdin)
	var values []any
	assert.NoError(t, out.Decode(&values))
	wait()
	assert.Equal(t, options(float64(unix.ETIMEDOUT)), values)
}

// A cgroup can be removed while settings are attached.
func TestRemovedCgroup(t *testing.T) {
	dir := newCgroup(t, "")
	require.NoError(t, Attach(dir, Settings{Options: some}))
	require.NoError(t, unix.Rmdir(dir))
	list, err := List()
	require.NoError(t, err)
	for _, a := range list {
		assert.NotEqual(t, dir, a.Dir)
	}
	assert.ErrorContains(t, Attach(dir, Settings{Options: some}), "no such file")
}

func TestConcurrentAttach(t *testing.T) {
	dir := newCgroup(t, "")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			assert.NoError(t, Attach(dir, Settings{Options: keepalive.Options{Count: i + 1}}))
		})
	}
	wg.Wait()
	attachment(t, dir) // one
}

// If the second program cannot be attached, the first one is removed, or the old one is back.
func TestAttachFails(t *testing.T) {
	dir := newCgroup(t, "")
	inner := newCgroup(t, dir)
	require.NoError(t, Attach(inner, Settings{Options: some}))
	exclusive, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	require.NoError(t, err)
	defer exclusive.Close()
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, link.RawAttachProgram(link.RawAttachProgramOptions{
		Target: int(f.Fd()), Program: exclusive, Attach: ebpf.AttachCGroupSockOps,
	}))
	i, err := os.Open(inner)
	require.NoError(t, err)
	defer i.Close()
	for _, want := range []int{1, 0} { // programs of each kind
		err = Attach(inner, Settings{Options: keepalive.Options{Count: 9}})
		require.ErrorContains(t, err, "no further one is allowed")
		assert.NotContains(t, err.Error(), "\n")
		programs, err := attached(i)
		require.NoError(t, err)
		defer programs.Close()
		for kind := range programs {
			require.Len(t, programs[kind], want)
			for _, p := range programs[kind] {
				st, err := readState(p)
				require.NoError(t, err)
				assert.Equal(t, some, st.settings().Options)
			}
		}
		if want > 0 {
			require.NoError(t, Detach(inner))
		}
	}
}

func TestFind(t *testing.T) {
	dir := newCgroup(t, "")
	mount, err := Mount()
	require.NoError(t, err)
	id := strings.Repeat("0123456789abcdef", 4)
	pid := strconv.Itoa(os.Getpid())
	id = (strings.Repeat("e", 10-len(pid)) + pid + id)[:64]
	other := strings.Repeat("f", 54) + id[:10]
	mkdir := func(names ...string) {
		for _, name := range names {
			d := filepath.Join(dir, name)
			require.NoError(t, os.Mkdir(d, 0o755))
			t.Cleanup(func() { assert.NoError(t, unix.Rmdir(d)) })
		}
	}
	unit := "keepalive-test@" + pid
	mkdir("system.slice", "system.slice/"+unit+".service", "twice.slice", "twice.slice/twice"+pid+".scope", "system.slice/twice"+pid+".scope")
	for _, name := range []string{
		"docker-" + id + ".scope", id, "libpod-" + id + ".scope", "cri-containerd-" + id + ".scope", "crio-" + id + ".scope", "nerdctl-" + id + ".scope",
	} {
		func() {
			d := filepath.Join(dir, name)
			require.NoError(t, os.Mkdir(d, 0o755))
			defer unix.Rmdir(d)
			for _, sibling := range []string{"libpod-conmon-" + id + ".scope", "docker-" + other + ".scope"} {
				s := filepath.Join(dir, sibling)
				require.NoError(t, os.Mkdir(s, 0o755))
				defer unix.Rmdir(s)
			}
			for _, target := range []string{id, id[:12], name, d, strings.TrimPrefix(d, mount)} {
				got, err := Find(target)
				require.NoError(t, err)
				assert.Equal(t, d, got, target)
			}
		}()
	}
	for _, target := range []string{unit, unit + ".service"} {
		got, err := Find(target)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "system.slice", unit+".service"), got)
	}
	got, err := Find("/")
	require.NoError(t, err)
	assert.Equal(t, mount, got)
	for target, want := range map[string]string{
		"twice" + pid + ".scope":             "ambiguous",
		"nosuch.service":                     "has no cgroup in " + mount,
		id[:12]:                              "no container with the id " + id[:12],
		"nosuch name":                        "give a unit",
		"/nosuch":                            "no cgroup /nosuch",
		"/proc/self":                         "no cgroup /proc/self",
		filepath.Join(mount, "cgroup.procs"): "is a file",
		"":                                   "give a unit",
	} {
		_, err := Find(target)
		assert.ErrorContains(t, err, want, target)
	}
}

// A process that Enter makes a cgroup for keeps its id. The next call removes the cgroup.
func TestEnter(t *testing.T) {
	dir := newCgroup(t, "")
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	mount, err := Mount()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	// start runs script in a cgroup made by Enter, and returns the names of cgroups that it writes.
	start := func(script string) (cgroups []string) {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "CGROUP_TEST_RUN="+script, "SELF="+self)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for line := range strings.Lines(string(out)) {
			path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
			require.True(t, ok, "%s", out)
			assert.Regexp(t, fmt.Sprintf("^%s/%s[0-9]+$", strings.TrimPrefix(dir, mount), createdPrefix), path)
			cgroups = append(cgroups, filepath.Join(mount, path))
		}
		return cgroups
	}
	first := start("grep ^0:: /proc/self/cgroup")
	require.Len(t, first, 1)
	assert.Equal(t, Settings{Options: some}, attachment(t, first[0]).Settings)

	// In one cgroup, it makes another one beside it. It removes the first one, but not one that is locked.
	other, err := create(dir)
	require.NoError(t, err)
	defer other.Close()
	second := start("grep ^0:: /proc/self/cgroup; CGROUP_TEST_RUN='grep ^0:: /proc/self/cgroup' exec $SELF")
	require.Len(t, second, 2)
	assert.NotEqual(t, second[0], second[1])
	assert.NoDirExists(t, first[0])
	for _, dir := range append(second, other.Name()) {
		assert.Eventually(t, func() bool { return unix.Rmdir(dir) == nil }, 10*time.Second, time.Millisecond)
	}
}

func TestWithoutBPF(t *testing.T) {
	newCgroup(t, "") // skips if this process has no rights
	for errno, want := range map[unix.Errno]string{
		unix.ENOSYS: "this kernel has no eBPF (CONFIG_BPF_SYSCALL)\n",
		unix.EPERM:  "bpf(2) is forbidden here, for example by the seccomp profile of a container: run it on the host\n",
		unix.EINVAL: "reading what is attached to /: this kernel has no eBPF for cgroups (CONFIG_CGROUP_BPF)\n",
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("CGROUP_TEST_BPF=%d", errno))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want, string(out))
	}
}

func TestCheckRelease(t *testing.T) {
	for _, ok := range []string{"5.9", "5.10.0-35-amd64", "6.18.44-fc-v669", "7.2.0"} {
		assert.NoError(t, checkRelease(ok))
	}
	for release, want := range map[string]string{
		"5.8.0":        "this kernel, 5.8.0, lacks SO_KEEPALIVE and TCP_KEEPIDLE in bpf_setsockopt (Linux 5.9)",
		"5.2.1":        "eBPF programs for setsockopt (Linux 5.3)",
		"4.4.0-gvisor": "eBPF programs for TCP connections (Linux 4.13)",
		"x":            `unknown version of Linux: "x"`,
	} {
		assert.ErrorContains(t, checkRelease(release), want)
	}
}

func TestCanonical(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	for name, target := range map[string]string{
		"alias.service": "/lib/systemd/system/real.service",
		"off.service":   "/dev/null",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dirs[1], name)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dirs[1], "real.service"), nil, 0o644))
	for unit, want := range map[string]string{
		"alias.service":   "real.service",
		"real.service":    "real.service",
		"off.service":     "off.service",
		"unknown.service": "unknown.service",
	} {
		assert.Equal(t, want, canonical(unit, dirs))
	}
}

func TestUnescape(t *testing.T) {
	assert.Equal(t, `/a b\c`, unescape(`/a\040b\134c`))
}
