package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// A foreignSocket is a TCP socket of another process.
type foreignSocket struct {
	pid, fd     int
	isListener  bool
	isConnected bool
	options     keepalive.Options
}

func (s foreignSocket) String() string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.pid))
	kind := "unconnected"
	if s.isListener {
		kind = "listener"
	} else if s.isConnected {
		kind = "connection"
	}
	return fmt.Sprintf("%s %d, descriptor %d, %s: %v", strings.TrimSpace(string(name)), s.pid, s.fd, kind, s.options)
}

// connectionsOf returns the TCP connections of processes, as the kernel reports them. A connection
// that two processes have is one of both.
func connectionsOf(t *testing.T, pids ...int) []foreignSocket {
	return slices.DeleteFunc(socketsOf(t, pids...), func(s foreignSocket) bool { return !s.isConnected })
}

// socketsOf returns the TCP sockets of processes, as the kernel reports them.
func socketsOf(t *testing.T, pids ...int) []foreignSocket {
	var sockets []foreignSocket
	for _, p := range pids {
		pidfd, err := unix.PidfdOpen(p, 0)
		if err != nil {
			continue // ended
		}
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p))
		for _, e := range entries {
			target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p, e.Name()))
			if !strings.HasPrefix(target, "socket:") {
				continue
			}
			n, err := strconv.Atoi(e.Name())
			require.NoError(t, err)
			if s, err := readSocket(pidfd, n); err == nil {
				s.pid = p
				sockets = append(sockets, s)
			} else if !errors.Is(err, keepalive.ErrNotTCP) && !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.ESRCH) {
				t.Errorf("process %d, descriptor %d: %v", p, n, err)
			}
		}
		unix.Close(pidfd)
	}
	return sockets
}

func readSocket(pidfd, n int) (foreignSocket, error) {
	fd, err := unix.PidfdGetfd(pidfd, n, 0)
	if err != nil {
		return foreignSocket{}, err
	}
	defer unix.Close(fd)
	options, err := keepalive.Get(descriptor.Conn(fd))
	listens, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	s := foreignSocket{fd: n, isListener: listens == 1, isConnected: err == nil, options: options}
	if errors.Is(err, unix.ENOTCONN) {
		err = nil
	}
	return s, err
}

// withDescendants returns processes, their children, the children of these, and so on.
func withDescendants(t *testing.T, pids ...int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(t, err)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		require.NoError(t, err)
		children[parent] = append(children[parent], child)
	}
	all := slices.Clone(pids)
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
