//go:build linux

package sockets

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// NamespaceOf returns the inode number of the network namespace at path, for example
// /proc/PID/ns/net or /run/netns/NAME.
func NamespaceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return st.Ino, nil
}

const ownNamespace = "/proc/thread-self/ns/net"

// namespaces returns a path for each network namespace of the processes, by inode number. It
// leaves out those that this process may not see.
func namespaces(processes []*Process) (map[uint64]string, error) {
	own, err := NamespaceOf(ownNamespace)
	if err != nil {
		return nil, err
	}
	paths := map[uint64]string{own: ownNamespace}
	for _, p := range processes {
		path := fmt.Sprintf("/proc/%d/ns/net", p.PID)
		if inode, err := NamespaceOf(path); err == nil && paths[inode] == "" {
			paths[inode] = path
		}
	}
	return paths, nil
}

// openDiag opens a netlink socket for sock_diag in the network namespace at path. The socket
// stays there wherever it is used.
func openDiag(path string) (fd int, err error) {
	if path == ownNamespace {
		return newDiag()
	}
	namespace, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(namespace)
	own, err := unix.Open(ownNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(own)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
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
