package compat

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-keepalive/keepalive"
)

// A socket is a TCP socket of this process, which belongs to a library. Its methods read it
// without the library's help. Get accepts it.
type socket struct {
	net.Conn
	fd   int
	link string // "socket:[INODE]"
}

// otherEnd returns the socket to which conn is connected. ok is false if it is closed.
func otherEnd(conn net.Conn) (s socket, ok bool) {
	local, remote := conn.RemoteAddr().(*net.TCPAddr).Port, conn.LocalAddr().(*net.TCPAddr).Port
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		link := readLink(f.Name())
		if !strings.HasPrefix(link, "socket:") {
			continue
		}
		fd, _ := strconv.Atoi(f.Name())
		name, err := syscall.Getsockname(fd)
		if err != nil || port(name) != local {
			continue
		}
		if name, err = syscall.Getpeername(fd); err == nil && port(name) == remote {
			return socket{fd: fd, link: link}, true
		}
	}
	return socket{}, false
}

func port(addr syscall.Sockaddr) int {
	switch a := addr.(type) {
	case *syscall.SockaddrInet4:
		return a.Port
	case *syscall.SockaddrInet6:
		return a.Port
	}
	return 0
}

func readLink(fd string) string {
	link, _ := os.Readlink("/proc/self/fd/" + fd)
	return link
}

// isOpen reports whether the library has not closed the socket.
func (s socket) isOpen() bool { return readLink(strconv.Itoa(s.fd)) == s.link }

// isConnected reports whether the library has not closed the socket, and the kernel has not
// dropped the connection.
func (s socket) isConnected() bool {
	if !s.isOpen() {
		return false
	}
	_, err := keepalive.Get(s)
	return !errors.Is(err, syscall.ENOTCONN)
}

func (s socket) SyscallConn() (syscall.RawConn, error) { return rawSocket(s.fd), nil }

type rawSocket uintptr

func (s rawSocket) Control(f func(fd uintptr)) error { f(uintptr(s)); return nil }
func (rawSocket) Read(func(fd uintptr) bool) error   { return errors.ErrUnsupported }
func (rawSocket) Write(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
