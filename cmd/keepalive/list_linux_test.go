package main

import (
	"bufio"
	"encoding/json"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// connect returns a connection of this process without keepalive, and the flags that select both of its ends and
// its listener.
func connect(t *testing.T) (conn *net.TCPConn, filters []string) {
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	d := net.Dialer{KeepAlive: -1}
	c, err := d.Dial("tcp4", ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	far, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return c.(*net.TCPConn), []string{"--pid", strconv.Itoa(os.Getpid()), "--port", port}
}

// command runs a subcommand with flags that were returned by connect.
func command(t *testing.T, filters []string, args ...string) string {
	t.Helper()
	out, errs, status := keepaliveCommand(append(args, filters...)...)
	require.Empty(t, errs)
	require.Zero(t, status)
	return out
}

func TestListText(t *testing.T) {
	conn, filters := connect(t)
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: 90 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: time.Minute}))
	out := command(t, filters, "list")
	local, remote := conn.LocalAddr().String(), conn.RemoteAddr().String()
	assert.Regexp(t, `PROCESS +LOCAL +REMOTE +STATE +KEEPALIVE +USER TIMEOUT +DETECTION +SILENCE`, out)
	assert.Regexp(t, `keepalive.test/\d+ +`+remote+` +- +listen +off +- +never +-\n`, out)
	assert.Regexp(t, `keepalive.test/\d+ +`+remote+` +`+local+` +established +off +- +never +\S+\n`, out)
	assert.Regexp(t, `keepalive.test/\d+ +`+local+` +`+remote+` +established +1m30s:5s:3 +1m +1m35s +\S+\n`, out)
	assert.True(t, strings.HasSuffix(out, "\n\n2 connections, 1 listener. 1 connection would never detect a dead peer while idle.\n"), out)
}

func TestListJSON(t *testing.T) {
	conn, filters := connect(t)
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}))
	found := 0
	for line := range strings.Lines(command(t, filters, "list", "-o", "json")) {
		var s map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		for _, key := range []string{
			"pid", "process", "unit", "container", "netns", "state", "local", "remote", "keepalive", "options", "idle_at_least_seconds", "detection_seconds",
			"silence_seconds", "probes", "unacked", "retransmits", "suspect",
		} {
			assert.Contains(t, s, key)
		}
		assert.EqualValues(t, os.Getpid(), s["pid"])
		assert.Equal(t, "keepalive.test", s["process"])
		switch {
		case s["state"] == "listen":
			assert.Nil(t, s["remote"])
			assert.Nil(t, s["silence_seconds"])
			assert.Nil(t, s["suspect"])
			found++
		case s["local"] == conn.LocalAddr().String():
			assert.Equal(t, conn.RemoteAddr().String(), s["remote"])
			assert.Equal(t, "idle=45s,interval=5s,count=3,user-timeout=off", s["options"])
			assert.EqualValues(t, 60, s["detection_seconds"])
			assert.Equal(t, true, s["keepalive"])
			assert.Equal(t, false, s["suspect"])
			assert.NotNil(t, s["silence_seconds"])
			found++
		default:
			assert.Equal(t, false, s["keepalive"])
			assert.Nil(t, s["detection_seconds"])
			found++
		}
	}
	assert.Equal(t, 3, found)
}

func TestListMetrics(t *testing.T) {
	conn, filters := connect(t)
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}))
	assert.Equal(t, `# HELP keepalive_sockets TCP sockets by process and state, and whether keepalive is on.
# TYPE keepalive_sockets gauge
keepalive_sockets{process="keepalive.test",state="established",keepalive="off"} 1
keepalive_sockets{process="keepalive.test",state="established",keepalive="on"} 1
keepalive_sockets{process="keepalive.test",state="listen",keepalive="off"} 1
# HELP keepalive_suspect_peers Connections whose peer is probably dead.
# TYPE keepalive_suspect_peers gauge
keepalive_suspect_peers{process="keepalive.test"} 0
# HELP keepalive_detection_seconds_max The longest detection time of the connections that have keepalive on.
# TYPE keepalive_detection_seconds_max gauge
keepalive_detection_seconds_max{process="keepalive.test"} 60
`, command(t, filters, "list", "-o", "metrics"))
	assert.Equal(t, `"a\\b\"c\nd`+"\uFFFD\uFFFD"+`"`, label("a\\b\"c\nd\xff\x1b"))
}

