package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

func newSetCommand() *cobra.Command {
	var filters filterFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "set OPTIONS FILTERS",
		Short: "Set the options of connections and listeners of running programs",
		Long: `set sets OPTIONS on the connections and listeners of running programs, and reads
them back. It changes only sockets that match all FILTERS. At least one filter
is required. The programs need not be restarted.

Connections that a listener accepts begin with the options of the listener. Some
programs, for example Redis, set their own options on each accepted connection.
A program can also change the options later. To prevent that, use keepalive run
or keepalive attach.

If this system cannot meet a goal, such as detect-within=2s, set writes a
warning. keepalive explain shows details.

The exit status is 1 if an option could not be set on a socket that still
exists, or if no socket matches. Two cases are common:

  - Sockets of other users require root, or CAP_SYS_PTRACE and
    CAP_DAC_READ_SEARCH.
  - A Multipath TCP listener, as Go servers have it, has no user timeout. All
    other options are set on it.`,
		Example: `  keepalive set detect-within=1m --process redis-server
  keepalive set idle=45s,interval=5s,count=3 --port 5432 --dry-run
  keepalive set keep-open=350s --remote 10.0.0.0/8 --without-keepalive
  keepalive set off --pid 4711 --state listen`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeOptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := parseAndWarn(cmd, args[0])
			if err != nil {
				return err
			}
			filter, err := filters.filter()
			if err != nil {
				return err
			}
			if filter.Empty() {
				return usagef("no filter: name the sockets to change, for example --process nginx or --port 5432")
			}
			if dryRun {
				return showChanges(cmd, filter, opts)
			}
			stop := progress(cmd.ErrOrStderr(), "setting options")
			defer stop()
			table, err := sockets.Find(filter)
			if err != nil {
				return err
			}
			changes := sockets.Set(table.Sockets, opts)
			stop()
			return report(cmd, table, changes, opts)
		},
	}
	filters.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the sockets and the options that they have now, and change nothing")
	return cmd
}

// parseAndWarn parses the argument OPTIONS, and writes a warning for each goal that this system
// cannot meet.
func parseAndWarn(cmd *cobra.Command, text string) (keepalive.Options, error) {
	o, err := parseOptions(text)
	if err != nil {
		return o, err
	}
	x, err := explainOptions(text, 1)
	if err != nil {
		return o, err
	}
	for _, warning := range x.Unmet {
		fmt.Fprintf(cmd.ErrOrStderr(), "keepalive: warning: %s\n", warning)
	}
	return o, nil
}

// showChanges shows what set would change.
func showChanges(cmd *cobra.Command, filter sockets.Filter, opts keepalive.Options) error {
	table, err := sockets.List(filter)
	if err != nil {
		return err
	}
	if len(table.Sockets) == 0 {
		return noSocket(table)
	}
	var text bytes.Buffer
	writeRows(&text, table.Sockets, screenOf(cmd.OutOrStdout()))
	fmt.Fprintf(&text, "\nkeepalive set would set %q on %s. Above is what they have now.\n", opts, plural(len(table.Sockets), "socket"))
	denied := 0
	for _, s := range table.Sockets {
		if s.Options == nil {
			denied++
		}
	}
	if denied > 0 {
		fmt.Fprintf(&text, "It cannot change %d of them: %s.\n", denied, rights())
	}
	_, err = text.WriteTo(cmd.OutOrStdout())
	return err
}

// changedProcess is what set did with the sockets of a process.
type changedProcess struct {
	name                   string
	connections, listeners int
	failures               []failure
}

// failure is a reason for which sockets of a process were not changed, or only in part.
type failure struct {
	reason  string
	sockets []*sockets.Socket
}

// changedSockets is what set did.
type changedSockets struct {
	processes             []*changedProcess
	changed, failed, gone int
}

