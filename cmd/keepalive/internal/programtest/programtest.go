//go:build linux

// Package programtest runs real programs in tests.
package programtest

import (
	"bufio"
	"embed"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Program opens and accepts TCP connections.
type Program struct {
	Name string

	// Bits32 reports whether the program makes 32-bit system calls.
	Bits32 bool

	// NeedsRoot reports whether only root can run the program.
	NeedsRoot bool

	// Connections is how many connections its processes have. One between two of them counts twice.
	Connections int

	// Run starts the program's processes with start, and returns when they have all connections.
	// The user of start need not be the one of the test.
	Run func(t *testing.T, start func(*exec.Cmd))
}

// Programs are compiled and interpreted programs, clients and servers. Most of them choose
// settings of their own.
var Programs = []Program{
	{Name: "C", Connections: 2, Run: c()},
	{Name: "C static", Connections: 2, Run: c("-static")},
	{Name: "C static raw", Connections: 2, Run: c("-static", "-DRAW")},
	{Name: "Go", Connections: 2, Run: golang("amd64")},
	{Name: "Go 386", Bits32: true, Connections: 2, Run: golang("386")},
	{Name: "python", Connections: 2, Run: python},
	{Name: "curl", Connections: 1, Run: curl},
	{Name: "redis", Connections: 4, Run: redis},
	{Name: "nginx", Connections: 2, Run: nginx},
	{Name: "haproxy", Connections: 2, Run: haproxy},
	{Name: "PostgreSQL", NeedsRoot: true, Connections: 1, Run: postgres},
}

// timeout is for events that take milliseconds on an idle machine.
const timeout = 30 * time.Second

//go:embed testdata
var testdata embed.FS

// Skip skips the test, because this machine lacks something. In CI, which has everything, it fails
// the test.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("not supported here: "+format, args...)
	}
	t.Skipf("not supported here: "+format, args...)
}

// NeedRoot skips the test if the user is not root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "this test needs root")
	}
}

// Need returns the path of the first of these programs that is installed. A name can be a path, also
// with wildcards. If none is installed, Need skips the test.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if found, _ := filepath.Glob(name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	Skip(t, "%s is not installed", names[0])
	return ""
}

// folder returns a new folder that all users can write to.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "programtest") // t.TempDir is not accessible for others
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

func source(t *testing.T, name string) string {
	text, err := testdata.ReadFile("testdata/" + name)
	require.NoError(t, err)
	path := filepath.Join(folder(t), name)
	require.NoError(t, os.WriteFile(path, text, 0o644))
	return path
}

func compile(t *testing.T, cmd *exec.Cmd) {
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
}

func c(flags ...string) func(*testing.T, func(*exec.Cmd)) {
	return func(t *testing.T, start func(*exec.Cmd)) {
		binary := filepath.Join(folder(t), "conn")
		compile(t, exec.Command(Need(t, "gcc"), append(flags, "-o", binary, source(t, "conn.c"))...))
		conn(t, start, binary)
	}
}

func golang(arch string) func(*testing.T, func(*exec.Cmd)) {
	return func(t *testing.T, start func(*exec.Cmd)) {
		binary := filepath.Join(folder(t), "conn")
		cmd := exec.Command(Need(t, "go"), "build", "-o", binary, source(t, "conn.go"))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch, "GOFLAGS=")
		compile(t, cmd)
		conn(t, start, binary)
	}
}

func python(t *testing.T, start func(*exec.Cmd)) {
	conn(t, start, Need(t, "/usr/bin/python3", "python3"), source(t, "conn.py"))
}

// conn runs one of the programs conn.
func conn(t *testing.T, start func(*exec.Cmd), args ...string) {
	peer := listen(t, "127.0.0.1:0")
	host, port, _ := net.SplitHostPort(peer.Addr().String())
	cmd := exec.Command(args[0], append(args[1:], host, port)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { stdin.Close() })
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	start(cmd)
	accept(t, peer)
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the program has ended")
	dial(t, net.JoinHostPort(host, lines.Text()))
	require.True(t, lines.Scan(), "the program has ended")
	require.Equal(t, "ready", lines.Text())
}

func curl(t *testing.T, start func(*exec.Cmd)) {
	server := listen(t, "127.0.0.1:0")
	start(exec.Command(Need(t, "curl"), "-s", "http://"+server.Addr().String()))
	readUntil(t, accept(t, server), "\r\n\r\n")
}

func redis(t *testing.T, start func(*exec.Cmd)) {
	server := Need(t, "redis-server")
	address, port := newAddress(), "6379"
	args := []string{"--bind", address, "--save", "", "--dir", folder(t), "--loglevel", "warning", "--repl-diskless-sync-delay", "0", "--protected-mode", "no"}
	start(exec.Command(server, append(args, "--port", port)...))
	client := dialWhenReady(t, net.JoinHostPort(address, port))
	start(exec.Command(server, append(args, "--port", "6380", "--replicaof", address+" "+port)...))
	replica := dialWhenReady(t, net.JoinHostPort(address, "6380"))
	fmt.Fprintf(client, "SET key value\r\nWAIT 1 %d\r\n", timeout.Milliseconds())
	readUntil(t, client, "+OK\r\n:1\r\n")
	fmt.Fprint(replica, "GET key\r\n")
	readUntil(t, replica, "value\r\n")
}

