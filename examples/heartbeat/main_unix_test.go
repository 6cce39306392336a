//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childEnv makes the test binary run the program, with the arguments that it holds.
const childEnv = "HEARTBEAT_EXAMPLE"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(childEnv); ok {
		os.Exit(run(context.Background(), strings.Fields(args), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// output is what a run has printed so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// wait waits for a text, and returns what it captures.
func (o *output) wait(t *testing.T, pattern string) string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		found = regexp.MustCompile(pattern).FindStringSubmatch(o.text.String())
		return found != nil
	}, 20*time.Second, 10*time.Millisecond, pattern)
	return found[len(found)-1]
}

// TestCtrlZ stops one of two processes. The other one reports a dead peer.
func TestCtrlZ(t *testing.T) {
	t.Parallel()
	var here, there output
	in, input := io.Pipe()
	status := make(chan int)
	go func() {
		status <- run(t.Context(), strings.Fields("-listen 127.0.0.1:0 -interval 300ms -timeout 1s"), in, &here, &here)
	}()
	addr := here.wait(t, `listening on (\S+)`)
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"=-interval 500ms -timeout 20s "+addr)
	cmd.Stdout, cmd.Stderr = &there, &there
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	err = cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) { // qemu-user
		t.Skipf("not supported here: this program cannot start itself: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	there.wait(t, `the first ping, from process \d+`)
	io.WriteString(input, "hello\n")
	there.wait(t, `\d hello`)
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP)) // what Ctrl-Z does
	here.wait(t, `the peer is dead: silent for 1(\.\d+)?s, unanswered pings: \d`)
	assert.Zero(t, <-status)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	there.wait(t, `the peer has ended|reset|broken pipe`)
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                         "either -listen ADDRESS or ADDRESS",
		"a b":                      "either -listen ADDRESS or ADDRESS",
		"-listen :0 x:1":           "either -listen ADDRESS or ADDRESS",
		"-interval 0s x:1":         "Interval 0s: must be positive",
		"-timeout 1s x:1":          "Timeout 1s: must be greater than Interval, 1s",
		"-interval soon localhost": `"soon"`,
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &errOut), args)
		assert.Contains(t, errOut.String(), want)
		assert.Empty(t, out.String())
	}
}
