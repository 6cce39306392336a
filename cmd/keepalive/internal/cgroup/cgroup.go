//go:build linux

// Package cgroup sets keepalive options on all TCP connections of the programs in a cgroup,
// with eBPF programs that are attached to it.
//
// The programs stay attached until they are detached or the cgroup is removed. They run for all
// sockets that were created in the cgroup or below it, and for connections that are accepted on
// such sockets. One program sets the options when a connection is established. The other one
// runs before each setsockopt call and replaces other values of the same options.
//
// The kernel does not run the second one for system calls of 32-bit programs on a 64-bit kernel.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount returns where the cgroup v2 hierarchy is mounted.
func Mount() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, filesystem, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if ok && len(fields) > 4 && strings.HasPrefix(filesystem, "cgroup2 ") {
			return unescape(fields[4]), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", errors.New("no cgroup v2 hierarchy is mounted: mount it, for example with mount -t cgroup2 cgroup2 /mnt")
}

// Name returns the path of the cgroup dir in the hierarchy, as in /proc/self/cgroup.
func Name(dir string) string {
	mount, err := Mount()
	if err != nil {
		return dir
	}
	return filepath.Join("/", strings.TrimPrefix(dir, mount))
}

// unescape decodes the octal escapes of mountinfo, such as \040.
func unescape(path string) string {
	return regexp.MustCompile(`\\[0-7]{3}`).ReplaceAllStringFunc(path, func(octal string) string {
		n, _ := strconv.ParseUint(octal[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}

var (
	unitSuffix = regexp.MustCompile(`\.(service|scope|slice|socket|mount|swap)$`)
	hexID      = regexp.MustCompile(`^[0-9a-f]{4,64}$`)
	// docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope, or ID alone.
	container = regexp.MustCompile(`^(?:.*-)?([0-9a-f]{64})(?:\.scope)?$`)
)

// Find returns the folder of the cgroup that target names: a path, a systemd unit, or the first
// digits of a container's id.
func Find(target string) (string, error) {
	mount, err := Mount()
	if err != nil {
		return "", err
	}
	if strings.Contains(target, "/") {
		return findPath(mount, target)
	}
	isUnit, isID := unitSuffix.MatchString(target), hexID.MatchString(target)
	unit := target
	if !isUnit {
		unit += ".service"
	}
	unit = canonical(unit, unitDirs)
	var found []string
	err = walk(mount, func(dir string) error {
		name := filepath.Base(dir)
		id := container.FindStringSubmatch(name)
		switch {
		case name == target, name == unit:
		case isID && id != nil && strings.HasPrefix(id[1], target) && !strings.Contains(name, "conmon"):
		default:
			return nil
		}
		found = append(found, dir)
		return fs.SkipDir
	})
	if err != nil {
		return "", err
	}
	if len(found) > 1 { // a unit of the system has priority over one of a user
		var system []string
		for _, dir := range found {
			if !strings.HasPrefix(dir, filepath.Join(mount, "user.slice")+"/") {
				system = append(system, dir)
			}
		}
		if len(system) > 0 {
			found = system
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("%q is ambiguous, give one of these paths: %s", target, strings.Join(found, ", "))
	case isUnit:
		return "", fmt.Errorf("unit %s has no cgroup in %s: start it first, or look for its name with systemctl list-units", target, mount)
	case isID:
		return "", fmt.Errorf("no container with the id %s has a cgroup in %s: look for the id of a running one with docker ps, podman ps or crictl ps", target, mount)
	}
	return "", fmt.Errorf("no unit or cgroup %s in %s: give a unit such as nginx.service, a container's id (not its name), or a path", target, mount)
}

// unitDirs are where systemd looks for units of the system, in this order.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

// canonical returns the name of the unit for which unit is an alias, or unit. For example, Debian's
// redis.service is a link to redis-server.service, which has the cgroup.
func canonical(unit string, dirs []string) string {
	for _, dir := range dirs {
		if name, err := os.Readlink(filepath.Join(dir, unit)); err == nil && unitSuffix.MatchString(name) {
			return filepath.Base(name)
		}
	}
	return unit
}

func findPath(mount, target string) (string, error) {
	for _, dir := range []string{target, filepath.Join(mount, target)} {
		var fs unix.Statfs_t
		switch err := unix.Statfs(dir, &fs); {
		case err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC:
			if info, err := os.Stat(dir); err == nil && !info.IsDir() {
				return "", fmt.Errorf("%s is a file, and a cgroup is a folder", dir)
			}
			return resolve(dir)
		case err == nil && fs.Type == unix.CGROUP_SUPER_MAGIC:
			return "", fmt.Errorf("%s is a cgroup v1 folder, and eBPF needs one of the cgroup v2 hierarchy in %s", dir, mount)
		}
	}
	return "", fmt.Errorf("there is no cgroup %s, and no %s", target, filepath.Join(mount, target))
}

// resolve returns the absolute path of dir without links.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// walk calls do for each cgroup of the hierarchy, parents first. A cgroup can disappear at any time.
func walk(mount string, do func(dir string) error) error {
	return filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV):
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		}
		return do(path)
	})
}

// Processes returns the ids of the processes in the cgroup and below it.
func Processes(dir string) ([]int, error) {
	var pids []int
	err := walk(dir, func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP):
			return nil // it has been removed, or is a threaded cgroup, whose processes are in its parent
		case err != nil:
			return err
		}
		for _, pid := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(pid)
			if err != nil {
				return err
			}
			if n != 0 { // of another pid namespace
				pids = append(pids, n)
			}
		}
		return nil
	})
	return pids, err
}

// Own returns the folder of this process's cgroup.
func Own() (string, error) {
	mount, err := Mount()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return filepath.Join(mount, path), nil
		}
	}
	return "", errors.New("this process has no cgroup of the v2 hierarchy")
}

const createdPrefix = "keepalive-run-"

// Enter moves this process to a new cgroup below its own, to which s is attached.
//
// The kernel does not remove cgroups that are no longer used. Enter removes those that earlier
// calls created here.
func Enter(s Settings) error {
	if err := check(unix.CAP_BPF, unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	own, err := Own()
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(own), createdPrefix) { // beside it, because outer settings have priority
		own = filepath.Dir(own)
	}
	cgroup, err := create(own)
	if err != nil {
		return fmt.Errorf("creating a cgroup: %w", err)
	}
	defer cgroup.Close() // unlocks it: it has this process then
	err = attach(cgroup, s)
	if err == nil {
		err = move(cgroup.Name())
	}
	if err != nil {
		unix.Rmdir(cgroup.Name())
	}
	return err
}

// create creates a cgroup below parent, and removes those that are empty and not locked. It
// returns the new one locked.
func create(parent string) (*os.File, error) {
	locked, err := lock(parent)
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), createdPrefix) {
			removeUnused(filepath.Join(parent, e.Name()))
		}
	}
	dir, err := os.MkdirTemp(parent, createdPrefix)
	if err != nil {
		return nil, err
	}
	return lock(dir)
}

// removeUnused removes a cgroup unless it is locked or has processes.
func removeUnused(dir string) {
	cgroup, err := os.Open(dir)
	if err != nil {
		return
	}
	defer cgroup.Close()
	if unix.Flock(int(cgroup.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		unix.Rmdir(dir)
	}
}

// move moves this process to the cgroup dir.
func move(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("moving to cgroup %s: %w", dir, err)
	}
	return nil
}
