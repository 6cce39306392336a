package sysdefault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeTree(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, contents := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(root+name), 0o755))
		require.NoError(t, os.WriteFile(root+name, []byte(contents), 0o644))
	}
	return root
}

const (
	idle   = "net.ipv4.tcp_keepalive_time"
	intvl  = "net.ipv4.tcp_keepalive_intvl"
	probes = "net.ipv4.tcp_keepalive_probes"
)

func TestBootSettings(t *testing.T) {
	root := writeTree(t, map[string]string{
		"/usr/lib/sysctl.d/50-a.conf":    "net.ipv4.tcp_keepalive_time = 1\n",
		"/etc/sysctl.d/50-a.conf":        "# net.ipv4.tcp_keepalive_time = 2\n; x = 1\n\n-net/ipv4/tcp_keepalive_time=3\n",
		"/run/sysctl.d/40-b.conf":        "net.ipv4.tcp_keepalive_* = 4\n",
		"/etc/sysctl.d/README.sysctl":    "net.ipv4.tcp_keepalive_time = 5\n",
		"/usr/local/lib/sysctl.d/z.conf": "net.ipv4.tcp_keepalive_intvl=6\nkernel.pid_max = 7\nnet.ipv4.tcp_keepalive_time",
		"/etc/sysctl.conf":               "net.ipv4.tcp_keepalive_intvl = 8\n",
	})
	got, err := bootSettings(root, []string{idle, intvl})
	require.NoError(t, err)
	assert.Equal(t, []BootSetting{
		{"/run/sysctl.d/40-b.conf", 1, idle, "4", false},
		{"/run/sysctl.d/40-b.conf", 1, intvl, "4", false},
		{"/etc/sysctl.d/50-a.conf", 4, idle, "3", true},
		{"/usr/local/lib/sysctl.d/z.conf", 1, intvl, "6", false},
		{"/etc/sysctl.conf", 1, intvl, "8", true},
	}, got)

	// A link to sysctl.conf is applied in its place in the order, and not again at the end.
	require.NoError(t, os.Symlink("../sysctl.conf", root+"/etc/sysctl.d/45-link.conf"))
	got, err = bootSettings(root, []string{intvl})
	require.NoError(t, err)
	assert.Equal(t, []BootSetting{
		{"/run/sysctl.d/40-b.conf", 1, intvl, "4", false},
		{"/etc/sysctl.d/45-link.conf", 1, intvl, "8", false},
		{"/usr/local/lib/sysctl.d/z.conf", 1, intvl, "6", true},
	}, got)

	got, err = bootSettings(t.TempDir(), []string{idle})
	assert.NoError(t, err)
	assert.Empty(t, got)
}

// TestBootSettingsUnreadable: the other files are still reported.
func TestBootSettingsUnreadable(t *testing.T) {
	root := writeTree(t, map[string]string{"/etc/sysctl.conf": idle + " = 1"})
	require.NoError(t, os.MkdirAll(root+"/etc/sysctl.d/a.conf", 0o755))
	got, err := bootSettings(root, []string{idle})
	assert.Error(t, err)
	assert.Len(t, got, 1)
}

func TestPersist(t *testing.T) {
	changes := []Change{{Parameter{Name: idle}, 0, 300}, {Parameter{Name: probes}, 0, 3}}
	folder := t.TempDir()
	name := filepath.Join(folder, "60-keepalive.conf")

	require.NoError(t, Persist(name, changes))
	assertFile(t, name, "# TCP keepalive for sockets that do not set their own values.\n"+
		"net.ipv4.tcp_keepalive_time = 300\nnet.ipv4.tcp_keepalive_probes = 3\n", 0o644)

	// Other lines and the mode stay, through a link, too.
	require.NoError(t, os.WriteFile(name, []byte("kernel.pid_max = 7\n net/ipv4/tcp_keepalive_time=1\n#x\nnet.ipv4.tcp_keepalive_time=2\nvm.a=1"), 0o600))
	require.NoError(t, os.Chmod(name, 0o600))
	link := filepath.Join(folder, "link.conf")
	require.NoError(t, os.Symlink(name, link))
	require.NoError(t, Persist(link, changes))
	assertFile(t, name, "kernel.pid_max = 7\nnet.ipv4.tcp_keepalive_time = 300\n#x\nvm.a=1\nnet.ipv4.tcp_keepalive_probes = 3\n", 0o600)
	target, err := os.Readlink(link)
	require.NoError(t, err)
	assert.Equal(t, name, target)

	assert.ErrorIs(t, Persist(filepath.Join(folder, "none", "a.conf"), changes), os.ErrNotExist)
	assert.Error(t, Persist(folder, changes))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 2, "no temporary file is left")
}

func assertFile(t *testing.T, name, contents string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, contents, string(b))
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, mode, info.Mode())
}