func TestListDeadPeer(t *testing.T) {
	conn, far, err := testpeer.Dial("tcp4")
	testpeer.SkipIfUnsupported(t, err)
	require.NoError(t, err)
	defer conn.Close()
	defer far.Close()
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 30}))
	require.NoError(t, far.Deaf())
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	require.NoError(t, err)
	filters := []string{"--pid", strconv.Itoa(os.Getpid()), "--port", port} // others use the port, too, in other namespaces
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, errs, status := keepaliveCommand(append([]string{"list", "--fail-if", "suspect"}, filters...)...)
		if status == 1 {
			assert.Equal(t, "keepalive: 1 connection has a peer that is probably dead\n", errs)
			assert.Regexp(t, `\d+ probes?, suspect\n`, out)
			assert.Contains(t, out, "1 peer is probably dead.")
			break
		}
		require.Zero(t, status, errs)
		require.Less(t, time.Since(begin), 20*time.Second, out)
	}
	out := command(t, filters, "list", "--suspect", "-o", "json")
	assert.Equal(t, 1, strings.Count(out, "\n"))
	assert.Contains(t, out, `"suspect":true`)
}

func TestFailIf(t *testing.T) {
	conn, filters := connect(t)
	for _, c := range []struct {
		options   keepalive.Options
		condition string
		want      string
	}{
		{keepalive.Options{}, "without-keepalive", "1 connection has keepalive off"},
		{keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}, "detection>59s", "2 connections detect a dead peer later than 59s"},
		{keepalive.Options{}, "detection>1m,without-keepalive", "1 connection detects a dead peer later than 1m, 1 connection has keepalive off"},
		{keepalive.Options{}, "suspect", ""},
	} {
		require.NoError(t, keepalive.Enable(conn, c.options))
		_, errs, status := keepaliveCommand(append([]string{"list", "--fail-if", c.condition}, filters...)...)
		if c.want == "" {
			assert.Zero(t, status)
			assert.Empty(t, errs)
			continue
		}
		assert.Equal(t, 1, status)
		assert.Equal(t, "keepalive: "+c.want+"\n", errs)
	}
}

// TestCheckUnknown checks sockets about which something is not known.
func TestCheckUnknown(t *testing.T) {
	unknown := &sockets.Socket{State: sockets.Established, Info: keepalive.Info{Probes: 1}}
	closed := sockets.Table{ClosedNamespaces: 1}
	hidden := sockets.Table{Hidden: 2}
	// A socket that the kernel alone holds does not count, and this one has no inode.
	assert.NoError(t, check([]condition{{"", "", (*sockets.Socket).Suspect}}, sockets.Table{Sockets: []*sockets.Socket{unknown}}))
	for _, value := range []string{"without-keepalive", "suspect", "detection>1m"} {
		conditions, err := parseConditions([]string{value, value})
		require.NoError(t, err)
		for _, c := range conditions {
			_, known := c.holds(unknown)
			assert.False(t, known, value)
		}
		err = check(conditions, hidden)
		assert.ErrorAs(t, err, new(statusError))
		assert.ErrorContains(t, err, "2 sockets could not be checked: ")
		err = check(conditions, closed)
		assert.ErrorAs(t, err, new(statusError))
		assert.EqualError(t, err, "1 network namespace could not be checked: requires CAP_SYS_ADMIN")
	}
}

