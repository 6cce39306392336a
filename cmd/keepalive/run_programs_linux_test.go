package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

var allPrograms = flag.Bool("programs", false, "test keepalive run also with the programs that CI does not have")

const testOptions = "idle=45s,interval=5s,count=3,user-timeout=1m"

// A pair is a program that makes a listener and a connection to it, and tries to set other options.
type pair struct {
	name string
	// needs are programs that must be installed.
	needs []string
	// byHand reports whether only the flag -programs tests it.
	byHand bool
	// start returns the command. It writes "ready" when it has the connection, and ends with its
	// input. dir is a folder of the user who runs it.
	start func(t *testing.T, dir string) []string
	// hidden reports whether only root can look into it.
	hidden bool
}

// pairs make their system calls in other ways than programtest.Programs.
var pairs = []pair{
	pairC("C"),
	pairC("C, 32 bits", "-m32"),
	pairC("C, socketcall", "-m32", "-DSOCKETCALL"),
	pairC("C, fast open", "-DFASTOPEN"),
	hidden(pairC("C, not dumpable", "-DNOT_DUMPABLE")),
	pairC("C, double fork and thread", "-DDOUBLE_FORK"),
	{name: "Java", needs: []string{"java"}, byHand: true, start: func(t *testing.T, dir string) []string {
		source := filepath.Join(dir, "Pair.java")
		require.NoError(t, os.WriteFile(source, []byte(`
import java.net.*;
class Pair {
	public static void main(String[] args) throws Exception {
		ServerSocket listener = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
		Socket dialed = new Socket(listener.getInetAddress(), listener.getLocalPort());
		Socket accepted = listener.accept();
		dialed.setKeepAlive(false);
		accepted.setKeepAlive(false);
		System.out.println("ready");
		System.in.read();
	}
}`), 0o644))
		return []string{"java", "-Xshare:auto", source}
	}},
	{name: "Node", needs: []string{"node"}, byHand: true, start: func(t *testing.T, dir string) []string {
		return []string{"node", "-e", `
const net = require("net")
const listener = net.createServer(accepted => {
	accepted.setKeepAlive(false)
	console.log("ready")
}).listen(0, "127.0.0.1", () => net.connect(listener.address()).setKeepAlive(true, 999000))
process.stdin.resume().on("end", () => process.exit())`}
	}},
}

func pairC(name string, flags ...string) pair {
	return pair{name: name, needs: []string{"gcc"}, start: func(t *testing.T, dir string) []string {
		if slices.Contains(flags, "-m32") {
			requireMultilib(t)
		}
		pair := filepath.Join(dir, "pair")
		build(t, exec.Command("gcc", append(flags, "-Wall", "-o", pair, "testdata/pair.c", "-pthread")...))
		return []string{pair}
	}}
}

// requireMultilib skips the test if gcc has no C library for 32-bit programs.
func requireMultilib(t *testing.T) {
	path, err := exec.Command("gcc", "-m32", "-print-file-name=libc.so").Output()
	if err != nil || !filepath.IsAbs(string(path)) {
		programtest.Skip(t, "gcc-multilib is not installed")
	}
}

func hidden(p pair) pair {
	p.hidden = true
	return p
}

// requireVisible skips the test if /proc does not show hidden programs to others, see the option
// hidepid in proc(5).
func requireVisible(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	if strings.Contains(string(mounts), ",hidepid=") {
		programtest.Skip(t, "/proc is mounted with hidepid")
	}
}

func build(t *testing.T, cmd *exec.Cmd) {
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// silentServer returns the address of a server that answers nothing. It closes a connection when
// its peer does.
func silentServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// A user runs a program.
type user struct {
	name string
	id   uint32
}

var users = []user{{"root", 0}, {"nobody", 65534}}

// TestRunPairs: the sockets have the options, whatever system calls a program makes.
func TestRunPairs(t *testing.T) {
	programtest.NeedRoot(t)
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			if p.byHand && !*allPrograms {
				t.Skip("not selected: use the flag -programs")
			}
			requirePrograms(t, p.needs...)
			for _, u := range users {
				t.Run(u.name, func(t *testing.T) {
					if p.hidden && u.id != 0 {
						requireVisible(t)
					}
					dir := t.TempDir()
					makePublic(t, dir)
					require.NoError(t, os.Chown(dir, int(u.id), int(u.id)))
					args := p.start(t, dir)
					cmd := runCommand(t, u, append([]string{"--mechanism=seccomp", testOptions, "--"}, args...)...)
					for _, s := range socketsWhenReady(t, cmd, 1, 2) {
						assert.Equal(t, mustOptions(t, testOptions), s.options, s.String())
					}
				})
			}
		})
	}
}

