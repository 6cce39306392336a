package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary enter a user namespace and be a server, as the program does.
func TestMain(m *testing.M) {
	enter()
	flag.Set("test.parallel", "32") // the tests only wait
	os.Exit(m.Run())
}

// need skips a test on a machine that lacks a program or a right. In CI it fails.
func need(t testing.TB, err error) {
	t.Helper()
	if missing := errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission); missing && os.Getenv("CI") != "true" {
		t.Skipf("not supported here: %v", err)
	}
	require.NoError(t, err)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"nope":                "nope",
		"disappear -nope":     "-nope",
		"disappear please":    `"please"`,
		"disappear -for 1s":   "at least 10s",
		"probe -idle never":   "-idle",
		"probe -idle -1s":     "Idle -1s",
		"probe -idle 100000h": "Idle 100000h",
	} {
		var notes strings.Builder
		status := run(strings.Fields(args), io.Discard, &notes)
		assert.Equal(t, 2, status, args)
		assert.Contains(t, notes.String(), want, args)
	}
	var help strings.Builder
	assert.Zero(t, run([]string{"disappear", "-h"}, &help, io.Discard))
	assert.Contains(t, help.String(), "-for")
	var list strings.Builder
	assert.Zero(t, run(nil, &list, io.Discard))
	for _, e := range experiments {
		assert.Contains(t, list.String(), e.about)
	}
	checkWidth(t, list.String())
}

const refusedEnv = "KEEPALIVE_GUIDE_REFUSED"

// TestRefused: where the kernel refuses network namespaces, each experiment explains it.
func TestRefused(t *testing.T) {
	t.Parallel()
	if name := os.Getenv(refusedEnv); name != "" {
		os.Exit(run([]string{name}, os.Stdout, os.Stderr))
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"disappear", "probe"} {
		cmd := exec.Command("sh", "-c", `echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" -test.run='^TestRefused$'`, self)
		cmd.Env = append(os.Environ(), refusedEnv+"="+name)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); !errors.As(err, &exit) {
			need(t, err)
		}
		assert.Equal(t, 1, cmd.ProcessState.ExitCode(), name)
		assert.Contains(t, string(out), "cannot create a network namespace: no space left on device")
		assert.Contains(t, string(out), "user.max_net_namespaces")
		assert.NotContains(t, string(out), "panic")
	}
	_, err = findProgram("no-such-program")
	assert.ErrorContains(t, err, "no-such-program is not installed")
}

func TestParseNATEntries(t *testing.T) {
	t.Parallel()
	const text = `ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.2 dst=203.0.113.2 sport=40000 dport=7000 src=203.0.113.2 dst=203.0.113.1 sport=7000 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.0.0.2 dst=203.0.113.2 sport=40001 dport=53 [UNREPLIED] src=203.0.113.2 dst=203.0.113.1 sport=53 dport=40001 mark=0 zone=0 use=2
ipv4     2 tcp      6 1 ESTABLISHED src=10.0.0.2 dst=203.0.113.2 sport=40002 dport=7000 src=203.0.113.2 dst=203.0.113.1 sport=7000 dport=40002 [ASSURED] use=2
`
	entries, err := parseNATEntries(text)
	require.NoError(t, err)
	assert.Equal(t, map[int]time.Duration{40000: 431999 * time.Second, 40002: time.Second}, entries)
	_, err = parseNATEntries(strings.ReplaceAll(text, "431999", "soon"))
	assert.ErrorContains(t, err, "soon")
	_, err = parseNATEntries(strings.ReplaceAll(text, "sport", "port"))
	assert.ErrorContains(t, err, "cannot parse")
	entries, err = parseNATEntries("")
	require.NoError(t, err)
	assert.Empty(t, entries)
}
