package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
	"github.com/go-keepalive/keepalive/internal/netns"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sysctls returns the three values of the namespace, as in "7200 75 9".
func sysctls(t testing.TB) string {
	t.Helper()
	var all []string
	for _, name := range []string{"time", "intvl", "probes"} {
		b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_keepalive_" + name)
		require.NoError(t, err)
		all = append(all, strings.TrimSpace(string(b)))
	}
	return strings.Join(all, " ")
}

func TestSystemShow(t *testing.T) {
	netns.Run(t, netns.New, func() {
		setSysctl(t, "tcp_keepalive_time", 600)
		setSysctl(t, "tcp_retries2", 8)
		ns, err := os.Readlink("/proc/thread-self/ns/net")
		assert.NoError(t, err)
		out, errs, status := keepaliveCommand("system")
		assert.Zero(t, status, errs)
		out, boot, found := strings.Cut(out, "\nNo file sets them at boot.\n")
		if !found { // this machine has such files
			out, boot, found = strings.Cut(out, "\nFiles that set them at boot:\n")
		}
		assert.True(t, found, out)
		t.Log(boot)
		assert.Equal(t, `Defaults for TCP keepalive on linux, network namespace `+ns+`

  keepalive        off    each program sets it for its own sockets
  idle             10m    net.ipv4.tcp_keepalive_time = 600
  interval         1m15s  net.ipv4.tcp_keepalive_intvl = 75
  count            9      net.ipv4.tcp_keepalive_probes = 9
  user-timeout     none   each program sets it for its own sockets
  retransmissions  8      net.ipv4.tcp_retries2 = 8

With keepalive on and these values, a dead peer is detected

  on an idle connection  after 21m15s
  with data in flight    after about 1m46.5s
`, out)

		out, errs, status = keepaliveCommand("system", "-o", "json")
		assert.Zero(t, status, errs)
		var d struct {
			Netns, Options string
			Detection      float64 `json:"detection_seconds"`
			Settings       []struct {
				Option, Value, Source string
				Raw                   int
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &d), out)
		assert.Equal(t, ns, d.Netns)
		assert.Equal(t, "idle=10m,interval=1m15s,count=9", d.Options)
		assert.Equal(t, 1275., d.Detection)
		assert.Equal(t, "{idle 10m net.ipv4.tcp_keepalive_time 600}", fmt.Sprint(d.Settings[1]))
	})
}

func TestSystemSet(t *testing.T) {
	before := sysctls(t)
	netns.Run(t, netns.New, func() {
		out, errs, status := keepaliveCommand("system", "idle=44.5s,count=3", "--dry-run")
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "nothing was changed")
		assert.Equal(t, "7200 75 9", sysctls(t))

		out, errs, status = keepaliveCommand("system", "idle=44.5s,count=9")
		assert.Zero(t, status, errs)
		assert.True(t, strings.HasPrefix(out, `Set and read back:

  idle   45s  was 2h     net.ipv4.tcp_keepalive_time = 45
  count  9    as before  net.ipv4.tcp_keepalive_probes = 9

A dead peer of an idle connection with these values is detected after 12m.

The values are lost at the next reboot: --persist keeps them.

This does not change
`), out)
		assert.Equal(t, "45 75 9", sysctls(t))
		o, err := keepalive.SystemDefaults()
		assert.NoError(t, err)
		assert.Equal(t, 45*time.Second, o.Idle)

		_, errs, status = keepaliveCommand("system", "keep-open=350s")
		assert.Zero(t, status, errs)
		assert.Equal(t, "280 31 3", sysctls(t))
	})
	assert.Equal(t, before, sysctls(t), "the values of this namespace")
}

