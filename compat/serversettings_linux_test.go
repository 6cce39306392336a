package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServerSettings starts servers with their defaults, and then with settings for keepalive. It
// compares the options of their connections with the table in docs/guide.md. The command keepalive
// reads them from outside.
func TestServerSettings(t *testing.T) {
	command := filepath.Join(t.TempDir(), "keepalive")
	out, err := exec.Command("go", "build", "-C", "../cmd/keepalive", "-o", command, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	guide, err := os.ReadFile("../docs/guide.md")
	require.NoError(t, err)
	rows := map[string][]string{} // program, defaults, settings, options with them
	for line := range strings.Lines(string(guide)) {
		if cells := strings.Split(strings.Trim(line, "| \n"), " | "); len(cells) == 4 {
			rows[cells[0]] = cells
		}
	}
	row := func(t *testing.T, name, settings string) []string {
		cells := rows[name]
		require.Len(t, cells, 4, "docs/guide.md has no row for %s", name)
		assert.Equal(t, cells[2], strings.ReplaceAll("`"+settings+"`", "\n", "`, `"))
		return cells
	}

	for _, c := range []struct {
		name     string
		server   server
		settings string
		args     []string
	}{
		{"Redis", redisServer, "tcp-keepalive 45", []string{"--tcp-keepalive", "45"}},
		{"PostgreSQL", postgresServer, "tcp_keepalives_idle=45\ntcp_keepalives_interval=5\ntcp_keepalives_count=3\ntcp_user_timeout=59500",
			[]string{"-c", "tcp_keepalives_idle=45", "-c", "tcp_keepalives_interval=5", "-c", "tcp_keepalives_count=3", "-c", "tcp_user_timeout=59500"}},
		{"MariaDB", mariadbServer, "tcp_keepalive_time=45\ntcp_keepalive_interval=5\ntcp_keepalive_probes=3",
			[]string{"--tcp-keepalive-time=45", "--tcp-keepalive-interval=5", "--tcp-keepalive-probes=3"}},
		{"sshd", sshdServer, "TCPKeepAlive no", []string{"-o", "TCPKeepAlive=no"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cells := row(t, c.name, c.settings)
			configured := c.server
			configured.args = func(i *instance) []string { return append(c.server.args(i), c.args...) }
			checkServer(t, command, c.server, cells[1])
			checkServer(t, command, configured, cells[3])
		})
	}
	for name, s := range map[string]server{"memcached": memcachedServer, "etcd": etcdServer, "NATS": natsServer, "RabbitMQ": rabbitServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, rows[name], 4)
			checkServer(t, command, s, rows[name][1])
		})
	}
	for _, c := range []struct {
		name             string
		server           func(backend net.Addr, clients, servers string) server
		send             string // which the proxy sends to its server
		clients, servers string // settings
	}{
		{"nginx", nginxServer, "GET / HTTP/1.0\r\n\r\n", "so_keepalive=45s:5s:3", "proxy_socket_keepalive on"},
		{"HAProxy", haproxyServer, "hello\n", "option clitcpka\nclitcpka-idle 45s\nclitcpka-intvl 5s\nclitcpka-cnt 3",
			"option srvtcpka\nsrvtcpka-idle 45s\nsrvtcpka-intvl 5s\nsrvtcpka-cnt 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clients, servers := row(t, c.name+", to its clients", c.clients), row(t, c.name+", to its servers", c.servers)
			checkProxy(t, command, func(backend net.Addr) server { return c.server(backend, "", "") }, c.send, clients[1], servers[1])
			checkProxy(t, command, func(backend net.Addr) server { return c.server(backend, c.clients, c.servers) }, c.send, clients[3], servers[3])
		})
	}
}

// checkServer starts a server, and checks the options of a connection that it accepts.
func checkServer(t *testing.T, command string, s server, want string) {
	conn, err := net.Dial("tcp", s.start(t))
	require.NoError(t, err)
	defer conn.Close()
	checkOptions(t, command, conn.LocalAddr(), want)
}

