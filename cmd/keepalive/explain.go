package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/explain"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sysdefault"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// maxConnections is more than any host has, and keeps the figures short.
const maxConnections = 1_000_000_000

func newExplainCommand() *cobra.Command {
	var connections int
	var output string
	cmd := &cobra.Command{
		Use:   "explain OPTIONS",
		Short: "Show what settings mean on this system",
		Long: `explain shows what settings mean on this system, without changing anything:

  - when probes are sent, and when a dead peer is detected, on an idle
    connection and with data in flight
  - the numbers behind detect-within and keep-open
  - which middleboxes keep an idle connection open
  - the traffic of idle connections

The system's defaults are used for settings that are not in OPTIONS.

A middlebox is a NAT, a firewall or a load balancer. These are the sources of
the timeouts:

` + middleboxSources(),
		Example: `  keepalive explain detect-within=1m
  keepalive explain keep-open=350s --connections 1000000
  keepalive explain idle=45s,interval=5s,count=3,user-timeout=1m
  keepalive explain on                 # the system's defaults
  keepalive explain detect-within=1m -o json | jq .idle_connection`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeOptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if connections < 1 || connections > maxConnections {
				return usagef("--connections %d: must be between 1 and %d", connections, maxConnections)
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			x, err := explainOptions(args[0], connections)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), x)
			}
			return x.WriteText(cmd.OutOrStdout(), widthOf(cmd.OutOrStdout()))
		},
	}
	cmd.Flags().IntVar(&connections, "connections", 1000, "show the traffic of `N` idle connections")
	addOutputFlag(cmd, &output)
	return cmd
}

// widthOf returns the number of columns of the terminal w, but at most text.Width. For a file, it
// returns text.Width.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return min(width, text.Width)
		}
	}
	return text.Width
}

// completeOptions completes the argument OPTIONS.
func completeOptions(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all := []cobra.Completion{"detect-within=", "keep-open=", "idle=", "interval=", "count=", "user-timeout=", "on", "off"}
	if i := strings.LastIndexByte(begun, ','); i >= 0 {
		for j := range all {
			all[j] = begun[:i+1] + all[j]
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// addOutputFlag adds -o to a command that writes text or one JSON object.
func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "`format` of the output: text or json")
	complete(cmd, "output", "text", "json")
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return usagef("--output %q: must be text or json", output)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func middleboxSources() string {
	var b strings.Builder
	for i, m := range explain.Middleboxes {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  %s, %s:", m.Name, text.Duration(time.Duration(m.IdleTimeout)))
		for _, source := range m.Sources {
			b.WriteString("\n    " + strings.TrimPrefix(source, "https://"))
		}
	}
	return b.String()
}

// explainOptions explains the argument OPTIONS on this system.
func explainOptions(text string, connections int) (*explain.Explanation, error) {
	o, err := parseOptions(text)
	var ignored []string
	if errors.Is(err, errors.ErrUnsupported) {
		o, ignored, err = withoutUnsupported(o)
	}
	if err != nil {
		return nil, err
	}
	h, err := thisHost()
	if err != nil {
		return nil, err
	}
	x, err := explain.Explain(h, text, o, connections)
	if err != nil {
		return nil, err
	}
	for _, key := range ignored {
		x.Warnings = append(x.Warnings, fmt.Sprintf("%s is ignored, because a program cannot set it on %s.", key, x.System))
	}
	return x, nil
}

// withoutUnsupported returns o without the settings that this system does not have, and their
// keys.
func withoutUnsupported(o keepalive.Options) (keepalive.Options, []string, error) {
	var ignored []string
	for _, s := range []struct {
		key   string
		one   keepalive.Options
		clear func()
	}{
		{"idle", keepalive.Options{Idle: o.Idle}, func() { o.Idle = 0 }},
		{"interval", keepalive.Options{Interval: o.Interval}, func() { o.Interval = 0 }},
		{"count", keepalive.Options{Count: o.Count}, func() { o.Count = 0 }},
		{"user-timeout", keepalive.Options{UserTimeout: o.UserTimeout}, func() { o.UserTimeout = 0 }},
	} {
		if s.one != (keepalive.Options{}) && errors.Is(s.one.Validate(), errors.ErrUnsupported) {
			s.clear()
			ignored = append(ignored, s.key)
		}
	}
	return o, ignored, o.Validate()
}

// thisHost describes this system.
func thisHost() (explain.Host, error) {
	h := explain.Host{
		System: runtime.GOOS,
		Detect: keepalive.Options.DetectionTime,
		Name:   sysdefault.Name,
		Linux:  explain.DefaultRetransmission,
	}
	var err error
	h.Defaults, err = keepalive.SystemDefaults()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return h, err
	}
	if runtime.GOOS != "linux" {
		return h, nil
	}
	if !h.UserTimeoutReplacesCount() {
		// Its sysctls are neither its defaults nor can they be written (measured, runsc of 2026-09).
		h.System, h.Name = "gvisor", func(string) string { return "" }
		return h, nil
	}
	for name, set := range map[string]func(int64){
		"net.ipv4.tcp_retries2":   func(v int64) { h.Linux.Retries = int(v) },
		"net.ipv4.tcp_rto_min_us": func(v int64) { h.Linux.MinRTO = time.Duration(v) * time.Microsecond },
		"net.ipv4.tcp_rto_max_ms": func(v int64) { h.Linux.MaxRTO = time.Duration(v) * time.Millisecond },
	} {
		if v, ok, err := sysdefault.Read(name); err == nil && ok { // not in every container
			set(v)
		}
	}
	return h, nil
}