// TestFailIfWithoutRights checks sockets of root as another user.
func TestFailIfWithoutRights(t *testing.T) {
	programtest.NeedRoot(t)
	_, filters := connect(t)
	run := func(args ...string) (string, int) {
		return asNobody(t, append(args, filters[2:]...)...) // without --pid
	}
	out, status := run("list", "--fail-if", "detection>1h")
	assert.Equal(t, 1, status, "keepalive is off: %s", out)
	command(t, filters, "set", "on")
	out, status = run("list", "--fail-if", "detection>1000h")
	assert.Equal(t, 3, status, out)
	assert.Contains(t, out, "2 sockets could not be checked: run as root")
	out, status = run("list", "--fail-if", "suspect", "--process", "keepalive.test")
	assert.Equal(t, 3, status, out)
	assert.Contains(t, out, "3 sockets could not be checked: run as root")
	out, status = run("set", "on")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "3 sockets: no right: run as root")
	assert.Contains(t, out, `could not set all of "on" on 3 sockets`)
	out, status = run("set", "on", "--dry-run")
	assert.Zero(t, status)
	assert.Contains(t, out, "It cannot change 3 of them: run as root")
}

// TestTerminal runs commands on a terminal.
func TestTerminal(t *testing.T) {
	conn, filters := connect(t)
	yellowRow := `\x1b\[33mkeepalive.test/\d+ .*` + conn.LocalAddr().String() + ` .* off +never.*\x1b\[0m\r\n`
	for _, c := range []struct{ args, want string }{
		{"list", yellowRow},
		{"list --watch", `^\x1b\[H\x1b\[2JPROCESS `},
		{"set on --dry-run", yellowRow},
		{"set on", "on 3 of 3 sockets"},
	} {
		line := strings.Join(append([]string{"timeout 2", keepaliveBinary(t), c.args}, filters...), " ")
		cmd := exec.Command(programtest.Need(t, "script"), "-qc", line, "/dev/null")
		cmd.Env = append(os.Environ(), "TERM=xterm")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Regexp(t, c.want, string(out))
	}
}

// TestNames lists a process whose name has control characters.
func TestNames(t *testing.T) {
	name := "a\n\x1b[31m\t\"b"
	s := &sockets.Socket{State: sockets.Established, Owners: []sockets.Owner{{Process: &sockets.Process{PID: 7, Name: name}}}}
	assert.Equal(t, `a\n\x1b[31m\t"b`, printable(name))
	assert.Equal(t, `C:\x`, printable(`C:\x`))
	var out strings.Builder
	require.NoError(t, writeTable(&out, sockets.Table{Sockets: []*sockets.Socket{s, s}}, screen{}))
	assert.Equal(t, 5, strings.Count(out.String(), "\n"), out.String())
	assert.NotContains(t, out.String(), "\x1b")
}

