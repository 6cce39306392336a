package sysdefault

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
)

func TestPlan(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		system  string
		o       keepalive.Options
		command string
		err     string
	}{
		{"linux", keepalive.Options{Idle: 1500 * time.Millisecond, Interval: 1, Count: 3}, "", ""},
		{"darwin", keepalive.Options{Idle: 45 * s, Interval: 5 * s, Count: 3}, "sysctl -w net.inet.tcp.keepidle=45000 net.inet.tcp.keepintvl=5000 net.inet.tcp.keepcnt=3", ""},
		{"freebsd", keepalive.Options{Idle: 45 * s}, "sysctl net.inet.tcp.keepidle=45000", ""},
		{"netbsd", keepalive.Options{Idle: 45 * s}, "sysctl -w net.inet.tcp.keepidle=90", ""},
		{"openbsd", keepalive.Options{Idle: 45 * s, Interval: 1500 * time.Millisecond}, "sysctl net.inet.tcp.keepidle=45 net.inet.tcp.keepintvl=2", ""},
		{"openbsd", keepalive.Options{Count: 3}, "", "count: openbsd has no default for it that can be set"},
		{"windows", keepalive.Options{Idle: 45 * s, Interval: s},
			`reg add HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters /v KeepAliveTime /t REG_DWORD /d 45000 /f & ` +
				`reg add HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters /v KeepAliveInterval /t REG_DWORD /d 1000 /f`, ""},
		{"windows", keepalive.Options{Count: 3}, "", "count: windows has no default for it that can be set"},
		{"plan9", keepalive.Options{Idle: s}, "", "this command does not set defaults on plan9"},
		{"linux", keepalive.Options{}, "", "linux has defaults for idle, interval, count only: each program turns keepalive on or off for its sockets"},
		{"linux", keepalive.Options{Disabled: true, Idle: s}, "", "linux has defaults for idle, interval, count only: each program turns keepalive on or off for its sockets"},
		{"freebsd", keepalive.Options{}, "", "freebsd has defaults for idle, interval, count only: each program turns keepalive on or off for its sockets, and the sysctl net.inet.tcp.always_keepalive turns it on for all"},
		{"linux", keepalive.Options{Idle: s, UserTimeout: s}, "", "linux has no default for the user timeout, which is part of this: use idle=1s"},
		{"linux", keepalive.Options{UserTimeout: keepalive.NoUserTimeout}, "", "linux has no default for the user timeout: each program sets it for its sockets"},
	} {
		changes, err := plan(c.system, c.o)
		if c.err != "" {
			assert.EqualError(t, err, c.err, c)
			continue
		}
		assert.NoError(t, err)
		assert.Equal(t, c.command, Command(c.system, changes))
	}
	changes, err := plan("linux", keepalive.Options{Idle: 1500 * time.Millisecond, Interval: 1, Count: 3})
	assert.NoError(t, err)
	var got string
	for _, c := range changes {
		got += fmt.Sprintf("%s %s = %d (%v), ", c.Option, c.Name, c.New, c.Unit)
	}
	assert.Equal(t, "idle net.ipv4.tcp_keepalive_time = 2 (1s), interval net.ipv4.tcp_keepalive_intvl = 1 (1s), count net.ipv4.tcp_keepalive_probes = 3 (0s), ", got)
}

// TestRead reads the parameters of this system.
func TestRead(t *testing.T) {
	if len(Parameters()) == 0 {
		t.Skip("not supported here: this system has no parameters that are known")
	}
	o, err := keepalive.SystemDefaults()
	assert.NoError(t, err)
	for _, p := range Parameters() {
		v, ok, err := Read(p.Name)
		assert.NoError(t, err)
		if !ok {
			t.Logf("no %s", p.Name)
			continue
		}
		want := map[string]int64{"idle": int64(o.Idle), "interval": int64(o.Interval), "count": int64(o.Count)}[p.Option]
		assert.Equal(t, want, v*max(int64(p.Unit), 1), p.Name)
	}
	_, ok, err := Read("net.ipv4.no_such_sysctl")
	assert.False(t, ok)
	assert.NoError(t, err)
}
