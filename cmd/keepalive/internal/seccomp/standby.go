//go:build linux

package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// A pair is a supervisor in this process and its standby, which is a child.
type pair struct {
	supervisor *supervisor
	files      []*os.File // for the standby: conn, the listener, and memory with a pendingCall
	options    keepalive.Options
	command    []string
}

// newFirstPair returns the first pair of a program.
func newFirstPair(l listener, o keepalive.Options, command []string) (*pair, error) {
	// RLIMIT_FSIZE of the program can be 0, and holds for memory files, too.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil {
		_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
	memory, err := unix.MemfdCreate("keepalive", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(memory, int64(unsafe.Sizeof(pendingCall{})))
	}
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return newPair(l, memory, o, command)
}

// newNextPair returns the pair of a process that was a standby.
func newNextPair(o keepalive.Options, command []string) (*pair, error) {
	const l, memory = conn + 1, conn + 2 // see pair.files
	unix.CloseOnExec(conn)
	unix.CloseOnExec(l)
	unix.CloseOnExec(memory)
	return newPair(l, memory, o, command)
}

func newPair(l listener, memory int, o keepalive.Options, command []string) (*pair, error) {
	b, err := unix.Mmap(memory, 0, int(unsafe.Sizeof(pendingCall{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	s, err := newSupervisor(l, o, (*pendingCall)(unsafe.Pointer(&b[0])))
	if err != nil {
		return nil, err
	}
	files := []*os.File{os.NewFile(conn, "socketpair"), os.NewFile(uintptr(l), "listener"), os.NewFile(uintptr(memory), "memfd")}
	return &pair{supervisor: s, files: files, options: o, command: command}, nil
}

// run answers system calls until no process has the filter any more.
func (p *pair) run() {
	go p.keepStandby()
	runtime.LockOSThread()
	p.supervisor.serve()
}

// startStandby starts the standby. Its standard input is a pipe that ends when this process ends.
func (p *pair) startStandby() (*exec.Cmd, error) {
	cmd := self(p.command, standby, p.options, p.files...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not killed with the supervisor's process group
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the standby: %w", err)
	}
	return cmd, nil
}

// keepStandby starts the standby, and starts it again whenever it ends.
func (p *pair) keepStandby() {
	for !p.supervisor.listener.isUnused() {
		standby, err := p.startStandby()
		reply(err)
		if err == nil {
			err = standby.Wait()
		}
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Exited() {
			time.Sleep(time.Second) // it did not start, or it failed and was not killed
		}
	}
}