func TestListWatch(t *testing.T) {
	_, filters := connect(t)
	cmd := commandProcess(append([]string{"list", "--watch=200ms", "-o", "json"}, filters...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 3 * 4 { // four times
		require.True(t, lines.Scan())
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	assert.Error(t, cmd.Wait(), "it was interrupted")
}

func TestListNothing(t *testing.T) {
	out := command(t, []string{"--pid", strconv.Itoa(os.Getpid()), "--state", "last-ack"}, "list")
	assert.Regexp(t, "^No socket matches. ?", out)
}

func TestFilterErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--pid", "0"}, "--pid 0: must be positive"},
		{[]string{"--port", "0"}, "--port 0: must be between 1 and 65535"},
		{[]string{"--port", "65536"}, "--port 65536: must be between 1 and 65535"},
		{[]string{"--remote", "10.0.0.0/33"}, `--remote "10.0.0.0/33": must be an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32`},
		{[]string{"--remote", ""}, "--remote: must not be empty"},
		{[]string{"--process", "a,"}, "--process: must not be empty"},
		{[]string{"--state", "time-wait"}, `--state "time-wait": must be one of established, `},
		{[]string{"--process", "more-than-15-bytes"}, `--process "more-than-15-bytes": Linux cuts names after 15 bytes, for example "more-than-15-by"`},
		{[]string{"--remote", "::ffff:10.0.0.0/104"}, "must be an address or a prefix"},
		{[]string{"--output", "xml"}, `--output "xml": must be text, json or metrics`},
		{[]string{"--watch=1ms"}, "--watch 1ms: must be at least 100ms"},
		{[]string{"--watch=-1s"}, "--watch -1s: must be at least 100ms"},
		{[]string{"--watch", "--fail-if", "suspect"}, "--watch cannot be combined with --fail-if or with metrics"},
		{[]string{"--watch", "-o", "metrics"}, "--watch cannot be combined with --fail-if or with metrics"},
		{[]string{"--fail-if", ""}, "--fail-if: must not be empty"},
		{[]string{"--fail-if", "detection>"}, `--fail-if "detection>": the time must be positive`},
		{[]string{"--fail-if", "detection>-1s"}, `--fail-if "detection>-1s": the time must be positive`},
		{[]string{"--fail-if", "dead"}, `--fail-if "dead": must be without-keepalive, suspect or detection>TIME`},
		{[]string{"--watch", "5s"}, `unexpected argument "5s": list takes only flags, such as --process nginx or --watch=5s`},
	} {
		out, errs, status := keepaliveCommand(append([]string{"list"}, c.args...)...)
		assert.Equal(t, 2, status, c.args)
		assert.Empty(t, out)
		assert.Contains(t, errs, c.want)
		assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
	for value, want := range map[string]string{
		"/nonexistent":      "--netns: network namespace /nonexistent: no such file or directory",
		"/etc/passwd":       "--netns: /etc/passwd is not a network namespace",
		"/proc/self/ns/mnt": "--netns: /proc/self/ns/mnt is not a network namespace",
		"1":                 "--netns: network namespace 1: no process in it is visible to this user",
	} {
		_, errs, status := keepaliveCommand("list", "--netns", value)
		assert.Equal(t, 1, status)
		assert.Equal(t, "keepalive: "+want+"\n", errs)
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	_, filters := connect(t)
	assert.Equal(t, 3, strings.Count(command(t, filters, "list", "--netns", own, "-o", "json"), "\n"))
}

// TestMapped selects connections by the IPv4 address of an IPv6 socket.
func TestMapped(t *testing.T) {
	ln, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer conn.Close()
	far, err := ln.Accept()
	require.NoError(t, err)
	defer far.Close()
	for _, remote := range []string{"127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1"} {
		out := command(t, []string{"--port", port, "--remote", remote}, "list", "-o", "json")
		assert.Equal(t, 2, strings.Count(out, "\n"), remote)
	}
}

func TestSet(t *testing.T) {
	conn, filters := connect(t)
	before, err := keepalive.Get(conn)
	require.NoError(t, err)

	out := command(t, filters, "set", "idle=45s,interval=5s,count=3", "--dry-run")
	assert.Contains(t, out, "\nkeepalive set would set \"idle=45s,interval=5s,count=3\" on 3 sockets. Above is what they have now.\n")
	after, err := keepalive.Get(conn)
	require.NoError(t, err)
	assert.Equal(t, before, after)

	out = command(t, filters, "set", "idle=45s,interval=4.5s,count=3")
	assert.Regexp(t, `^PROCESS +CONNECTIONS +LISTENERS\nkeepalive.test/\d+ +2 +1\nSet "idle=45s,interval=4.5s,count=3" on 3 of 3 sockets.\n$`, out)
	after, err = keepalive.Get(conn)
	require.NoError(t, err)
	assert.Equal(t, keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: math.MaxInt64}, after)

	command(t, filters, "set", "off", "--state", "established")
	command(t, filters, "set", "user-timeout=1m", "--without-keepalive", "--state", "established")
	out = command(t, filters, "list", "-o", "json")
	assert.Equal(t, 2, strings.Count(out, `"options":"idle=45s,interval=5s,count=3,user-timeout=1m"`), out)
	assert.Equal(t, 1, strings.Count(out, `"options":"idle=45s,interval=5s,count=3,user-timeout=off"`), "the listener: "+out)
}

// TestSetGoal: a goal that cannot be met causes a warning, and is set nevertheless.
func TestSetGoal(t *testing.T) {
	_, filters := connect(t)
	out, errs, status := keepaliveCommand(append([]string{"set", "detect-within=2s"}, filters...)...)
	assert.Zero(t, status)
	assert.Equal(t, "keepalive: warning: detect-within=2s is too short for this system: an idle connection can take 2.3s.\n", errs)
	assert.Contains(t, out, "on 3 of 3 sockets.")
	command(t, filters, "set", "detect-within=4s") // writes no warning
}

func TestSetErrors(t *testing.T) {
	_, filters := connect(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "accepts 1 arg(s), received 0"},
		{[]string{"on"}, 2, "no filter: name the sockets to change"},
		{[]string{"idle=1"}, 2, `keepalive: OPTIONS "idle=1": "idle=1": `},
		{[]string{"idle=20h"}, 2, `between 1s and 9h6m7s on linux`},
		{[]string{"on", "--port", "x"}, 2, `invalid argument "x" for "--port"`},
		{append(filters, "on", "--state", "syn-sent"), 1, "no socket matches the filters"},
	} {
		out, errs, status := keepaliveCommand(append([]string{"set"}, c.args...)...)
		assert.Equal(t, c.status, status, c.args)
		assert.Empty(t, out)
		assert.Contains(t, errs, c.want)
		assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
}

func TestNarrowScreen(t *testing.T) {
	s := &sockets.Socket{
		Local: netip.MustParseAddrPort("10.20.30.40:50000"), Remote: netip.MustParseAddrPort("10.20.30.41:50001"), State: sockets.Established,
		Options: &keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: keepalive.NoUserTimeout},
	}
	for width, want := range map[int]string{
		92: "PROCESS LOCAL REMOTE STATE KEEPALIVE DETECTION SILENCE",
		91: "PROCESS LOCAL REMOTE STATE KEEPALIVE DETECTION",
		82: "PROCESS LOCAL REMOTE KEEPALIVE DETECTION",
		60: "PROCESS LOCAL REMOTE KEEPALIVE …",
	} {
		var out strings.Builder
		writeRows(&out, []*sockets.Socket{s}, screen{width: width})
		title, _, _ := strings.Cut(out.String(), "\n")
		assert.Equal(t, want, strings.Join(strings.Fields(title), " "), width)
		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, utf8.RuneCountInString(line), width+1)
		}
	}
}

