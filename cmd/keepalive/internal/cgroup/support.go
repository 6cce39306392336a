//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// check returns an error if the kernel is too old or has no eBPF, or this process lacks a
// capability. A kernel that is too old would accept the programs, which then set nothing.
func check(capabilities ...int) error {
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return err
	}
	if err := checkRelease(unix.ByteSliceToString(uname.Release[:])); err != nil {
		return err
	}
	if err := checkCapabilities(capabilities...); err != nil {
		return err
	}
	const noCommand = 1 << 30
	switch _, _, errno := unix.Syscall(unix.SYS_BPF, noCommand, 0, 0); errno {
	case unix.ENOSYS:
		return errors.New("this kernel has no eBPF (CONFIG_BPF_SYSCALL)")
	case unix.EPERM:
		return errors.New("bpf(2) is forbidden here, for example by the seccomp profile of a container: run it on the host")
	}
	return nil
}

// features are what the programs need of the kernel, and the versions that have it.
var features = []struct {
	major, minor int
	name         string
}{
	{5, 9, "SO_KEEPALIVE and TCP_KEEPIDLE in bpf_setsockopt"},
	{5, 3, "eBPF programs for setsockopt"},
	{4, 13, "eBPF programs for TCP connections"},
}

func checkRelease(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("unknown version of Linux: %q", release)
	}
	var missing []string
	for _, f := range features {
		if major < f.major || major == f.major && minor < f.minor {
			missing = append(missing, fmt.Sprintf("%s (Linux %d.%d)", f.name, f.major, f.minor))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this kernel, %s, lacks %s", release, strings.Join(missing, ", "))
	}
	return nil
}

var capabilityNames = map[int]string{unix.CAP_BPF: "CAP_BPF", unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN"}

// checkCapabilities returns an error that names the capabilities that this process lacks.
func checkCapabilities(capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("reading the capabilities: %w", err)
	}
	has := func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	var missing []string
	for _, c := range capabilities {
		if !has(c) && !(c == unix.CAP_BPF && has(unix.CAP_SYS_ADMIN)) {
			missing = append(missing, capabilityNames[c])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this needs %s: run it as root", strings.Join(missing, " and "))
	}
	if uids, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(uids)), " ") != "0 0 4294967295" {
		return errors.New("eBPF needs the capabilities of the host, and this process is in a user namespace: run it outside")
	}
	return nil
}

// explain adds to err the reason why the kernel refused an eBPF system call.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%s: this kernel has no eBPF for cgroups (CONFIG_CGROUP_BPF)", what)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: this kernel has no eBPF for cgroups (CONFIG_CGROUP_BPF), or not all of it: %w", what, err)
	case errors.Is(err, unix.EPERM):
		if err := checkCapabilities(unix.CAP_SYS_ADMIN); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return fmt.Errorf("%s: another program is attached there or above so that no further one is allowed: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
