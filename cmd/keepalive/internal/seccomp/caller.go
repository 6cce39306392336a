//go:build linux

package seccomp

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// A caller is a thread that waits in a system call.
type caller int

// networkInode identifies the network namespace of the caller. Each namespace has files of its
// own in /proc/PID/net. Unlike /proc/PID/ns/net, they need no permission to trace the process.
func (c caller) networkInode() (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(fmt.Sprintf("/proc/%d/net/dev", c), &st)
	return st.Ino, err
}

// fsuid returns the user whom the sockets of the caller belong to.
func (c caller) fsuid() (int, error) {
	fields, err := c.status("Uid:")
	if err != nil || len(fields) != 4 {
		return -1, fmt.Errorf("no file system user: %w", err)
	}
	return strconv.Atoi(string(fields[3]))
}

// process returns the process of the caller.
func (c caller) process() (int, error) {
	fields, err := c.status("Tgid:")
	if err != nil || len(fields) != 1 {
		return -1, fmt.Errorf("no process: %w", err)
	}
	return strconv.Atoi(string(fields[0]))
}

// status returns the values in a line of /proc/TID/status.
func (c caller) status(name string) ([][]byte, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/status", c), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var buf [4096]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(buf[:n]) {
		if values, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return bytes.Fields(values), nil
		}
	}
	return nil, unix.ENODATA
}

// readMemory reads the memory of the caller.
func (c caller) readMemory(address uint64, buf []byte) error {
	local := []unix.Iovec{{Base: &buf[0]}}
	local[0].SetLen(len(buf))
	n, err := unix.ProcessVMReadv(int(c), local, []unix.RemoteIovec{{Base: uintptr(address), Len: len(buf)}}, 0)
	if err == nil && n < len(buf) {
		err = unix.EFAULT
	}
	return err
}

// pidfd returns a descriptor of the caller. Before Linux 6.9 it can only be one of its process.
func (c caller) pidfd() (int, error) {
	const thread = unix.O_EXCL // PIDFD_THREAD
	if fd, err := unix.PidfdOpen(int(c), thread); err != unix.EINVAL {
		return fd, err
	}
	pid, err := c.process()
	if err != nil {
		return -1, err
	}
	return unix.PidfdOpen(pid, 0)
}
