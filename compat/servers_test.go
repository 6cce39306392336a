package compat

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server is a program that a test starts in a folder of its own.
type server struct {
	pkg   string                          // the Debian package
	find  string                          // the program, or a pattern of paths
	ready string                          // what it writes when it accepts connections, or "" if it writes nothing
	setup func(t testing.TB, s *instance) // what to do before the start
	args  func(s *instance) []string
	env   func(s *instance) []string
}

// An instance is one run of a server.
type instance struct {
	program, dir, port string
	other, third       string // free ports
	attr               *syscall.SysProcAttr
}

// startTime is far more than a server needs to start on a busy machine.
const startTime = 90 * time.Second

// start runs the server until the test ends, and returns its address.
func (s server) start(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath(s.find)
	if err != nil {
		found, _ := filepath.Glob(s.find)
		if len(found) == 0 {
			const text = "not supported here: the server is not installed (apt-get install %s)"
			if os.Getenv("CI") == "true" {
				t.Fatalf(text, s.pkg)
			}
			t.Skipf(text, s.pkg)
		}
		program = slices.Max(found)
	}
	for range 3 { // another process can take a free port before the server does
		dir, err := os.MkdirTemp("", "compat-") // another user cannot enter t.TempDir
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		i := &instance{program: program, dir: dir, attr: unprivileged(t, dir)}
		i.port, i.other, i.third = freePorts(t)
		if s.setup != nil {
			s.setup(t, i)
		}
		if err = i.run(t, s); err == nil {
			return net.JoinHostPort("127.0.0.1", i.port)
		}
		t.Log(err)
	}
	t.Fatalf("%s did not start in three attempts", s.pkg)
	return ""
}

// start starts a server for all runs, and lets r.addr lead to it.
func (r *run) start(s server) { r.setServer(r.once(s.pkg, s.start)) }

// command returns a command that runs in the folder, as the user of the server.
func (i *instance) command(program string, args ...string) (*exec.Cmd, *output) {
	cmd := exec.Command(program, args...)
	cmd.Dir = i.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+i.dir, "TMPDIR="+i.dir)
	cmd.SysProcAttr = i.attr
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = patience
	return cmd, out
}

// background starts a command, and ends it and its children after the test.
func background(t testing.TB, cmd *exec.Cmd) (exited chan struct{}) {
	require.NoError(t, cmd.Start())
	exited = make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		killGroup(cmd.Process)
		<-exited
	})
	return exited
}

// run starts the server and waits until it accepts connections.
func (i *instance) run(t testing.TB, s server) error {
	cmd, out := i.command(i.program, s.args(i)...)
	if s.env != nil {
		cmd.Env = append(cmd.Env, s.env(i)...)
	}
	exited := background(t, cmd)
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-exited:
			return fmt.Errorf("%s: %v\n%s", i.program, cmd.ProcessState, out)
		default:
		}
		if !strings.Contains(out.String(), s.ready) {
			continue
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", i.port))
		if err == nil {
			conn.Close()
			return nil
		}
	}
	return fmt.Errorf("%s was not ready after %v\n%s", i.program, startTime, out)
}

// freePorts returns three ports that no process listens on.
func freePorts(t testing.TB) (string, string, string) {
	var ports [3]string
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		ports[i] = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	}
	return ports[0], ports[1], ports[2]
}

// output keeps what a server writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var postgresServer = server{
	pkg:   "postgresql",
	find:  "/usr/lib/postgresql/*/bin/postgres",
	ready: "ready to accept connections",
	setup: func(t testing.TB, i *instance) {
		initdb, out := i.command(filepath.Join(filepath.Dir(i.program), "initdb"), "--pgdata=data", "--username=postgres",
			"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
		require.NoError(t, initdb.Run(), "%s", out)
	},
	args: func(i *instance) []string {
		return []string{"-D", "data", "-p", i.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"}
	},
}

var redisServer = server{
	pkg:   "redis-server",
	find:  "redis-server",
	ready: "Ready to accept connections",
	args: func(i *instance) []string {
		return []string{"--bind", "127.0.0.1", "--port", i.port, "--save", "", "--dir", i.dir}
	},
}

// mariadbServer has no tables for its users, so that it accepts every one, and starts in two
// seconds.
var mariadbServer = server{
	pkg:   "mariadb-server-core",
	find:  "/usr/sbin/mariadbd",
	ready: "ready for connections",
	setup: func(t testing.TB, i *instance) {
		mkdir, out := i.command("mkdir", "data")
		require.NoError(t, mkdir.Run(), "%s", out)
	},
	args: func(i *instance) []string {
		return []string{"--no-defaults", "--skip-grant-tables", "--datadir=" + filepath.Join(i.dir, "data"), "--bind-address=127.0.0.1", "--port=" + i.port,
			"--socket=" + filepath.Join(i.dir, "socket"), "--pid-file=" + filepath.Join(i.dir, "pid"), "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"}
	},
}

var memcachedServer = server{
	pkg:  "memcached",
	find: "memcached",
	args: func(i *instance) []string { return []string{"-l", "127.0.0.1", "-p", i.port, "-U", "0"} },
}

var natsServer = server{
	pkg:   "nats-server",
	find:  "nats-server",
	ready: "Server is ready",
	args:  func(i *instance) []string { return []string{"-a", "127.0.0.1", "-p", i.port} },
}

var etcdServer = server{
	pkg:   "etcd-server",
	find:  "etcd",
	ready: "ready to serve client requests",
	args: func(i *instance) []string {
		client, peer := "http://127.0.0.1:"+i.port, "http://127.0.0.1:"+i.other
		return []string{"--data-dir=data", "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer, "--unsafe-no-fsync"}
	},
}

// rabbitServer runs without systemd, and with a name server (epmd) of its own.
var rabbitServer = server{
	pkg:   "rabbitmq-server",
	find:  "/usr/lib/rabbitmq/bin/rabbitmq-server",
	ready: "Server startup complete",
	setup: func(t testing.TB, i *instance) {
		epmd, _ := i.command("epmd", "-port", i.other, "-address", "127.0.0.1")
		background(t, epmd)
	},
	env: func(i *instance) []string {
		return []string{
			"ERL_EPMD_PORT=" + i.other, "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_NODENAME=compat" + i.port + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + i.port, "RABBITMQ_DIST_PORT=" + i.third,
			"RABBITMQ_MNESIA_BASE=" + i.dir, "RABBITMQ_LOG_BASE=" + i.dir, "RABBITMQ_LOGS=-", "RABBITMQ_GENERATED_CONFIG_DIR=" + i.dir,
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(i.dir, "plugins"), "RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_CONFIG_FILE=" + filepath.Join(i.dir, "config"),
			"RUNNING_UNDER_SYSTEMD=true", // so that the script becomes the server
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
		}
	},
	args: func(*instance) []string { return nil },
}
