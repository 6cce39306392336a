package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain runs this binary as the command if an environment variable is set.
func TestMain(m *testing.M) {
	if os.Getenv("KEEPALIVE_TEST_COMMAND") != "" {
		os.Unsetenv("KEEPALIVE_TEST_COMMAND")
		main()
	}
	os.Exit(m.Run())
}

// commandProcess returns the command as a process of its own.
func commandProcess(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "KEEPALIVE_TEST_COMMAND=1")
	return cmd
}

// asNobody runs the command as an unprivileged user, and returns its output and its status.
func asNobody(t *testing.T, args ...string) (string, int) {
	dir, err := os.MkdirTemp("", "keepalive") // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	program, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	path := filepath.Join(dir, "keepalive")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	cmd := commandProcess(args...)
	cmd.Path, cmd.Dir = path, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok {
		require.NoError(t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not supported here: this test needs root")
	}
}
