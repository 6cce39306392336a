//go:build linux

package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// conn is the descriptor of the first file that a process of self gets: the supervisor's side of
// the connection to Start. A standby has it, too, because it replies if the supervisor cannot.
const conn = 3

// self returns this program with the arguments of [Supervise]. It uses no terminal, folder or
// environment of this process.
func self(command []string, role string, o keepalive.Options, files ...*os.File) *exec.Cmd {
	return &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       append(append([]string{"keepalive"}, command...), role, o.String()),
		Env:        []string{},
		Dir:        "/",
		ExtraFiles: files,
	}
}

// supervisorProcess is a supervisor that waits for its listener.
type supervisorProcess struct{ conn int }

func startSupervisor(o keepalive.Options, command []string) (*supervisorProcess, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("seccomp: socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socketpair")
	defer theirs.Close()
	cmd := self(command, detach, o, theirs)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("seccomp: start the supervisor: %w %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return &supervisorProcess{conn: pair[0]}, nil
}

func (s *supervisorProcess) close() { unix.Close(s.conn) }

// give passes l to the supervisor and returns when it answers system calls.
func (s *supervisorProcess) give(l listener) error {
	defer unix.Close(int(l))
	if err := unix.Sendmsg(s.conn, []byte{0}, unix.UnixRights(int(l)), nil, 0); err != nil {
		return fmt.Errorf("seccomp: sendmsg to the supervisor: %w", err)
	}
	var reply [512]byte
	n, err := unix.Read(s.conn, reply[:])
	switch {
	case err != nil:
		return fmt.Errorf("seccomp: read from the supervisor: %w", err)
	case n == 0:
		return errors.New("seccomp: the supervisor ended before the program started")
	}
	pid, err := strconv.Atoi(string(reply[:n]))
	if err != nil {
		return fmt.Errorf("seccomp: supervisor: %s", reply[:n])
	}
	// kernel.yama.ptrace_scope=1 forbids processes other than parents to look into the
	// program. Without Yama there is no PR_SET_PTRACER.
	_ = unix.Prctl(unix.PR_SET_PTRACER, uintptr(pid), 0, 0, 0)
	return nil
}

// takeListener is the supervisor's side of give.
func takeListener() (listener, error) {
	unix.CloseOnExec(conn)
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(conn, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("recvmsg: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("no listener: keepalive run has ended")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, fmt.Errorf("no listener: %w", err)
	}
	return listener(fds[0]), nil
}

// reply lets give return. A supervisor calls it when it has a standby, or with an error. Only the
// first reply has an effect, because Start then closes its side of conn.
func reply(err error) {
	text := strconv.Itoa(os.Getpid())
	if err != nil {
		text = err.Error()
	}
	_, _ = unix.Write(conn, []byte(text))
}

// startDetached starts the supervisor in a session of its own, so that it gets no signals from the
// terminal.
func startDetached(o keepalive.Options, command []string) error {
	if err := closeAllOnExec(); err != nil {
		return err
	}
	cmd := self(command, supervise, o, os.NewFile(conn, "socketpair"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// closeAllOnExec keeps descriptors that the program inherits, such as pipes and locks, from the
// supervisor.
func closeAllOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
