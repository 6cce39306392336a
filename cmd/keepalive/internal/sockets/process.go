//go:build linux

package sockets

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// processes returns the processes of this host by their ID, without their names.
func processes() ([]*Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []*Process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, &Process{PID: pid})
		}
	}
	slices.SortFunc(all, func(a, b *Process) int { return a.PID - b.PID })
	return all, nil
}

// readName reads the name of p. It is empty if the process has ended.
func (p *Process) readName() {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	p.Name = string(bytes.TrimSuffix(comm, []byte("\n")))
}

// readUnit reads the unit and the container of p.
func (p *Process) readUnit() {
	cgroups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.PID))
	p.Unit, p.Container = unitOf(string(cgroups))
}

// containerName matches the name of a container's cgroup: docker-ID.scope, libpod-ID.scope,
// cri-containerd-ID.scope and crio-ID.scope of systemd, or ID below a folder of that name.
var containerName = regexp.MustCompile(`^(?:([a-z-]+)-)?([0-9a-f]{64})(?:\.scope)?$`)

// unitOf returns the systemd unit and the container in the text of /proc/PID/cgroup.
func unitOf(cgroups string) (unit, container string) {
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "name=systemd" {
			continue
		}
		folders := strings.Split(fields[2], "/")
		for i, folder := range folders {
			if m := containerName.FindStringSubmatch(folder); m != nil {
				runtime := m[1]
				if runtime == "" && i > 0 {
					runtime = folders[i-1]
				}
				if strings.HasPrefix(runtime, "pod") || strings.HasPrefix(runtime, "kubepods") {
					runtime = "kubernetes"
				}
				container = runtime + ":" + m[2][:12]
			} else if strings.HasSuffix(folder, ".service") {
				unit = folder
			}
		}
	}
	return unit, container
}

// heldSocket is a socket in the table of a process.
type heldSocket struct {
	inode uint32
	Owner
}

// heldSockets returns the sockets that the processes hold, as far as this process may see them.
func heldSockets(processes []*Process) (all []heldSocket) {
	var mu sync.Mutex
	var group sync.WaitGroup
	scan := func(p *Process, fds []string) {
		found := socketsOf(p, fds)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
	}
	for _, p := range processes {
		fds := readNames(fmt.Sprintf("/proc/%d/fd", p.PID))
		if len(fds) < chunk {
			scan(p, fds)
			continue
		}
		for part := range slices.Chunk(fds, chunk) {
			group.Go(func() { scan(p, part) })
		}
	}
	group.Wait()
	return all
}

// chunk is the number of descriptors that are worth a goroutine.
const chunk = 2000

// readNames returns the names in a folder, or none if this process may not read it.
func readNames(folder string) []string {
	dir, err := os.Open(folder)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return names
}

// socketsOf returns those of p's descriptors that are sockets.
func socketsOf(p *Process, fds []string) []heldSocket {
	dir, err := unix.Open(fmt.Sprintf("/proc/%d/fd", p.PID), unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	var found []heldSocket
	var buf [64]byte
	for _, name := range fds {
		n, err := unix.Readlinkat(dir, name, buf[:])
		if err != nil {
			continue
		}
		digits, ok := bytes.CutPrefix(buf[:n], []byte("socket:["))
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(string(bytes.TrimSuffix(digits, []byte("]"))), 10, 32)
		if err != nil {
			continue
		}
		fd, _ := strconv.Atoi(name)
		found = append(found, heldSocket{uint32(inode), Owner{p, fd}})
	}
	return found
}