// checkProxy starts a proxy, and checks the options of its connections to a client and to a server.
func checkProxy(t *testing.T, command string, proxy func(backend net.Addr) server, send, clients, servers string) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer backend.Close()
	conn, err := net.Dial("tcp", proxy(backend.Addr()).start(t))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, send)
	require.NoError(t, err)
	checkOptions(t, command, conn.LocalAddr(), clients)
	checkOptions(t, command, backend.Addr(), servers)
}

// checkOptions waits until the connection with a remote address has the options that the guide has,
// because some servers set them after they have accepted the connection.
func checkOptions(t *testing.T, command string, remote net.Addr, want string) {
	_, port, err := net.SplitHostPort(remote.String())
	require.NoError(t, err)
	got := "no connection"
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var list, stderr bytes.Buffer
		cmd := exec.Command(command, "list", "-o", "json", "--state", "established", "--port", port)
		cmd.Stdout, cmd.Stderr = &list, &stderr
		require.NoError(t, cmd.Run(), "%s", &stderr)
		for d := json.NewDecoder(&list); d.More(); {
			var s struct{ Remote, Options string }
			require.NoError(t, d.Decode(&s))
			if s.Remote == remote.String() && s.Options != "" {
				got = "`" + strings.TrimSuffix(s.Options, ",user-timeout=off") + "`"
				if strings.HasPrefix(s.Options, "off,") {
					got = "off"
				}
			}
		}
		if got == want {
			return
		}
	}
	assert.Equal(t, want, got)
}

var sshdServer = server{
	pkg:  "openssh-server",
	find: "/usr/sbin/sshd",
	setup: func(t testing.TB, i *instance) {
		keygen, out := i.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
		require.NoError(t, keygen.Run(), "%s", out)
	},
	args: func(i *instance) []string {
		return []string{"-D", "-e", "-f", "/dev/null", "-h", filepath.Join(i.dir, "key"), "-p", i.port,
			"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no"}
	},
}

func nginxServer(backend net.Addr, clients, servers string) server {
	if servers != "" {
		servers += ";"
	}
	return server{
		pkg:  "nginx",
		find: "/usr/sbin/nginx",
		// It sets the options of its listener after listen(2). A connection before that has none of them.
		ready: "start worker process",
		setup: func(t testing.TB, i *instance) {
			var paths strings.Builder
			for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				fmt.Fprintf(&paths, "%s_temp_path %s/%s;\n", name, i.dir, name)
			}
			require.NoError(t, os.WriteFile(filepath.Join(i.dir, "nginx.conf"), fmt.Appendf(nil, `
daemon off; pid %s/pid; error_log stderr notice;
events {}
http {
	access_log off;
	%s
	server {
		listen 127.0.0.1:%s %s;
		location / { proxy_pass http://%s; %s }
	}
}`, i.dir, &paths, i.port, clients, backend, servers), 0o644))
		},
		args: func(i *instance) []string {
			return []string{"-p", i.dir, "-e", "stderr", "-c", filepath.Join(i.dir, "nginx.conf")}
		},
	}
}

func haproxyServer(backend net.Addr, clients, servers string) server {
	return server{
		pkg:  "haproxy",
		find: "/usr/sbin/haproxy",
		setup: func(t testing.TB, i *instance) {
			require.NoError(t, os.WriteFile(filepath.Join(i.dir, "haproxy.cfg"), fmt.Appendf(nil, `
defaults
	mode tcp
	timeout connect 1m
	timeout client 1h
	timeout server 1h
frontend in
	bind 127.0.0.1:%s
	%s
	default_backend out
backend out
	server one %s
	%s
`, i.port, strings.ReplaceAll(clients, "\n", "\n\t"), backend, strings.ReplaceAll(servers, "\n", "\n\t")), 0o644))
		},
		args: func(i *instance) []string { return []string{"-db", "-f", "haproxy.cfg"} },
	}
}
