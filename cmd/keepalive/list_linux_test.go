package main

import (
	"encoding/json"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
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
	assert.Regexp(t, `keepalive.test/\d+ +`+remote+` +- +listen +off +never +-\n`, out)
	assert.Regexp(t, `keepalive.test/\d+ +`+remote+` +`+local+` +established +off +never +\S+\n`, out)
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
	assert.Equal(t, `"a\\b\"c\nd`+"\uFFFD"+`"`, label("a\\b\"c\nd\xff"))
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
	args := []string{"--pid", strconv.Itoa(os.Getpid()), "--port", port, "--fail-if", "suspect"}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, errs, status := keepaliveCommand(append([]string{"list"}, args...)...)
		if status == 1 {
			assert.Equal(t, "keepalive: 1 connection has a peer that is probably dead\n", errs)
			assert.Regexp(t, `\d+ probes?, suspect\n`, out)
			assert.Contains(t, out, "1 peer is probably dead.")
			break
		}
		require.Zero(t, status, errs)
		require.Less(t, time.Since(begin), 20*time.Second, out)
	}
	out := command(t, []string{"--port", port}, "list", "--suspect", "-o", "json")
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

// TestCheckUnknown checks sockets about which nothing is known.
func TestCheckUnknown(t *testing.T) {
	s := &sockets.Socket{State: sockets.Established, Info: keepalive.Info{Probes: 1}}
	for _, text := range []string{"without-keepalive", "suspect", "detection>1m"} {
		conditions, err := parseConditions([]string{text})
		require.NoError(t, err)
		err = check(conditions, []*sockets.Socket{s})
		assert.ErrorAs(t, err, new(checkFailed), text)
		assert.ErrorContains(t, err, "1 connection could not be checked: ")
	}
}

func TestListWatch(t *testing.T) {
	_, filters := connect(t)
	p, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	begin := time.Now()
	time.AfterFunc(time.Second, func() { p.Signal(os.Interrupt) })
	out := command(t, filters, "list", "--watch=200ms", "-o", "json")
	assert.GreaterOrEqual(t, time.Since(begin), time.Second)
	assert.Greater(t, strings.Count(out, "\n"), 3, "it was repeated")
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
		{[]string{"--state", "time-wait"}, `--state: unknown state "time-wait": must be one of [established`},
		{[]string{"--output", "xml"}, `--output "xml": must be text, json or metrics`},
		{[]string{"--watch=1ms"}, "--watch 1ms: must be at least 100ms"},
		{[]string{"--watch=-1s"}, "--watch -1s: must be at least 100ms"},
		{[]string{"--watch", "--fail-if", "suspect"}, "--fail-if cannot be combined with --watch"},
		{[]string{"--fail-if", "detection>"}, `--fail-if "detection>": the time must be positive`},
		{[]string{"--fail-if", "detection>-1s"}, `--fail-if "detection>-1s": the time must be positive`},
		{[]string{"--fail-if", "dead"}, `--fail-if "dead": must be without-keepalive, suspect or detection>TIME`},
		{[]string{"argument"}, `unknown command "argument" for "keepalive list"`},
	} {
		out, errs, status := keepaliveCommand(append([]string{"list"}, c.args...)...)
		assert.Equal(t, 2, status, c.args)
		assert.Empty(t, out)
		assert.Contains(t, errs, c.want)
		assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
	_, errs, status := keepaliveCommand("list", "--netns", "/nonexistent")
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "--netns: network namespace /nonexistent: no such file or directory")
	_, errs, status = keepaliveCommand("list", "--netns", "1", "--fail-if", "suspect")
	assert.Zero(t, status, errs)
}

func TestSet(t *testing.T) {
	conn, filters := connect(t)
	before, err := keepalive.Get(conn)
	require.NoError(t, err)

	out := command(t, filters, "set", "idle=45s,interval=5s,count=3", "--dry-run")
	assert.Contains(t, out, "\nkeepalive set would set \"idle=45s,interval=5s,count=3\" on 3 sockets, which have the options above now.\n")
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

func TestSetErrors(t *testing.T) {
	_, filters := connect(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "accepts 1 arg(s), received 0"},
		{[]string{"on"}, 2, "no filter: name the sockets to change"},
		{[]string{"idle=1"}, 2, `OPTIONS "idle=1": `},
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
	conn, filters := connect(t)
	table, err := sockets.List(sockets.Filter{PIDs: []int{os.Getpid()}, Ports: []uint16{uint16(conn.LocalAddr().(*net.TCPAddr).Port)}})
	require.NoError(t, err, filters)
	for width, want := range map[int]string{
		200: "PROCESS LOCAL REMOTE STATE KEEPALIVE DETECTION SILENCE",
		99:  "PROCESS LOCAL REMOTE STATE KEEPALIVE DETECTION",
		85:  "PROCESS LOCAL REMOTE KEEPALIVE DETECTION",
	} {
		var out strings.Builder
		writeRows(&out, table.Sockets, screen{width: width})
		title, _, _ := strings.Cut(out.String(), "\n")
		assert.Equal(t, want, strings.Join(strings.Fields(title), " "), width)
		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, len(line), width)
		}
	}
}

func TestScreen(t *testing.T) {
	assert.Equal(t, "12345", screen{}.line("12345  ", red))
	assert.Equal(t, "123…", screen{width: 4}.line("12345", 0))
	assert.Equal(t, "\x1b[31m12345\x1b[0m", screen{width: 5, color: true}.line("12345", red))
	assert.Equal(t, "12345", screen{width: 5, color: true}.line("12345", 0))
}
