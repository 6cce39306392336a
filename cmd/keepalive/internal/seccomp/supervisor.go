//go:build linux

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/descriptor"
)

// A supervisor answers the system calls of which the filter notifies it. If it cannot set the
// options, the kernel executes the system call as the program made it.
type supervisor struct {
	listener listener
	options  keepalive.Options
	ours     []uint32     // the options of TCP in options
	network  uint64       // networkInode of this process
	owner    owner        // of this thread, see become
	current  *pendingCall // shared with the standby
}

// pendingCall is a system call that is not answered yet.
type pendingCall struct {
	notification notification
	// added is the descriptor that the caller was given, plus 1. It is 0 if none was.
	added int64
}

func newSupervisor(l listener, o keepalive.Options, current *pendingCall) (*supervisor, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	network, err := caller(unix.Getpid()).networkInode()
	if err != nil {
		return nil, err
	}
	return &supervisor{listener: l, options: o, ours: tcpOptions(o), network: network, owner: owner{unix.Geteuid(), unix.Getegid()}, current: current}, nil
}

// serve answers system calls until no process has the filter any more. The caller is locked to
// its thread, because owner belongs to a thread.
func (s *supervisor) serve() {
	s.listener.wakeOnSameCPU()
	if s.current.notification.id != 0 { // of a supervisor that ended
		s.answer(s.current)
	}
	for s.listener.wait() {
		*s.current = pendingCall{}
		if s.listener.receive(&s.current.notification) == nil {
			s.answer(s.current)
		}
	}
}

func (s *supervisor) answer(p *pendingCall) {
	// The error means that the caller does not wait any more, for example because of a signal.
	_ = s.listener.send(p.notification.id, s.decide(p))
}

func (s *supervisor) decide(p *pendingCall) answer {
	switch f, args := decode(&p.notification); f {
	case socket:
		if slices.Contains(families, args[0]) && slices.Contains(types, args[1]&typeMask) && slices.Contains(protocols, args[2]) {
			return s.socket(p, int(args[0]), int(args[1]), int(args[2]))
		}
	case setsockopt:
		switch level, opt := args[1], args[2]; {
		case level == unix.SOL_SOCKET && opt == unix.SO_KEEPALIVE:
			return s.setKeepAlive(p, int(args[0]))
		case level == unix.IPPROTO_TCP && slices.Contains(s.ours, opt):
			return answer{}
		}
	}
	return doCall
}

// socket makes a socket with the options, and gives it to the caller.
func (s *supervisor) socket(p *pendingCall, family, typ, protocol int) answer {
	if p.added != 0 {
		return answer{value: p.added - 1}
	}
	if !s.become(caller(p.notification.tid)) {
		return doCall
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return doCall // the kernel returns its own error
	}
	defer unix.Close(fd)
	if s.set(fd) != nil {
		if protocol == unix.IPPROTO_MPTCP {
			// It lacks one of the options. Programs such as those in Go use TCP if
			// the kernel has no Multipath TCP.
			return answer{errno: unix.EPROTONOSUPPORT}
		}
		return doCall
	}
	added, err := s.listener.addSocket(p.notification.id, fd, typ&unix.SOCK_CLOEXEC != 0)
	if err != nil {
		return doCall
	}
	p.added = int64(added) + 1
	return answer{value: int64(added)}
}

// setKeepAlive sets the options on a socket of the caller, which wants to set SO_KEEPALIVE. Most
// sockets are from method socket and have the options. Others are from another process, for
// example, and an answer without setting anything would leave their keepalive off.
func (s *supervisor) setKeepAlive(p *pendingCall, fd int) answer {
	pidfd, err := caller(p.notification.tid).pidfd()
	if err != nil {
		return doCall
	}
	defer unix.Close(pidfd)
	if !s.listener.isValid(p.notification.id) { // pidfd may be of another thread with the same number
		return doCall
	}
	own, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return doCall
	}
	// If the program has closed the socket meanwhile, close can wait, see SO_LINGER in socket(7).
	defer func() { go unix.Close(own) }()
	if s.set(own) != nil {
		return doCall
	}
	return answer{}
}

// become makes the sockets of this thread equal to those of the caller. They belong to the network
// namespace of the process and to the file system user and group of the thread. It returns false
// if the caller is in another namespace, or if this process may not change its user. The cgroup
// and the security label of the sockets remain those of this process.
func (s *supervisor) become(c caller) bool {
	network, err := c.networkInode()
	if err != nil || network != s.network {
		return false
	}
	want, err := c.owner()
	if err != nil {
		return false
	}
	if want != s.owner {
		// These calls return the earlier value, and no error. -1 changes nothing.
		_, _ = unix.SetfsgidRetGid(want.fsgid)
		_, _ = unix.SetfsuidRetUid(want.fsuid)
		s.owner.fsgid, _ = unix.SetfsgidRetGid(-1)
		s.owner.fsuid, _ = unix.SetfsuidRetUid(-1)
	}
	return want == s.owner
}

func (s *supervisor) set(fd int) error { return keepalive.Enable(descriptor.Conn(fd), s.options) }
