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

// A program is run by keepalive run.
type program struct {
	name string
	// needs are programs that must be installed.
	needs []string
	// byHand says that only the flag -programs tests it.
	byHand bool
	// start returns the command. It writes "ready" when it works, and ends with its input. dir is
	// a folder of the user who runs it.
	start func(t *testing.T, dir string) []string
	// hidden says that only root can look into it.
	hidden bool
	// noRoot says that root cannot run it.
	noRoot bool
	// listeners and connections are the numbers of sockets that it has soon, or more.
	listeners, connections int
}

var programs = []program{
	pairC("C"),
	pairC("C, static", "-static"),
	pairC("C, 32 bits", "-m32"),
	pairC("C, socketcall", "-m32", "-DSOCKETCALL"),
	pairC("C, raw system calls", "-DRAW"),
	pairC("C, fast open", "-DFASTOPEN"),
	hidden(pairC("C, not dumpable", "-DNOT_DUMPABLE")),
	pairC("C, double fork and thread", "-DDOUBLE_FORK"),
	pairGo("Go", "amd64"),
	pairGo("Go, 32 bits", "386"),
	{name: "Python", needs: []string{"python3"}, listeners: 1, connections: 2, start: func(t *testing.T, dir string) []string {
		return []string{"python3", "-c", `
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
dialed = socket.create_connection(listener.getsockname())
accepted = listener.accept()[0]
for s in listener, dialed, accepted:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 999)
print("ready", flush=True)
sys.stdin.read()`}
	}},
	{name: "Java", needs: []string{"java"}, byHand: true, listeners: 1, connections: 2, start: func(t *testing.T, dir string) []string {
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
	{name: "Node", needs: []string{"node"}, byHand: true, listeners: 1, connections: 2, start: func(t *testing.T, dir string) []string {
		return []string{"node", "-e", `
const net = require("net")
const listener = net.createServer(accepted => {
	accepted.setKeepAlive(false)
	console.log("ready")
}).listen(0, "127.0.0.1", () => net.connect(listener.address()).setKeepAlive(true, 999000))
process.stdin.resume().on("end", () => process.exit())`}
	}},
	{name: "curl", needs: []string{"curl"}, connections: 1, start: func(t *testing.T, dir string) []string {
		return []string{"sh", "-c", "curl -s --keepalive-time 99 http://" + silentServer(t) + " & echo ready; read line; kill $!"}
	}},
	{name: "Redis with a replica", needs: []string{"redis-server", "redis-cli"}, listeners: 2, connections: 2,
		start: func(t *testing.T, dir string) []string {
			server := `redis-server --bind 127.0.0.1 --save "" --repl-diskless-sync-delay 0 --logfile "" --dir ` + dir
			first, second := freePort(t), freePort(t)
			return []string{"sh", "-c", fmt.Sprintf(`%s --port %s >/dev/null & first=$!
				%[1]s --port %[3]s --replicaof 127.0.0.1 %[2]s >/dev/null & second=$!
				until redis-cli -p %[3]s info replication | grep -q master_link_status:up; do sleep 0.05; done
				echo ready; read line; kill $first $second; wait`, server, first, second)}
		}},
	{name: "nginx with workers", needs: []string{"nginx", "curl"}, listeners: 3, connections: 3, start: func(t *testing.T, dir string) []string {
		address := "127.0.0.1:" + freePort(t)
		conf := filepath.Join(dir, "nginx.conf")
		require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `
			daemon off; worker_processes 2; pid %[1]s/pid; error_log %[1]s/error.log;
			events {}
			http {
				access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s;
				fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
				server { listen %s; location / { proxy_pass http://%s; } }
			}`, dir, address, silentServer(t)), 0o644))
		return proxy("nginx -e "+dir+"/error.log -c "+conf, address)
	}},
	{name: "HAProxy", needs: []string{"haproxy", "curl"}, listeners: 1, connections: 3, start: func(t *testing.T, dir string) []string {
		address := "127.0.0.1:" + freePort(t)
		conf := filepath.Join(dir, "haproxy.conf")
		require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `
defaults
	mode http
	timeout connect 1m
	timeout client 1m
	timeout server 1m
listen proxy
	bind %s
	option clitcpka
	option srvtcpka
	server silent %s
`, address, silentServer(t)), 0o644))
		return proxy("haproxy -W -f "+conf, address)
	}},
	{name: "PostgreSQL with backends", needs: []string{"psql"}, noRoot: true, listeners: 1, connections: 4, start: func(t *testing.T, dir string) []string {
		return []string{"sh", "-c", fmt.Sprintf(`set -e; cd %s; PATH=$PATH:$(echo /usr/lib/postgresql/*/bin); port=%s; connect="psql -q -h 127.0.0.1 -p $port -U postgres"
			initdb -U postgres -D data >/dev/null
			postgres -D data -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= 2>/dev/null & server=$!
			until $connect -c "" 2>/dev/null; do sleep 0.1; done
			$connect -c 'SELECT pg_sleep(100)' 2>/dev/null & $connect -c 'SELECT pg_sleep(100)' 2>/dev/null &
			echo ready; read line || :; kill -INT $server; wait $server`, dir, freePort(t))}
	}},
}

