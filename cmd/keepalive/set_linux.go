package main

import (
	"errors"
	"fmt"
	"strings"
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
		Long: `Set sets OPTIONS on the running connections and listeners that all FILTERS
select, and reads each one back. The connections that a listener accepts from
then on get its options. Programs do not notice.

At least one filter is required. Set never changes other sockets.

The exit status is 1 if an option could not be set on a socket that still
exists, or if no socket matches. Changing the sockets of other users requires
root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.

A program can set its own options later. To prevent that, use keepalive run or
keepalive attach.`,
		Example: `  keepalive set detect-within=1m --process redis-server
  keepalive set idle=45s,interval=5s,count=3 --port 5432 --dry-run
  keepalive set keep-open=350s --remote 10.0.0.0/8 --without-keepalive
  keepalive set off --pid 4711 --state listen`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeOptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := parseOptions(args[0])
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
			stop := progress(cmd.ErrOrStderr(), "setting options")
			defer stop()
			if dryRun {
				return showChanges(cmd, filter, opts)
			}
			table, err := sockets.Find(filter)
			if err != nil {
				return err
			}
			changes := sockets.Set(table.Sockets, opts)
			stop()
			return report(cmd, table, changes, opts)
		},
	}
	filters.add(cmd.Flags())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show the sockets and what they have now")
	complete(cmd, "state", sockets.States()...)
	return cmd
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
	out := cmd.OutOrStdout()
	writeRows(out, table.Sockets, screenOf(out))
	fmt.Fprintf(out, "\nkeepalive set would set %q on %s, which have the options above now.\n", opts, plural(len(table.Sockets), "socket"))
	return nil
}

// report shows how many sockets of each process were changed, and each failure.
func report(cmd *cobra.Command, table sockets.Table, changes []sockets.Change, opts keepalive.Options) error {
	if len(changes) == 0 {
		return noSocket(table)
	}
	type row struct {
		process                string
		connections, listeners int
	}
	var rows []*row
	failed, gone := 0, 0
	for _, c := range changes {
		if c.Err == nil && !inEffect(opts, c.After) {
			c.Err = fmt.Errorf("the kernel reports %s: has the program changed it again?", c.After)
		}
		switch {
		case errors.Is(c.Err, sockets.ErrGone):
			gone++
			continue
		case c.Err != nil:
			failed++
			text := strings.TrimPrefix(c.Err.Error(), "keepalive: ")
			if errors.Is(c.Err, errors.ErrUnsupported) {
				text += "; all other options are set"
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "keepalive: %s: %s\n", socketText(c.Socket), text)
			continue
		}
		process := processText(c.Socket)
		if len(rows) == 0 || rows[len(rows)-1].process != process {
			rows = append(rows, &row{process: process})
		}
		if c.State == sockets.Listen {
			rows[len(rows)-1].listeners++
		} else {
			rows[len(rows)-1].connections++
		}
	}
	if len(rows) > 0 {
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "PROCESS\tCONNECTIONS\tLISTENERS")
		for _, r := range rows {
			fmt.Fprintf(tw, "%s\t%d\t%d\n", r.process, r.connections, r.listeners)
		}
		tw.Flush()
	}
	text := fmt.Sprintf("Set %q on %d of %s.", opts, len(changes)-failed-gone, plural(len(changes), "socket"))
	if gone > 0 {
		text += fmt.Sprintf(" %s closed meanwhile.", strings.Replace(plural(gone, "socket was"), "socket wass", "sockets were", 1))
	}
	fmt.Fprintln(cmd.OutOrStdout(), text)
	if failed > 0 {
		return fmt.Errorf("could not set %q on %s", opts, plural(failed, "socket"))
	}
	return nil
}

func noSocket(t sockets.Table) error {
	if t.Hidden > 0 {
		return fmt.Errorf("no socket matches; the processes of %s are not known: %s", plural(t.Hidden, "socket"), rights())
	}
	return errors.New("no socket matches the filters")
}

// socketText names a socket in a message.
func socketText(s *sockets.Socket) string {
	if s.State == sockets.Listen {
		kind := "listener"
		if s.Multipath {
			kind = "Multipath TCP listener"
		}
		return fmt.Sprintf("%s, %s %s", processText(s), kind, s.Local)
	}
	return fmt.Sprintf("%s, %s to %s", processText(s), s.Local, s.Remote)
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