// TestRunPrograms: the sockets of real programs have the options. TestRunInCgroup is the same for
// the mechanism cgroup.
func TestRunPrograms(t *testing.T) {
	programtest.NeedRoot(t)
	for _, p := range programtest.Programs {
		t.Run(p.Name, func(t *testing.T) {
			for _, u := range users {
				if p.NeedsRoot && u.id != 0 {
					continue
				}
				t.Run(u.name, func(t *testing.T) {
					started := startProgram(t, p, u.process(), keepaliveBinary(t), "run", "--mechanism=seccomp", testOptions)
					for _, s := range awaitSockets(t, started, 0, p.Connections) {
						assert.Equal(t, mustOptions(t, testOptions), s.options, s.String())
					}
				})
			}
		})
	}
}

// startProgram starts the processes of p until the test ends, and returns their IDs. The command
// executes each of them.
func startProgram(t *testing.T, p programtest.Program, process syscall.SysProcAttr, command ...string) (started []int) {
	p.Run(t, func(cmd *exec.Cmd) {
		if len(command) > 0 {
			path, err := exec.LookPath(command[0])
			require.NoError(t, err)
			cmd.Args = slices.Concat(command, []string{cmd.Path}, cmd.Args[1:])
			cmd.Path = path
		}
		cmd.SysProcAttr = &process
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		})
		started = append(started, cmd.Process.Pid)
	})
	return started
}

// socketsWhenReady starts cmd, waits until it writes "ready" and has that many TCP sockets, or more,
// and returns them.
func socketsWhenReady(t *testing.T, cmd *exec.Cmd, listeners, connections int) (sockets []foreignSocket) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		stdin.Close()
		defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
		assert.NoError(t, cmd.Wait())
		assert.NotContains(t, stderr.String(), "keepalive: ")
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the program ended too soon: %s", &stderr)
	require.Equal(t, "ready\n", line)
	return awaitSockets(t, []int{cmd.Process.Pid}, listeners, connections)
}

// awaitSockets waits until processes and their descendants have that many TCP sockets, or more, and
// returns all of them.
func awaitSockets(t *testing.T, pids []int, listeners, connections int) (sockets []foreignSocket) {
	deadline := time.Now().Add(time.Minute)
	for {
		sockets = socketsOf(t, withDescendants(t, pids...)...)
		if count(sockets, func(s foreignSocket) bool { return s.isListener }) >= listeners &&
			count(sockets, func(s foreignSocket) bool { return s.isConnected }) >= connections {
			return sockets
		}
		require.True(t, time.Now().Before(deadline), "not %d listeners and %d connections: %v", listeners, connections, sockets)
		time.Sleep(10 * time.Millisecond)
	}
}

func mustOptions(t *testing.T, text string) keepalive.Options {
	var o keepalive.Options
	require.NoError(t, o.UnmarshalText([]byte(text)))
	return o
}

func count[S ~[]E, E any](s S, f func(E) bool) int {
	n := 0
	for _, e := range s {
		if f(e) {
			n++
		}
	}
	return n
}

// process returns the attributes of a process of the user.
func (u user) process() syscall.SysProcAttr {
	return syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.id, Gid: u.id}}
}

// makePublic lets other users into a folder of this test.
func makePublic(t *testing.T, dir string) {
	for ; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
}

// runCommand returns a command keepalive run with args.
func runCommand(t *testing.T, u user, args ...string) *exec.Cmd {
	cmd := exec.Command(keepaliveBinary(t), append([]string{"run"}, args...)...)
	process := u.process()
	cmd.SysProcAttr = &process
	return cmd
}

// keepaliveBinary returns the path of the command, which every user can execute. It is built without
// -race, because programs with the race detector wait for a second before they end.
func keepaliveBinary(t *testing.T) string {
	path, err := buildOnce()
	require.NoError(t, err)
	return path
}

var buildOnce = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "keepalive")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "keepalive")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

// requirePrograms skips the test if a program is not installed.
func requirePrograms(t *testing.T, names ...string) {
	for _, name := range names {
		programtest.Need(t, name)
	}
}