// proxy returns a command that runs a proxy and connects to it. The server behind the proxy is
// silent, so that the connections stay open.
func proxy(command, address string) []string {
	return []string{"sh", "-c", fmt.Sprintf(`%s & proxy=$!
		(until curl -s http://%s >/dev/null; do sleep 0.05; done) & client=$!
		echo ready; read line; kill $client $proxy; wait $proxy || [ $? = 143 ] # SIGTERM`, command, address)}
}

func pairC(name string, flags ...string) program {
	return program{name: name, needs: []string{"gcc"}, listeners: 1, connections: 2, start: func(t *testing.T, dir string) []string {
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

func hidden(p program) program {
	p.hidden = true
	return p
}

// requireVisible skips the test if /proc does not show hidden programs to others, see the option
// hidepid in proc(5).
func requireVisible(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	if strings.Contains(string(mounts), ",hidepid=") {
		t.Skip("not supported here: /proc is mounted with hidepid")
	}
}

func pairGo(name, goarch string) program {
	return program{name: name, listeners: 1, connections: 2, start: func(t *testing.T, dir string) []string {
		pair := filepath.Join(dir, "pair")
		cmd := exec.Command("go", "build", "-o", pair, "testdata/pair.go")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
		build(t, cmd)
		return []string{pair}
	}}
}

func build(t *testing.T, cmd *exec.Cmd) {
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
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

func TestRunPrograms(t *testing.T) {
	programtest.NeedRoot(t)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if p.byHand && !*allPrograms {
				t.Skip("not selected: use the flag -programs")
			}
			requirePrograms(t, p.needs...)
			for _, u := range users {
				if u.id == 0 && p.noRoot {
					continue
				}
				t.Run(u.name, func(t *testing.T) {
					if p.hidden && u.id != 0 {
						requireVisible(t)
					}
					testProgram(t, &p, u)
				})
			}
		})
	}
}

func testProgram(t *testing.T, p *program, u user) {
	dir := t.TempDir()
	makePublic(t, dir)
	require.NoError(t, os.Chown(dir, int(u.id), int(u.id)))
	args := p.start(t, dir)

	cmd := runCommand(t, u, append([]string{"--mechanism=seccomp", testOptions, "--"}, args...)...)
	for _, s := range socketsWhenReady(t, cmd, p.listeners, p.connections) {
		assert.Equal(t, mustOptions(t, testOptions), s.options, s.String())
	}
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
	deadline := time.Now().Add(time.Minute)
	for {
		sockets = socketsOf(t, cmd.Process.Pid)
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

// makePublic lets other users into a folder of this test.
func makePublic(t *testing.T, dir string) {
	for ; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
}

// runCommand returns a command keepalive run with args.
func runCommand(t *testing.T, u user, args ...string) *exec.Cmd {
	cmd := exec.Command(keepaliveBinary(t), append([]string{"run"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.id, Gid: u.id}}
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