// TestSystemWrong: bad input changes nothing.
func TestSystemWrong(t *testing.T) {
	netns.Run(t, netns.New, func() {
		for _, c := range []struct {
			args   []string
			status int
			want   string
		}{
			{[]string{"garbage"}, 2, "unknown word"},
			{[]string{"idle=24h"}, 2, "must be between 1s and 9h6m7s on linux"},
			{[]string{"idle=1m,count=128"}, 2, "must be between 1 and 127 on linux"},
			{[]string{"on"}, 2, "linux has defaults for idle, interval, count only: each program turns keepalive on or off for its sockets"},
			{[]string{"off"}, 2, "each program turns keepalive on or off"},
			{[]string{"off,idle=1m"}, 2, "each program turns keepalive on or off"},
			{[]string{"detect-within=1m"}, 2, "linux has no default for the user timeout, which is part of this: use idle=29s,interval=8s,count=3"},
			{[]string{"user-timeout=1m"}, 2, "linux has no default for the user timeout: each program sets it for its sockets"},
			{[]string{"idle=1m", "count=3"}, 2, "accepts at most 1 arg(s), received 2"},
			{[]string{"idle=1m", "-o", "json"}, 2, "--output json is only for showing the defaults"},
			{[]string{"-o", "xml"}, 2, "must be text or json"},
			{[]string{"--dry-run"}, 2, "--dry-run and --persist need OPTIONS"},
			{[]string{"--persist"}, 2, "--dry-run and --persist need OPTIONS"},
			{[]string{"idle=1m", "--file", "a"}, 2, "--file needs --persist"},
			{[]string{"idle=1m", "--persist", "--file", "/nonexistent/a.conf"}, 1, "so no value was changed: /nonexistent/a.conf: no such file or directory"},
		} {
			out, errs, status := keepaliveCommand(append([]string{"system"}, c.args...)...)
			assert.Equal(t, c.status, status, c.args)
			assert.Empty(t, out, c.args)
			assert.Contains(t, errs, c.want, c.args)
			assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
			assert.Equal(t, "7200 75 9", sysctls(t), c.args)
		}
	})
}

func TestSystemPersist(t *testing.T) {
	netns.Run(t, netns.New, func() {
		file := filepath.Join(t.TempDir(), "a.conf")
		out, errs, status := keepaliveCommand("system", "1m:2s:3", "--persist", "--file", file, "--dry-run")
		assert.Zero(t, status, errs)
		assert.Contains(t, out, file+" would be written, which sets them at boot.\n")
		assert.NoFileExists(t, file)

		out, errs, status = keepaliveCommand("system", "1m:2s:3", "--persist", "--file", file)
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "Warning: "+file+" is written, but nothing reads it at boot.")
		assert.Equal(t, "60 2 3", sysctls(t))
		b, err := os.ReadFile(file)
		assert.NoError(t, err)
		setSysctl(t, "tcp_keepalive_time", 7200)

		// The file is one that sysctl(8) reads.
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, " = "); ok {
				assert.NoError(t, os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0))
			}
		}
		assert.Equal(t, "60 2 3", sysctls(t))
	})
}

// ownMounts puts the thread into a mount namespace.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// TestSystemBoot writes the file of --persist in a folder that only the test has as /etc/sysctl.d.
func TestSystemBoot(t *testing.T) {
	const folder = "/etc/sysctl.d"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("not supported here: %v", err)
	}
	netns.Run(t, netns.New, func() {
		if err := ownMounts(); err != nil {
			testpeer.SkipIfUnsupported(t, err)
		}
		require.NoError(t, unix.Mount("tmpfs", folder, "tmpfs", 0, ""))
		out, errs, status := keepaliveCommand("system", "idle=5m", "--persist")
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "\n/etc/sysctl.d/60-keepalive.conf sets them at boot.\n\n")

		require.NoError(t, os.WriteFile(folder+"/90-other.conf", []byte("# other\nnet.ipv4.tcp_keepalive_time=600\n"), 0o644))
		out, errs, status = keepaliveCommand("system", "idle=6m", "--persist")
		assert.Zero(t, status, errs)
		assert.Contains(t, out, "\n/etc/sysctl.d/60-keepalive.conf sets them at boot.\n"+
			"Warning: /etc/sysctl.d/90-other.conf:2 sets net.ipv4.tcp_keepalive_time = 600 after it.\n\n")

		out, errs, status = keepaliveCommand("system")
		assert.Zero(t, status, errs)
		assert.Contains(t, out, `
Files that set them at boot:

  /etc/sysctl.d/60-keepalive.conf:2
    net.ipv4.tcp_keepalive_time = 360, set again later
  /etc/sysctl.d/90-other.conf:2
    net.ipv4.tcp_keepalive_time = 600, not in effect: now 360
`)
	})
}

