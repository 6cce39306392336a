//go:build linux

package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A listener is the descriptor on which the kernel reports the system calls that the filter
// notifies of. See seccomp_unotify(2).
type listener int

// callData is struct seccomp_data.
type callData struct {
	nr   int32
	arch uint32
	ip   uint64
	args [6]uint64
}

// notification is struct seccomp_notif.
type notification struct {
	id    uint64
	tid   uint32
	flags uint32
	data  callData
}

// receive waits for a system call. n must be zero.
func (l listener) receive(n *notification) error {
	_, err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
	return err
}

// isUnused reports whether no process has the filter any more.
func (l listener) isUnused() bool {
	fds := []unix.PollFd{{Fd: int32(l)}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLHUP != 0
}

// wait waits until there is a system call to receive. It returns false if no process has the
// filter any more. Before Linux 6.11, a receive that waits does not return then.
func (l listener) wait() bool {
	for {
		fds := []unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}}
		// If a signal interrupts it, it returns EINTR or POLLERR.
		_, err := unix.Poll(fds, -1)
		switch {
		case err != nil:
		case fds[0].Revents&unix.POLLIN != 0:
			return true
		case fds[0].Revents&unix.POLLHUP != 0:
			return false
		}
	}
}

// isValid reports whether the thread still waits in system call id. What was read about it
// before is about this thread then, and not about a later one with the same number.
func (l listener) isValid(id uint64) bool {
	_, err := l.ioctlAgain(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id))
	return err == nil
}

// addSocket gives the process a descriptor of socket fd, and returns its number there.
//
// It does not use SECCOMP_ADDFD_FLAG_SEND, which also answers: if a signal interrupts that, the
// system call returns 0 (seen on Linux 6.18).
func (l listener) addSocket(id uint64, fd int, cloexec bool) (int, error) {
	add := struct {
		id                             uint64
		flags, srcFd, newFd, newFdFlag uint32
	}{id: id, srcFd: uint32(fd)}
	if cloexec {
		add.newFdFlag = unix.O_CLOEXEC
	}
	return l.ioctlAgain(unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&add))
}

// hasAddFd reports whether the kernel has addSocket.
func (l listener) hasAddFd() bool {
	_, err := l.addSocket(0, int(l), true) // there is no notification 0
	return err == unix.ENOENT
}

// An answer is the result of a system call.
type answer struct {
	value  int64
	errno  unix.Errno
	doCall bool // the kernel executes the system call, as without a filter
}

var doCall = answer{doCall: true}

// send ends the system call. An error means that the thread does not wait any more.
func (l listener) send(id uint64, a answer) error {
	response := struct {
		id    uint64
		val   int64
		errno int32
		flags uint32
	}{id: id, val: a.value, errno: -int32(a.errno)}
	if a.doCall {
		response.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	_, err := l.ioctlAgain(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response))
	return err
}

// wakeOnSameCPU makes both sides run on the same CPU, which is faster, because they never run at
// the same time. It needs Linux 6.6, and nothing depends on it.
func (l listener) wakeOnSameCPU() {
	_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, uintptr(l), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
}

// ioctlAgain calls ioctl again if a signal interrupts it. That can happen while it waits for the
// kernel's lock of the listener, before it has done anything.
func (l listener) ioctlAgain(request uintptr, arg unsafe.Pointer) (int, error) {
	for {
		n, err := l.ioctl(request, arg)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (l listener) ioctl(request uintptr, arg unsafe.Pointer) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(l), request, uintptr(arg))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
