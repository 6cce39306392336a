//go:build linux

package seccomp

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// Roles of a process, see the package documentation.
const (
	detach    = "detach"
	supervise = "supervise"
	standby   = "standby"
)

// Supervise plays one of the roles below. A supervisor returns when no process has the filter any
// more. Start and Supervise execute this program with the arguments command, role and the text of o.
// With these arguments, the program must call Supervise.
func Supervise(role string, o keepalive.Options, command ...string) error {
	// To stop a service, systemd sends SIGTERM to all of its processes. The supervisor must
	// stay until the program has ended. Without SIGXFSZ, writes return an error.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGXFSZ)
	switch role {
	case detach:
		return startDetached(o, command)
	case supervise:
		return superviseFirst(o, command)
	case standby:
		return superviseNext(o, command)
	}
	return fmt.Errorf("seccomp: unknown role %q", role)
}

// superviseFirst is the supervisor that Start waits for.
func superviseFirst(o keepalive.Options, command []string) error {
	l, err := takeListener()
	if err != nil {
		return err
	}
	p, err := newFirstPair(l, o, command)
	if err != nil {
		reply(err)
		return err
	}
	p.run()
	return nil
}

// superviseNext is the standby. It reads until the supervisor ends.
func superviseNext(o keepalive.Options, command []string) error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	p, err := newNextPair(o, command)
	if err != nil {
		return err
	}
	p.run()
	return nil
}
