// Package servers starts real servers for the tests: on loopback, with a fresh
// directory and a free port, until the test ends.
package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/selfsigned"
)

// patience is far more than a server needs to start or to stop.
const patience = time.Minute

// Postgres starts PostgreSQL. It returns a URL without parameters, and the file
// that holds the certificate: the server speaks TLS to who asks for it.
func Postgres(t testing.TB) (url, certFile string) {
	t.Helper()
	bin := postgresBin(t)
	dir := tempDir(t)
	data := filepath.Join(dir, "data")
	certFile, keyFile, _ := certificate(t, dir)
	attr, err := unprivileged(dir, certFile, keyFile)
	require.NoError(t, err)

	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"),
		"--pgdata", data, "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = attr
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "initdb: %s", out)

	addr := start(t, attr, dir, "ready to accept connections", func(port string) []string {
		return []string{
			filepath.Join(bin, "postgres"), "-D", data, "-p", port,
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "ssl=on", "-c", "ssl_cert_file=" + certFile, "-c", "ssl_key_file=" + keyFile,
			"-c", "fsync=off",
		}
	})
	return "postgres://postgres@" + addr + "/postgres", certFile
}

// Redis starts Redis and returns its address.
func Redis(t testing.TB) string {
	t.Helper()
	dir := tempDir(t)
	return startRedis(t, dir, func(port string) []string { return []string{"--port", port} })
}

// RedisTLS starts Redis behind TLS. It returns the address, and what a client
// needs to trust it.
func RedisTLS(t testing.TB) (string, *tls.Config) {
	t.Helper()
	dir := tempDir(t)
	certFile, keyFile, client := certificate(t, dir)
	addr := startRedis(t, dir, func(port string) []string {
		return []string{
			"--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
			"--tls-cert-file", certFile, "--tls-key-file", keyFile,
		}
	})
	return addr, client
}

func startRedis(t testing.TB, dir string, listen func(port string) []string) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server")
	}
	return start(t, inherit(), dir, "Ready to accept connections", func(port string) []string {
		return append([]string{program, "--bind", "127.0.0.1", "--save", "", "--dir", dir}, listen(port)...)
	})
}

// postgresBin returns the directory of PostgreSQL's programs. Debian keeps most
// of them out of the PATH, to have several versions side by side.
func postgresBin(t testing.TB) string {
	t.Helper()
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(initdb)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		missing(t, "postgresql")
	}
	version := func(initdb string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(initdb))), 64)
		return v
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return int(10 * (version(a) - version(b))) })
	return filepath.Dir(newest)
}

// missing ends a test whose server is not installed. CI installs them all.
func missing(t testing.TB, debianPackage string) {
	t.Helper()
	const text = "not supported here: the server is not installed (apt-get install %s)"
	if os.Getenv("CI") == "true" {
		t.Fatalf(text, debianPackage)
	}
	t.Skipf(text, debianPackage)
}

// tempDir is t.TempDir, but not below a directory that is closed to the user
// the server runs as.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keepalive-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func certificate(t testing.TB, dir string) (certFile, keyFile string, client *tls.Config) {
	t.Helper()
	cert, key, err := selfsigned.PEM()
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, key, 0o600))
	return certFile, keyFile, selfsigned.Client(cert)
}

// start runs a server until the test ends, and returns its address once it has
// written that it is ready. Somebody may take the free port before the server
// does; then it is given another.
func start(t testing.TB, attr *attributes, dir, ready string, command func(port string) []string) string {
	t.Helper()
	for range 5 {
		addr := freeAddr(t)
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		argv := command(port)
		out := &output{ready: ready, seen: make(chan struct{})}

		ctx, stop := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "LC_ALL=C") // for the messages
		cmd.SysProcAttr = attr
		cmd.Stdout, cmd.Stderr = out, out
		cmd.Cancel = func() error { return interrupt(cmd.Process) } // what stop does
		cmd.WaitDelay = patience
		require.NoError(t, cmd.Start())
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()

		select {
		case <-out.seen:
			t.Cleanup(func() {
				stop()
				if err := <-exited; !errors.Is(err, context.Canceled) { // that is how Wait reports status 0 here
					t.Errorf("%s did not stop as told: %v\n%s", filepath.Base(argv[0]), err, out)
				}
			})
			return addr
		case err := <-exited:
			stop()
			if !strings.Contains(out.String(), "in use") {
				t.Fatalf("%s: %v\n%s", filepath.Base(argv[0]), err, out)
			}
		case <-time.After(patience):
			stop()
			<-exited
			t.Fatalf("%s was not ready after %v\n%s", filepath.Base(argv[0]), patience, out)
		}
	}
	t.Fatal("five free ports were taken by others")
	return ""
}

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

// output keeps what a server writes, and closes seen when ready is in it.
type output struct {
	ready string
	seen  chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	done bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if !o.done && bytes.Contains(o.text.Bytes(), []byte(o.ready)) {
		o.done = true
		close(o.seen)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
