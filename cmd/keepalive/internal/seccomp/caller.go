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

// An owner is the user and the group that the sockets of a thread belong to.
type owner struct{ fsuid, fsgid int }

func (c caller) owner() (o owner, err error) {
	const filesystem = 3 // after the real, the effective and the saved one
	status, err := c.status()
	if err == nil {
		o.fsuid, err = status.number("Uid:", filesystem)
	}
	if err == nil {
		o.fsgid, err = status.number("Gid:", filesystem)
	}
	return o, err
}

// process returns the process of the caller.
func (c caller) process() (int, error) {
	status, err := c.status()
	if err != nil {
		return -1, err
	}
	return status.number("Tgid:", 0)
}

// status is the text of /proc/TID/status.
type status []byte

func (c caller) status() (status, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/status", c), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	return buf[:max(n, 0)], err
}

// number returns a number in the line that begins with name.
func (s status) number(name string, index int) (int, error) {
	for line := range bytes.Lines(s) {
		if values, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if fields := bytes.Fields(values); index < len(fields) {
				return strconv.Atoi(string(fields[index]))
			}
		}
	}
	return -1, unix.ENODATA
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
