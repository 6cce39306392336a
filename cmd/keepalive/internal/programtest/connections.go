//go:build linux

package programtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// Connection is a TCP connection of a process.
type Connection struct {
	PID     int
	Remote  string
	Options keepalive.Options
}

// Connections returns the established TCP connections of a process. A connection that two
// processes have is one of both.
func Connections(pid int) ([]Connection, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(process)
	var list []Connection
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(target, "socket:") {
			continue
		}
		n, _ := strconv.Atoi(e.Name())
		fd, err := unix.PidfdGetfd(process, n, 0)
		if errors.Is(err, unix.EBADF) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, ok, err := read(fd)
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
		if ok {
			c.PID = pid
			list = append(list, c)
		}
	}
	return list, nil
}

// read returns the connection of a socket. ok is false if it is no TCP connection.
func read(fd int) (c Connection, ok bool, err error) {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP {
		return c, false, err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return c, false, nil // a listener
	}
	switch p := peer.(type) {
	case *unix.SockaddrInet4:
		c.Remote = (&net.TCPAddr{IP: p.Addr[:], Port: p.Port}).String()
	case *unix.SockaddrInet6:
		c.Remote = (&net.TCPAddr{IP: p.Addr[:], Port: p.Port}).String()
	}
	c.Options, err = keepalive.Get(descriptor.Conn(fd))
	return c, true, err
}
