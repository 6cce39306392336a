package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/seccomp"
)

// A mechanism sets options on all TCP connections of a program.
type mechanism struct {
	name string
	// start prepares this process, which executes the program next. After an error, the next
	// mechanism can still be started, unless this one is the last.
	start func(keepalive.Options) error
	// gaps returns what the mechanism does not cover. It is called after start.
	gaps func() []string
	// covers reports whether auto may choose the mechanism for a program. If it is nil, auto may
	// choose it for all programs.
	covers func(program string) bool
}

// mechanisms are in the order in which auto tries them.
var mechanisms = []mechanism{
	{name: "cgroup", start: startCgroup, gaps: cgroupGaps, covers: is64Bit},
	{name: "seccomp", start: func(o keepalive.Options) error { return seccomp.Start(o, superviseName) }, gaps: seccomp.Gaps},
}

// mechanismNames are the values of --mechanism.
const mechanismNames = "auto, cgroup or seccomp"

// Exit statuses of env(1), timeout(1) and others.
const (
	statusFailure       = 125 // of keepalive itself
	statusCannotExecute = 126
	statusNotFound      = 127
)

// runFailure returns err with the status of a failure, also if err is wrong usage. Other statuses are
// those of the program.
func runFailure(err error) error { return statusError{err, statusFailure} }

func newRunCommand() *cobra.Command {
	var r runner
	cmd := &cobra.Command{
		Use:   "run [flags] OPTIONS [--] PROGRAM [ARGUMENTS...]",
		Short: "Run a program with OPTIONS on all of its TCP connections",
		Long: `run executes a program. All TCP connections that the program and its children
open or accept have OPTIONS, whatever they set themselves. So do sockets that
the program inherits, for example from inetd or by systemd's socket activation.

The program has the process, the terminal, the standard streams and the exit
status of keepalive run, as with env(1).

There are two mechanisms:

  cgroup   runs the program in a cgroup of its own, with eBPF. It needs root, or
           CAP_BPF, CAP_NET_ADMIN and a cgroup that the user may change.
  seccomp  makes the sockets in another process, with seccomp user notification.
           It needs Linux 5.9 and no privilege.

auto uses the first one that works, and seccomp for a 32-bit program. -v writes
which one it is, and what it does not cover. These are the main differences:

                                          cgroup   seccomp
  sockets made by io_uring                yes      no
  programs in another network namespace   yes      no
  setuid programs                         yes      only if root runs them
  32-bit programs that set own values     no       yes

Settings that keepalive attach has attached to the cgroup or one above have
priority. run writes them. README.md of this command lists further limits.

With seccomp, a supervisor makes the sockets. If it is killed, a standby takes
its place. If both are killed at the same time, socket fails with ENOSYS. A
program that is PID 1 gets the supervisor as a child. Use an init there, for
example docker run --init.

Signals that are ignored get their default action, except SIGHUP and SIGINT. For
a program that needs SIGPIPE ignored, use env --ignore-signal=PIPE PROGRAM.

The exit status is 125 if keepalive itself fails, also for wrong usage, 126 if
the program cannot be executed, 127 if it is not found, and otherwise that of
the program.`,
		Example: `  keepalive run detect-within=1m -- redis-server /etc/redis.conf
  keepalive run idle=45s,interval=5s,count=3,user-timeout=1m -- java -jar app.jar
  keepalive run -v keep-open=350s -- psql -h db.example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(programOf(args)) == 0 {
				return runFailure(fmt.Errorf("OPTIONS or PROGRAM is missing: see %s --help", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0], programOf(args)) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return runFailure(fmt.Errorf("%w: see %s --help", err, cmd.CommandPath()))
	})
	cmd.Flags().SetInterspersed(false) // flags after OPTIONS are the program's
	cmd.Flags().StringVar(&r.mechanism, "mechanism", "auto", mechanismNames)
	cmd.Flags().BoolVarP(&r.verbose, "verbose", "v", false, "write the mechanism and what it does not cover")
	return cmd
}

// runner is keepalive run.
type runner struct {
	mechanism string
	verbose   bool
}

// run executes program. It returns only if that fails.
func (r *runner) run(cmd *cobra.Command, options string, program []string) error {
	signal.Reset() // as if this process were the program already
	o, err := parseAndWarn(cmd, options)
	if err != nil {
		return runFailure(err)
	}
	logf := func(format string, args ...any) {
		fmt.Fprintf(cmd.ErrOrStderr(), "keepalive: "+format+"\n", args...)
	}
	if err := setInherited(o); err != nil {
		logf("%v", err)
	}
	m, err := startMechanism(r.mechanism, program[0], o)
	if err != nil {
		return runFailure(err)
	}
	for _, text := range outerSettings(m) {
		logf("%s", text)
	}
	if r.verbose {
		logf("mechanism %s: %v", m.name, o)
		logf("not covered: %s", strings.Join(m.gaps(), "; "))
	}
	err = execProgram(program)
	if errors.Is(err, fs.ErrNotExist) {
		return statusError{err, statusNotFound}
	}
	return statusError{err, statusCannotExecute}
}

// programOf returns the program and its arguments, which follow OPTIONS.
func programOf(args []string) []string {
	if len(args) > 1 && args[1] == "--" {
		return args[2:]
	}
	return args[min(1, len(args)):]
}

// startMechanism starts the mechanism with that name. auto is the first one that works for program.
func startMechanism(name, program string, o keepalive.Options) (*mechanism, error) {
	var errs []error
	for i := range mechanisms {
		m := &mechanisms[i]
		if name != m.name && (name != "auto" || m.covers != nil && !m.covers(program)) {
			continue
		}
		err := m.start(o)
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("--mechanism %s: must be %s", name, mechanismNames)
	}
	text := errs[0].Error()
	for _, err := range errs[1:] {
		text += "; " + err.Error()
	}
	return nil, errors.New(text)
}