// TestSystemRights: without rights, the error names them, and with CAP_NET_ADMIN alone it works.
func TestSystemRights(t *testing.T) {
	programtest.NeedRoot(t)
	netns.Run(t, netns.New, func() {
		// The system call, and not package syscall, which would change all threads.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		for _, args := range [][]string{{"1m:2s:3"}, {"1m:2s:3", "--dry-run"}} {
			out, errs, status := keepaliveCommand(append([]string{"system"}, args...)...)
			assert.Equal(t, 1, status)
			assert.Empty(t, out)
			assert.Equal(t, "keepalive: net.ipv4.tcp_keepalive_time: permission denied: needs root or CAP_NET_ADMIN in this network namespace\n", errs)
		}
		assert.Equal(t, "7200 75 9", sysctls(t))
		_, errs, status := keepaliveCommand("system")
		assert.Zero(t, status, errs)
	})
}

// TestSystemReadOnly: /proc/sys is read-only in most containers.
func TestSystemReadOnly(t *testing.T) {
	netns.Run(t, netns.New, func() {
		testpeer.SkipIfUnsupported(t, errors.Join(
			ownMounts(),
			unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""),
			unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		))
		_, errs, status := keepaliveCommand("system", "1m:2s:3")
		assert.Equal(t, 1, status)
		assert.Equal(t, "keepalive: net.ipv4.tcp_keepalive_time: read-only file system: in a container, set it where the container is started, for example with docker run --sysctl\n", errs)
	})
}

// TestSystemExistingSockets measures what system states about connections that exist when it
// sets a default: they have the new values at once, but a timer that runs is not changed.
func TestSystemExistingSockets(t *testing.T) { realtime.Test(testSystemExistingSockets)(t) }

func testSystemExistingSockets(t testing.TB) {
	const s = time.Second
	var wait sync.WaitGroup
	defer wait.Wait()
	for _, c := range []struct {
		name, old, new string
		own            keepalive.Options
		onAfter        bool // keepalive is turned on after the new values are set
		want           keepalive.Options
		detection      time.Duration // from the last segment
	}{
		{name: "shorter", old: "5s:1s:2", new: "1s:2s:1",
			want: keepalive.Options{Idle: s, Interval: 2 * s, Count: 1}, detection: 7 * s}, // probe at 5s, not 1s
		{name: "longer", old: "2s:1s:2", new: "5s:1s:2",
			want: keepalive.Options{Idle: 5 * s, Interval: s, Count: 2}, detection: 7 * s}, // probe at 5s, not 2s
		{name: "turned on afterwards", old: "2h:75s:9", new: "3s:1s:2", onAfter: true,
			want: keepalive.Options{Idle: 3 * s, Interval: s, Count: 2}, detection: 5 * s},
		{name: "own values", old: "2h:75s:9", new: "2s:1s:1", own: keepalive.Options{Idle: 4 * s, Interval: s, Count: 2},
			want: keepalive.Options{Idle: 4 * s, Interval: s, Count: 2}, detection: 6 * s},
	} {
		netns.Run(t, netns.New, func() {
			set := func(options string) {
				t.Helper()
				_, errs, status := keepaliveCommand("system", options)
				require.Zero(t, status, errs)
			}
			set(c.old)
			conn, far, err := testpeer.Dial("tcp")
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close(); far.Close() })
			exchange(t, conn, far)
			began := time.Now()
			testpeer.SkipIfUnsupported(t, far.Deaf())
			if !c.onAfter {
				require.NoError(t, keepalive.Enable(conn, c.own))
			}
			set(c.new)
			if c.onAfter {
				require.NoError(t, keepalive.Enable(conn, keepalive.Options{}))
			}
			got, err := keepalive.Get(conn)
			require.NoError(t, err)
			got.UserTimeout = 0
			assert.Equal(t, c.want, got, c.name)
			wait.Go(func() {
				conn.SetReadDeadline(began.Add(30 * s))
				_, err := conn.Read(make([]byte, 1))
				took := time.Since(began)
				t.Logf("%s: from %s to %s: expected %v, measured %v", c.name, c.old, c.new, c.detection, took.Round(10*time.Millisecond))
				assert.ErrorIs(t, err, syscall.ETIMEDOUT, c.name)
				assert.InEpsilon(t, c.detection.Seconds(), took.Seconds(), 0.15, c.name)
			})
		})
	}
}