func nginx(t *testing.T, start func(*exec.Cmd)) {
	server := Need(t, "nginx", "/usr/sbin/nginx")
	backend := listen(t, "127.0.0.1:0")
	address, dir := newAddress()+":8080", folder(t)
	var paths strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
daemon off; worker_processes 2; pid %s/pid; error_log stderr;
events {}
http {
	access_log off;
	%s
	server {
		listen %s so_keepalive=200s:20s:8;
		location / { proxy_pass http://%s; proxy_socket_keepalive on; }
	}
}`, dir, &paths, address, backend.Addr()), 0o644))
	start(exec.Command(server, "-c", config, "-p", dir, "-e", "stderr"))
	client := dialWhenReady(t, address)
	fmt.Fprint(client, "GET / HTTP/1.0\r\n\r\n")
	readUntil(t, accept(t, backend), "\r\n\r\n")
}

func haproxy(t *testing.T, start func(*exec.Cmd)) {
	server := Need(t, "haproxy", "/usr/sbin/haproxy")
	backend := listen(t, "127.0.0.1:0")
	address, config := newAddress()+":8080", filepath.Join(folder(t), "haproxy.cfg")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
defaults
	mode tcp
	timeout connect 30s
	timeout client 1h
	timeout server 1h
	option clitcpka
	option srvtcpka
frontend in
	bind %s
	default_backend out
backend out
	server one %s
`, address, backend.Addr()), 0o644))
	start(exec.Command(server, "-W", "-f", config))
	client := dialWhenReady(t, address)
	fmt.Fprint(client, "hello\n")
	readUntil(t, accept(t, backend), "hello\n")
}

// postgres runs as the user postgres or nobody, because PostgreSQL refuses to run as root.
func postgres(t *testing.T, start func(*exec.Cmd)) {
	server, initdb := Need(t, "/usr/lib/postgresql/*/bin/postgres"), Need(t, "/usr/lib/postgresql/*/bin/initdb")
	account := "postgres"
	if _, err := user.Lookup(account); err != nil {
		account = "nobody"
	}
	owner, err := user.Lookup(account)
	require.NoError(t, err)
	dir := folder(t)
	as := func(args ...string) *exec.Cmd {
		cmd := exec.Command("setpriv", append([]string{"--reuid=" + owner.Uid, "--regid=" + owner.Gid, "--clear-groups"}, args...)...)
		cmd.Dir = dir
		return cmd
	}
	compile(t, as(initdb, "-D", dir+"/data", "-U", "test", "-A", "trust", "-N", "--no-locale"))
	address, port := newAddress(), "5432"
	start(as(server, "-D", dir+"/data", "-h", address, "-p", port, "-k", "", "-F", "-c", "tcp_keepalives_idle=200", "-c", "log_min_messages=fatal"))
	// Until the database is ready, it closes connections with an error.
	deadline := time.Now().Add(timeout)
	for {
		client := dialWhenReady(t, net.JoinHostPort(address, port))
		parameters := "user\x00test\x00database\x00postgres\x00\x00"
		startup := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
		startup = binary.BigEndian.AppendUint32(startup, 3<<16) // version 3.0
		_, err := client.Write(append(startup, parameters...))
		require.NoError(t, err)
		ready := make([]byte, 1<<16)
		n := 0
		for err == nil && !strings.HasSuffix(string(ready[:n]), "Z\x00\x00\x00\x05I") {
			var m int
			m, err = client.Read(ready[n:])
			n += m
		}
		if err == nil {
			return
		}
		client.Close()
		require.True(t, time.Now().Before(deadline), "PostgreSQL is not ready: %v, %q", err, ready[:n])
		time.Sleep(10 * time.Millisecond)
	}
}

// newAddress returns a loopback address of this process, on which all ports are free.
func newAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+addresses.Add(1)%250, pid>>8&0xff, pid&0xff)
}

var addresses atomic.Uint32

func listen(t *testing.T, address string) net.Listener {
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t *testing.T, l net.Listener) net.Conn {
	require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(timeout)))
	conn, err := l.Accept()
	require.NoError(t, err)
	return use(t, conn)
}

func dial(t *testing.T, address string) net.Conn {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	return use(t, conn)
}

// dialWhenReady dials until a server listens.
func dialWhenReady(t *testing.T, address string) net.Conn {
	deadline := time.Now().Add(timeout)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return use(t, conn)
		}
		require.True(t, time.Now().Before(deadline), "%v", err)
		time.Sleep(10 * time.Millisecond)
	}
}

func use(t *testing.T, conn net.Conn) net.Conn {
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(timeout)))
	return conn
}

func readUntil(t *testing.T, r io.Reader, end string) {
	var got []byte
	buf := make([]byte, 4096)
	for !strings.HasSuffix(string(got), end) {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		require.NoError(t, err, "after %q", got)
	}
}
