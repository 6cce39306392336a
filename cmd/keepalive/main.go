// Command keepalive configures and inspects TCP keepalive from outside a program.
//
// See README.md, or run:
//
//	keepalive help
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes the command with args and returns its exit status. It is 0 for success, 1 for a
// failure, 2 for wrong usage, and 3 for a check that could not be made. The commands run and path
// have others.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "keepalive: %v\n", err)
	if status := (statusError{}); errors.As(err, &status) {
		return status.status
	}
	return 1
}

// statusError is an error that ends the command with a status other than 1.
type statusError struct {
	error
	status int
}

func (e statusError) Unwrap() error { return e.error }

// Exit statuses.
const (
	statusUsage   = 2 // an error in the arguments
	statusUnknown = 3 // a check could not be made
)

func usagef(format string, args ...any) error {
	return statusError{fmt.Errorf(format, args...), statusUsage}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "keepalive",
		Short: "Configure and inspect TCP keepalive from outside a program",
		Long: `keepalive configures and inspects TCP keepalive from outside a program.

OPTIONS is a list of settings in one of these forms:

  idle=45s,interval=5s,count=3,user-timeout=1m   any of these settings
  detect-within=1m    settings that detect a dead peer within a minute
  keep-open=350s      settings that keep a connection open through a NAT or a
                      load balancer that drops idle connections after 350s
  on, off             turn keepalive on without changing its times, or off

All of them but off turn keepalive on. Settings that are not named keep their
values.

The exit status is 0 for success, 1 for a failure, and 2 for wrong usage. With
list --fail-if, it is 3 if the check could not be made. With run, it is the
status of the program, see keepalive run --help.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: see keepalive help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newExplainCommand(), newSystemCommand(), newManCommand())
	root.AddCommand(linuxCommands()...)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	return root
}

// usageArgs makes errors of a check for arguments, such as cobra.ExactArgs, usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w: see %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}

// version returns the version of the module that this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}

// needsLinux returns a command that only reports that it needs Linux.
func needsLinux(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              short + " (Linux only)",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return fmt.Errorf("keepalive %s needs Linux, and this is %s", name, runtime.GOOS)
		},
	}
}

// complete makes the shell suggest values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
}

// withoutPrefix is an error of package keepalive without the name of the package in its text.
type withoutPrefix struct{ error }

func (e withoutPrefix) Error() string { return strings.ReplaceAll(e.error.Error(), "keepalive: ", "") }
func (e withoutPrefix) Unwrap() error { return e.error }

// parseOptions parses the argument OPTIONS, and checks whether this system accepts the values. If it
// does not support an option, the error matches errors.ErrUnsupported, and the result is valid.
func parseOptions(text string) (keepalive.Options, error) {
	var o keepalive.Options
	err := o.UnmarshalText([]byte(text))
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		return o, usagef("OPTIONS %q: %w", text, withoutPrefix{err})
	}
	return o, nil
}