func summarize(changes []sockets.Change, opts keepalive.Options) (all changedSockets) {
	byName := make(map[string]*changedProcess)
	for _, c := range changes {
		name := ownerText(c.Socket)
		p := byName[name]
		if p == nil {
			p = &changedProcess{name: name}
			byName[name] = p
			all.processes = append(all.processes, p)
		}
		if c.Err == nil && !inEffect(opts, c.After) {
			c.Err = fmt.Errorf("the options are %s now: the program has changed them again, or keepalive attach has settings for its cgroup", c.After)
		}
		switch {
		case errors.Is(c.Err, sockets.ErrGone):
			all.gone++
		case c.Err != nil:
			all.failed++
			p.fail(c)
		case c.State == sockets.Listen:
			all.changed++
			p.listeners++
		default:
			all.changed++
			p.connections++
		}
	}
	return all
}

// report shows how many sockets of each process were changed, and why others were not.
func report(cmd *cobra.Command, table sockets.Table, changes []sockets.Change, opts keepalive.Options) error {
	if len(changes) == 0 {
		return noSocket(table)
	}
	all := summarize(changes, opts)
	var text bytes.Buffer
	if all.changed > 0 {
		tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "PROCESS\tCONNECTIONS\tLISTENERS")
		for _, p := range all.processes {
			if p.connections+p.listeners > 0 {
				fmt.Fprintf(tw, "%s\t%d\t%d\n", p.name, p.connections, p.listeners)
			}
		}
		tw.Flush()
	}
	fmt.Fprintf(&text, "Set %q on %d of %s.", opts, all.changed, plural(len(changes), "socket"))
	if all.gone > 0 {
		fmt.Fprintf(&text, " %s closed meanwhile.", number(all.gone, "socket was", "sockets were"))
	}
	fmt.Fprintln(&text)
	if _, err := text.WriteTo(cmd.OutOrStdout()); err != nil {
		return err
	}
	for _, p := range all.processes {
		for _, f := range p.failures {
			fmt.Fprintf(cmd.ErrOrStderr(), "keepalive: %s: %s: %s\n", p.name, socketsText(f.sockets), f.reason)
		}
	}
	if all.failed > 0 {
		return fmt.Errorf("could not set all of %q on %s", opts, plural(all.failed, "socket"))
	}
	return nil
}

// fail adds the reason of a failure.
func (p *changedProcess) fail(c sockets.Change) {
	reason := withoutPrefix{c.Err}.Error()
	switch {
	case errors.Is(c.Err, sockets.ErrDenied):
		reason = "no right: " + rights()
	case errors.Is(c.Err, errors.ErrUnsupported):
		reason += "; all other options are set"
	}
	i := slices.IndexFunc(p.failures, func(f failure) bool { return f.reason == reason })
	if i < 0 {
		i = len(p.failures)
		p.failures = append(p.failures, failure{reason: reason})
	}
	p.failures[i].sockets = append(p.failures[i].sockets, c.Socket)
}

func noSocket(t sockets.Table) error {
	if t.Hidden > 0 {
		return fmt.Errorf("no socket matches; the processes of %s are not known: %s", plural(t.Hidden, "socket"), rights())
	}
	return errors.New("no socket matches the filters")
}

// socketsText names sockets in a message.
func socketsText(all []*sockets.Socket) string {
	s := all[0]
	switch {
	case len(all) > 1:
		return fmt.Sprintf("%d sockets", len(all))
	case s.State != sockets.Listen:
		return fmt.Sprintf("%s to %s", s.Local, s.Remote)
	case s.Multipath:
		return fmt.Sprintf("Multipath TCP listener %s", s.Local)
	}
	return fmt.Sprintf("listener %s", s.Local)
}

// inEffect reports whether a socket on which opts was set has the options after.
func inEffect(opts, after keepalive.Options) bool {
	roundUp := func(d, unit time.Duration) time.Duration { return (d + unit - 1).Truncate(unit) }
	return opts.Disabled == after.Disabled &&
		(opts.Idle == 0 || roundUp(opts.Idle, time.Second) == after.Idle) &&
		(opts.Interval == 0 || roundUp(opts.Interval, time.Second) == after.Interval) &&
		(opts.Count == 0 || opts.Count == after.Count) &&
		(opts.UserTimeout == 0 || opts.UserTimeout == after.UserTimeout || roundUp(opts.UserTimeout, time.Millisecond) == after.UserTimeout)
}
