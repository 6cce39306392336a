// Package sysdefault reads and sets the system's defaults of TCP keepalive, and finds the
// files that set them at boot.
package sysdefault

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive"
)

// A Parameter is a parameter of the system that holds a default.
type Parameter struct {
	Option string        // its key in the text form of keepalive.Options
	Name   string        // of the sysctl, or of the value in the registry
	Unit   time.Duration // 0 for a number without a unit
}

// systems has the parameters of each system. A system that is not here has none that this
// package knows.
//
// The sources are Linux's Documentation/networking/ip-sysctl.rst, tcp(4) of macOS, FreeBSD and
// DragonFly BSD, sysctl(2) of OpenBSD and sysctl(7) of NetBSD. For Windows it is Microsoft's page
// about SIO_KEEPALIVE_VALS. NetBSD's unit is that of its socket options, see keepalive_netbsd.go.
var systems = map[string][]Parameter{
	"linux":     sysctls("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", time.Second),
	"darwin":    sysctls("net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt", time.Millisecond),
	"freebsd":   sysctls("net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt", time.Millisecond),
	"dragonfly": sysctls("net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt", time.Millisecond),
	"netbsd":    sysctls("net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "net.inet.tcp.keepcnt", time.Second/2),
	"openbsd":   sysctls("net.inet.tcp.keepidle", "net.inet.tcp.keepintvl", "", time.Second),
	"windows": {
		{"idle", "KeepAliveTime", time.Millisecond},
		{"interval", "KeepAliveInterval", time.Millisecond},
	},
}

func sysctls(idle, interval, count string, unit time.Duration) []Parameter {
	p := []Parameter{{"idle", idle, unit}, {"interval", interval, unit}}
	if count != "" {
		p = append(p, Parameter{"count", count, 0})
	}
	return p
}

// Parameters returns those of this system.
func Parameters() []Parameter { return systems[runtime.GOOS] }

// Name returns the name of the parameter that holds the default of an option, or "".
func Name(option string) string {
	for _, p := range Parameters() {
		if p.Option == option {
			return p.Name
		}
	}
	return ""
}

// A Change is a new value of a parameter.
type Change struct {
	Parameter
	Old, New int64 // in its unit
}

// Plan returns the changes that make o the defaults of this system. Old is not set. Times
// are rounded up to the unit of the system.
func Plan(o keepalive.Options) ([]Change, error) { return plan(runtime.GOOS, o) }

func plan(system string, o keepalive.Options) ([]Change, error) {
	if len(systems[system]) == 0 {
		return nil, fmt.Errorf("this command does not set defaults on %s", system)
	}
	if o.Disabled || o == (keepalive.Options{}) {
		return nil, errors.New(noSwitch(system))
	}
	var changes []Change
	for _, option := range []struct {
		name  string
		value int64
	}{{"idle", int64(o.Idle)}, {"interval", int64(o.Interval)}, {"count", int64(o.Count)}} {
		if option.value == 0 {
			continue
		}
		p, ok := find(systems[system], option.name)
		if !ok {
			return nil, fmt.Errorf("%s: %s has no default for it that can be set", option.name, system)
		}
		unit := max(int64(p.Unit), 1)
		changes = append(changes, Change{Parameter: p, New: (option.value-1)/unit + 1})
	}
	if o.UserTimeout != 0 {
		return nil, userTimeoutError(system, o)
	}
	return changes, nil
}

// noSwitch is the reason why OPTIONS cannot turn keepalive on or off.
func noSwitch(system string) string {
	var has []string
	for _, p := range systems[system] {
		has = append(has, p.Option)
	}
	reason := fmt.Sprintf("%s has defaults for %s only: each program turns keepalive on or off for its sockets", system, strings.Join(has, ", "))
	switch system {
	case "freebsd", "darwin", "dragonfly":
		reason += ", and the sysctl net.inet.tcp.always_keepalive turns it on for all"
	}
	return reason
}

func userTimeoutError(system string, o keepalive.Options) error {
	without := o
	without.UserTimeout = 0
	if without == (keepalive.Options{}) {
		return fmt.Errorf("%s has no default for the user timeout: each program sets it for its sockets", system)
	}
	return fmt.Errorf("%s has no default for the user timeout, which is part of this: use %s", system, without)
}

func find(parameters []Parameter, option string) (Parameter, bool) {
	for _, p := range parameters {
		if p.Option == option {
			return p, true
		}
	}
	return Parameter{}, false
}

// BootFile is the default name for the file of Persist.
const BootFile = "/etc/sysctl.d/60-keepalive.conf"

// A BootSetting is a line of a file that sets a sysctl at boot.
type BootSetting struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name"`
	Value string `json:"value"`
	Last  bool   `json:"in_effect_at_boot"` // no later line sets the sysctl
}

// Command returns the command with which an administrator makes changes on a system other than
// Linux, or "" if none is known.
func Command(system string, changes []Change) string {
	var b strings.Builder
	switch system {
	case "darwin", "freebsd", "dragonfly", "netbsd", "openbsd":
		b.WriteString("sysctl")
		if system == "darwin" || system == "netbsd" {
			b.WriteString(" -w")
		}
		for _, c := range changes {
			fmt.Fprintf(&b, " %s=%d", c.Name, c.New)
		}
	case "windows":
		for i, c := range changes {
			if i > 0 {
				b.WriteString(" & ")
			}
			fmt.Fprintf(&b, `reg add HKLM\%s /v %s /t REG_DWORD /d %d /f`, registryKey, c.Name, c.New)
		}
	}
	return b.String()
}

// registryKey is in HKEY_LOCAL_MACHINE.
const registryKey = `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
