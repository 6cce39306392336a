package main

import (
	"bytes"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

func newListCommand() *cobra.Command {
	var l listCommand
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the TCP connections of this host and their keepalive options",
		Long: `list shows each TCP connection and listener of this host, with the process that
owns it, its keepalive options, and whether its peer is suspect.

The columns are:

  KEEPALIVE     idle time, interval and count, for example 45s:5s:3; or off
  USER TIMEOUT  the limit for unacknowledged data, if any socket has one
  DETECTION     the time until the kernel detects a dead peer on an idle
                connection; never if keepalive is off
  SILENCE       the time since the last segment from the peer
  UNANSWERED    probes, or segments, that the peer has not answered yet. The
                peer is suspect if it should have answered by now.

Connections that a listener accepts begin with the options of the listener.

On a narrow terminal, columns are left out. With --watch, rows that do not fit
on the terminal are left out.

The list has the sockets of all network namespaces that have a process or a
file in /run/netns. To read other namespaces than its own, list needs
CAP_SYS_ADMIN.

Only root, or a user with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, can read the
options of other users' sockets. Without these rights, list shows what it can
derive from the kernel's timer: whether keepalive is on, and a lower bound of
the idle time (or of the interval, if that is longer), for example "on,
idle>=45s". A question mark means that a value is not known.

A dead peer is not suspect before data or a probe is unanswered. So on an idle
connection without keepalive, it is never suspect.

With --output json, each line is an object. A value that is not known is null,
and so is detection_seconds if a dead peer is never detected. With --output
metrics, the output has the Prometheus text format.

With --fail-if, the exit status is 1 if a socket meets one of the conditions,
and 3 if no socket meets one, but some could not be checked:

  without-keepalive  a connection has keepalive off
  suspect            the peer of a connection is probably dead
  detection>TIME     a dead peer would be detected later than that, or never`,
		Example: `  keepalive list
  keepalive list --process redis-server --state established
  keepalive list --remote 10.0.0.0/8 --without-keepalive
  keepalive list --suspect --watch=5s
  keepalive list --port 5432 --fail-if 'detection>2m'
  keepalive list -o json | jq 'select(.suspect)'
  keepalive list -o metrics > keepalive.prom.tmp && mv keepalive.prom.tmp keepalive.prom`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unexpected argument %q: list takes only flags, such as --process nginx or --watch=5s", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd) },
	}
	l.filter.add(cmd)
	cmd.Flags().BoolVarP(&l.closed, "all", "a", false, "also connections that no program holds, because they are closed or not yet accepted")
	cmd.Flags().StringVarP(&l.format, "output", "o", "text", "output `format`: text, json or metrics")
	cmd.Flags().DurationVarP(&l.watch, "watch", "w", 0, "repeat the list after this `time`, 2s if none is given")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	cmd.Flags().StringSliceVar(&l.failIf, "fail-if", nil, "exit with status 1 if a socket meets one of these `conditions`")
	complete(cmd, "output", "text", "json", "metrics")
	complete(cmd, "fail-if", "without-keepalive", "suspect", "detection>")
	return cmd
}

// listCommand is keepalive list.
type listCommand struct {
	filter filterFlags
	closed bool
	format string
	watch  time.Duration
	failIf []string
}

func (l *listCommand) run(cmd *cobra.Command) error {
	write := map[string]func(io.Writer, sockets.Table, screen) error{"text": writeTable, "json": writeJSONLines, "metrics": writeMetrics}[l.format]
	switch {
	case write == nil:
		return usagef("--output %q: must be text, json or metrics", l.format)
	case cmd.Flags().Changed("watch") && l.watch < 100*time.Millisecond:
		return usagef("--watch %v: must be at least 100ms", l.watch)
	case l.watch > 0 && (len(l.failIf) > 0 || l.format == "metrics"):
		return usagef("--watch cannot be combined with --fail-if or with metrics")
	case cmd.Flags().Changed("fail-if") && len(l.failIf) == 0:
		return usagef("--fail-if: must not be empty")
	}
	conditions, err := parseConditions(l.failIf)
	if err != nil {
		return err
	}
	filter, err := l.filter.filter()
	if err != nil {
		return err
	}
	filter.Closed = l.closed
	out := cmd.OutOrStdout()
	for first := true; ; first = false {
		screen := screenOf(out)
		if l.watch == 0 {
			screen.height = 0 // the terminal can scroll
		}
		stop := progress(cmd.ErrOrStderr(), "reading the sockets of this host")
		table, err := sockets.List(filter)
		stop()
		var text bytes.Buffer
		if err == nil {
			if l.format == "text" && (!first || screen.width > 0 && l.watch > 0) {
				text.WriteString(screen.nextPage())
			}
			err = write(&text, table, screen)
		}
		if err == nil {
			_, err = text.WriteTo(out)
		}
		switch {
		case err != nil && len(conditions) > 0:
			return statusError{err, statusUnknown}
		case err != nil:
			return err
		case l.watch == 0:
			return check(conditions, table)
		}
		time.Sleep(l.watch)
	}
}
