//go:build linux

package sockets

import (
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace.
type Namespace struct {
	Inode uint64 // identifies it, as in the text net:[4026531840]
	path  string
}

const ownNamespace = "/proc/thread-self/ns/net"

// NamespaceAt returns the network namespace at path, for example /proc/PID/ns/net or
// /run/netns/NAME.
func NamespaceAt(path string) (Namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Namespace{}, fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return Namespace{}, fmt.Errorf("%s is not a network namespace", path)
	}
	inode, err := inodeOf(fd)
	return Namespace{inode, path}, err
}

func inodeOf(fd int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Ino, err
}

// Namespaces returns the network namespaces of this process and of all others, as far as this
// process may see them, and those in /run/netns.
func Namespaces() ([]Namespace, error) {
	var st unix.Stat_t
	if err := unix.Stat(ownNamespace, &st); err != nil {
		return nil, fmt.Errorf("%s: %w (is /proc mounted?)", ownNamespace, err)
	}
	all := []Namespace{{st.Ino, ownNamespace}}
	seen := map[uint64]bool{st.Ino: true}
	add := func(path string) {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && !seen[st.Ino] {
			seen[st.Ino] = true
			all = append(all, Namespace{st.Ino, path})
		}
	}
	pids, err := processes()
	if err != nil {
		return nil, err
	}
	for _, p := range pids {
		add(fmt.Sprintf("/proc/%d/ns/net", p.PID))
	}
	named, _ := filepath.Glob("/run/netns/*")
	for _, path := range named {
		if n, err := NamespaceAt(path); err == nil { // else it is an empty file that is not mounted
			add(n.path)
		}
	}
	return all, nil
}

// sockets returns the sockets of the namespace.
func (n Namespace) sockets() ([]*Socket, error) {
	fd, err := n.openDiag()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return diag(fd, n.Inode)
}

// openDiag opens a netlink socket for sock_diag in the namespace. The socket stays there wherever
// it is used.
func (n Namespace) openDiag() (fd int, err error) {
	if n.path == ownNamespace {
		return newDiag()
	}
	other, err := unix.Open(n.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(other)
	if inode, err := inodeOf(other); err != nil || inode != n.Inode {
		return 0, unix.ENOENT // the path belongs to another process now
	}
	own, err := unix.Open(ownNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(own)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(other, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			return
		}
		fd, err = newDiag()
		if unix.Setns(own, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with the goroutine
	}()
	<-done
	return fd, err
}

func newDiag() (int, error) {
	return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
}
