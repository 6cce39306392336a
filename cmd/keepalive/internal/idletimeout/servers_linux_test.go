package idletimeout

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr(t testing.TB) (addr, port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return listener.Addr().String(), port
}

// folder is a temporary folder that every user can enter.
func folder(t testing.TB) string {
	dir, err := os.MkdirTemp("", "keepalive-path-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// start starts a server until the test ends, and waits until it accepts connections.
func start(t testing.TB, addr string, cmd *exec.Cmd) {
	var log syncBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // a server with workers
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-exited
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("%v has ended: %s", cmd.Args, log.String())
		default:
			require.True(t, time.Now().Before(deadline), "%v: %v: %s", cmd.Args, err, log.String())
		}
	}
}

func measureServer(t testing.TB, config Config) Result {
	config.Limits = Limits{Max: time.Minute, Connections: 32}
	r, err := Measure(t.Context(), config)
	require.NoError(t, err)
	t.Logf("%+v, closed: %+v", r, r.Closed)
	return r
}

// checkClosed checks that the server has closed connections after that time.
func checkClosed(t testing.TB, r Result, after time.Duration) {
	assert.Equal(t, ServerCloses, r.Verdict)
	if assert.NotNil(t, r.Closed) {
		assert.InDelta(t, after.Seconds(), r.Closed.After.Seconds(), 0.5)
		assert.False(t, r.Closed.Reset)
	}
	assert.Greater(t, r.Lower, after/2)
	assert.Zero(t, r.Upper)
}

// startHAProxy starts HAProxy with a timeout of 5s for clients, and returns its address.
func startHAProxy(t testing.TB, mode string) string {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { backend.Close() })
	go acceptAll(backend, 0)
	addr, _ := freeAddr(t)
	file := filepath.Join(folder(t), "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
defaults
  mode %s
  timeout connect 1m
  timeout server 1m
  timeout client 5s
listen test
  bind %s
  server backend %s
`, mode, addr, backend.Addr()), 0o600))
	start(t, addr, exec.Command(needProgram(t, "haproxy"), "-db", "-f", file))
	return addr
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"tcp", "http"} {
		t.Run(mode, realtime.Test(func(t testing.TB) {
			r := measureServer(t, Config{Address: startHAProxy(t, mode)})
			checkClosed(t, r, 5*time.Second)
			if mode == "http" && r.Closed != nil {
				assert.Contains(t, r.Closed.Text, "408 Request Time-out")
			}
		}))
	}
}

// TestHAProxyCountsData: keepalive probes do not keep a connection open through a proxy that closes
// it after a time without data.
func TestHAProxyCountsData(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		conn, err := net.Dial("tcp", startHAProxy(t, "tcp"))
		require.NoError(t, err)
		defer conn.Close()
		start := time.Now()
		require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 3}))
		answered := 0
		for err == nil {
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(250*time.Millisecond)))
			_, err = conn.Read(make([]byte, 1))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				var info keepalive.Info
				info, err = keepalive.Inspect(conn)
				require.NoError(t, err)
				require.Less(t, time.Since(start), time.Minute)
				if time.Since(start) > 2*time.Second && info.Silence < time.Second/2 {
					answered++ // only the answer to a probe can have arrived
				}
			}
		}
		require.ErrorIs(t, err, io.EOF)
		t.Logf("closed after %.2fs, although probes were answered", time.Since(start).Seconds())
		assert.NotZero(t, answered)
		assert.InDelta(t, 5, time.Since(start).Seconds(), 0.5)
	})(t)
}

func TestNginx(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send    string
		timeout time.Duration
	}{
		"client_header_timeout": {"", 6 * time.Second},
		"keepalive_timeout":     {"GET / HTTP/1.1\r\nHost: test\r\n\r\n", 4 * time.Second},
	} {
		t.Run(name, realtime.Test(func(t testing.TB) {
			addr, _ := freeAddr(t)
			dir := folder(t)
			file := filepath.Join(dir, "nginx.conf")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
daemon off;
master_process off;
pid %[2]s/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_header_timeout 6s;
  keepalive_timeout 4s;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server {
    listen %[1]s;
    location / { return 200 "hello\n"; }
  }
}
`, addr, dir), 0o600))
			start(t, addr, exec.Command(needProgram(t, "nginx"), "-e", "stderr", "-c", file))
			checkClosed(t, measureServer(t, Config{Address: addr, Send: []byte(test.send)}), test.timeout)
		}))
	}
}

func TestSSHServer(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		programtest.NeedRoot(t)
		addr, port := freeAddr(t)
		key := filepath.Join(folder(t), "key")
		sshd := needProgram(t, "sshd")
		command(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755))
		start(t, addr, exec.Command(sshd, "-D", "-e", "-f", "/dev/null", "-h", key, "-p", port,
			"-o", "ListenAddress=127.0.0.1", "-o", "LoginGraceTime=6", "-o", "PidFile=none", "-o", "UsePAM=no"))
		// More than MaxStartups, so that it refuses some connections.
		checkClosed(t, measureServer(t, Config{Address: addr}), 6*time.Second)
	})(t)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"--tcp-keepalive", "--timeout"} {
		t.Run(option, realtime.Test(func(t testing.TB) {
			addr, port := freeAddr(t)
			value := "3"
			if option == "--timeout" { // which is checked every second or two
				value = "8"
			}
			start(t, addr, exec.Command(needProgram(t, "redis-server"), "--bind", "127.0.0.1", "--port", port,
				"--save", "", "--dir", folder(t), option, value))
			r := measureServer(t, Config{Address: addr})
			if option == "--timeout" {
				assert.Equal(t, ServerCloses, r.Verdict)
				if assert.NotNil(t, r.Closed) {
					assert.InDelta(t, 9, r.Closed.After.Seconds(), 1.5)
				}
				assert.False(t, r.Reopened)
				return
			}
			assert.Equal(t, ServerProbes, r.Verdict)
			assert.InDelta(t, 3, r.Every.Seconds(), 0.5)
			assert.False(t, r.Data)
		}))
	}
}

func TestPostgreSQL(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		addr, port := freeAddr(t)
		bin := filepath.Dir(programtest.Need(t, "/usr/lib/postgresql/*/bin/initdb"))
		dir := folder(t)
		var attr syscall.SysProcAttr
		if os.Getuid() == 0 { // which PostgreSQL refuses
			u, err := user.Lookup("postgres")
			require.NoError(t, err)
			uid, err := strconv.Atoi(u.Uid)
			require.NoError(t, err)
			gid, err := strconv.Atoi(u.Gid)
			require.NoError(t, err)
			require.NoError(t, os.Chown(dir, uid, gid))
			attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
		data := filepath.Join(dir, "data")
		initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--auth=trust", "--locale=C", "--no-sync")
		initdb.Dir, initdb.SysProcAttr = dir, &attr
		out, err := initdb.CombinedOutput()
		require.NoError(t, err, "%s", out)
		postgres := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "authentication_timeout=6s")
		postgres.Dir, postgres.SysProcAttr = dir, &attr
		start(t, addr, postgres)
		checkClosed(t, measureServer(t, Config{Address: addr}), 6*time.Second)
	})(t)
}