// TestLowScreen leaves out rows, so that a page has as many lines as the screen.
func TestLowScreen(t *testing.T) {
	s := &sockets.Socket{State: sockets.Established}
	for height, want := range map[int]string{
		0:  "no more",
		20: "no more",
		16: "no more",
		15: "… 2 more",
		7:  "… 10 more",
		3:  "… 10 more", // at least one row
	} {
		table := sockets.Table{Sockets: slices.Repeat([]*sockets.Socket{s}, 11)}
		var out strings.Builder
		require.NoError(t, writeTable(&out, table, screen{width: 60, height: height}))
		if want == "no more" {
			assert.NotContains(t, out.String(), "more", height)
			continue
		}
		assert.Contains(t, out.String(), want+"\n", height)
		if height > 6 {
			lines := 0
			for line := range strings.Lines(out.String() + "cursor") {
				lines += max(1, (utf8.RuneCountInString(strings.TrimSpace(line))+59)/60)
			}
			assert.Equal(t, height, lines)
		}
	}
}

func TestScreen(t *testing.T) {
	assert.Equal(t, "12345", screen{}.line("12345  ", red))
	assert.Equal(t, "123…", screen{width: 4}.line("12345", 0))
	assert.Equal(t, "\x1b[31m12345\x1b[0m", screen{width: 5, color: true}.line("12345", red))
	assert.Equal(t, "12345", screen{width: 5, color: true}.line("12345", 0))
}
