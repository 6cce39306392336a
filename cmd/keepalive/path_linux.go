package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/idletimeout"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

func newPathCommand() *cobra.Command {
	p := pathCommand{limits: idletimeout.Limits{Max: 20 * time.Minute, Connections: 32}}
	cmd := &cobra.Command{
		Use:   "path HOST:PORT",
		Short: "Measure after how long the path to a server drops an idle connection",
		Long: `path measures after how long NATs, firewalls and load balancers on the path to a
server drop an idle connection. The server can be any TCP server.

It opens connections and leaves each of them idle for another time. Then the
kernel sends a keepalive probe, which the server's kernel answers if the
connection is still open. The result is a range for the timeout, and the
settings that keep a connection open. The range is a second or 2 % wide, or more
if the round-trip time is long. A measurement usually takes 1.1 to 1.8 times the
timeout, or --max if there is none.

The verdict, in the output of -o json, is one of

  drops          the path drops idle connections silently
  resets         the path drops them, and answers later segments with RST
  closes         they are closed with FIN or RST at the timeout, unless probes
                 are sent
  server-closes  the server closes connections without data, despite probes
  server-probes  the server sends probes itself, so no connection is idle
  open           connections were open after --max
  no-answer      no probe was answered, so nothing can be measured
  unfinished     the measurement was ended with Ctrl-C, or by an error

lower_seconds is the longest idle time after which a connection was open, and
upper_seconds the shortest one after which it was not. Both are null if unknown.
The field text has the result in words. Other fields are there if they apply:
closed_after_seconds, every_seconds (of the server's probes), keep_open and
options (settings to use), outages, restarts, and refused (connections that the
server closed at once).

Only the direction to the server is measured: a path can block the server's
segments earlier. Some NATs open a dropped connection again for a probe, and
then look as if they had no timeout. That shows only if the server closes
connections: its FIN then arrives after a probe, and not before.

Use it for your own paths and servers. It keeps up to 33 connections open, and
opens about 8 times as many in all if the server closes them. Some servers log
or count them. For example, MySQL blocks a host after 100 connections without
login (max_connect_errors). Connections that the path has dropped stay open on
the server until it notices. No data is sent, unless --tls or --send is given.
Some servers close connections that send nothing.

The exit status is 0 for a verdict, 1 for a failure, 2 for wrong usage, and 130
after Ctrl-C, which prints what is known so far.`,
		Example: `  keepalive path db.example.com:5432
  keepalive path -o json --max 10m db.example.com:5432
  keepalive path --tls --send 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n' example.com:443`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.out, p.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return p.run(ctx, args[0])
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&p.limits.Max, "max", p.limits.Max, "longest idle time to measure")
	flags.DurationVar(&p.limits.Precision, "precision", 0, "end when the range is this narrow (default 1s or 2 %)")
	flags.IntVar(&p.limits.Connections, "connections", p.limits.Connections, "number of connections at a time, from 8 to 256")
	flags.BoolVar(&p.tls, "tls", false, "do a TLS handshake first, without verification")
	flags.StringVar(&p.send, "send", "", `data to send first, with escapes such as \r\n`)
	addOutputFlag(cmd, &p.output)
	return cmd
}

// errInterrupted ends the command with the status that shells use for SIGINT.
var errInterrupted = statusError{errors.New("interrupted"), 130}

type pathCommand struct {
	limits idletimeout.Limits
	tls    bool
	send   string
	output string

	out, errs io.Writer
	address   string // of the server, after connecting
	status    statusLine
}

func (p *pathCommand) run(ctx context.Context, address string) error {
	config, err := p.config(address)
	if err != nil {
		return err
	}
	p.address = address
	p.status = statusLine{p.errs, screenOf(p.errs)}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var writeErr error // the first one
	write := func(format string, args ...any) {
		if _, err := fmt.Fprintf(p.out, format, args...); err != nil && writeErr == nil {
			writeErr = err
			stop()
		}
	}
	config.Progress = func(now idletimeout.Progress) { p.status.show(progressText(now)) }
	config.Connected = func(addr net.Addr) {
		p.address = addr.String()
		if p.output == "text" {
			write("Measuring the path to %s with idle times up to %s.\n", p.address, text.Duration(p.limits.Max))
		}
	}
	last := ""
	config.Found = func(f idletimeout.Finding) {
		d := atLeast(f.Idle)
		if f.Outcome != idletimeout.Answered {
			d = atMost(f.Idle) // as in the result
		}
		line := fmt.Sprintf("  %8s  %s\n", d, f.Outcome)
		if p.output == "text" && line != last {
			p.status.clear()
			write("%s", line)
		}
		last = line
	}
	result, err := idletimeout.Measure(ctx, config)
	p.status.clear()
	interrupted := errors.Is(err, context.Canceled)
	switch {
	case writeErr != nil:
		return writeErr
	case interrupted && result.Verdict == "": // before the first connection
		result.Verdict = idletimeout.Unfinished
	case err != nil && !interrupted && result.Lower == 0:
		return err
	}
	if p.output == "json" {
		if err := json.NewEncoder(p.out).Encode(p.report(result)); err != nil {
			return err
		}
	} else {
		write("\n")
		for paragraph := range strings.Lines(p.text(result)) {
			write("%s", text.Wrap("", paragraph, text.Width))
		}
	}
	if writeErr != nil {
		return writeErr
	}
	switch {
	case err == nil && result.Verdict == idletimeout.Unfinished:
		return errors.New("not finished, because too many connections were closed or lost")
	case err == nil:
		return nil
	case interrupted:
		return errInterrupted
	}
	return err
}

// config checks the arguments.
func (p *pathCommand) config(address string) (idletimeout.Config, error) {
	config := idletimeout.Config{Address: address, TLS: p.tls}
	host, port, err := net.SplitHostPort(address)
	if addr, parseErr := netip.ParseAddr(strings.Trim(address, "[]")); parseErr == nil && err != nil {
		return config, usagef("%q has no port: must be HOST:PORT, for example %s", address, net.JoinHostPort(addr.String(), "443"))
	}
	switch {
	case strings.Contains(address, "://"):
		return config, usagef("%q is a URL: must be HOST:PORT, for example example.com:443", address)
	case err != nil || host == "" || port == "":
		return config, usagef("%q: must be HOST:PORT, for example example.com:443 or [::1]:443", address)
	case p.limits.Max < 2*time.Second || p.limits.Max > 7*24*time.Hour:
		return config, usagef("--max %v: must be between 2s and 168h", p.limits.Max)
	case p.limits.Precision != 0 && p.limits.Precision < time.Second:
		return config, usagef("--precision %v: must be at least 1s", p.limits.Precision)
	case p.limits.Connections < 8 || p.limits.Connections > 256:
		return config, usagef("--connections %d: must be between 8 and 256", p.limits.Connections)
	}
	if err := checkOutput(p.output); err != nil {
		return config, err
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 1 || n > 65535) {
		return config, usagef("%q: port %d: must be between 1 and 65535", address, n)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return config, usagef("%q: unknown port %q", address, port)
	}
	send, err := strconv.Unquote(`"` + strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(p.send) + `"`)
	if err != nil {
		return config, usagef(`--send %q: must be text with escapes such as \r, \n, \\ and \x00`, p.send)
	}
	config.Send, config.Limits = []byte(send), p.limits
	return config, nil
}

// pathReport is the output of -o json.
type pathReport struct {
	Address            string              `json:"address"`
	Verdict            idletimeout.Verdict `json:"verdict"`
	LowerSeconds       *float64            `json:"lower_seconds"`
	UpperSeconds       *float64            `json:"upper_seconds"`
	ClosedAfterSeconds *float64            `json:"closed_after_seconds,omitempty"` // for closes and server-closes
	EverySeconds       *float64            `json:"every_seconds,omitempty"`        // for server-probes
	KeepOpen           string              `json:"keep_open,omitempty"`
	Options            string              `json:"options,omitempty"`
	Outages            int                 `json:"outages,omitempty"`
	Restarts           int                 `json:"restarts,omitempty"`
	Refused            int                 `json:"refused,omitempty"`
	Text               string              `json:"text"`
}

func (p *pathCommand) report(r idletimeout.Result) pathReport {
	report := pathReport{
		Address: p.address, Verdict: r.Verdict, Outages: r.Outages, Restarts: r.Restarts, Refused: r.Refused,
		LowerSeconds: secondsOf(r.Lower), UpperSeconds: secondsOf(r.Upper), EverySeconds: secondsOf(r.Every),
		Text: strings.ReplaceAll(p.text(r), "\n", " "),
	}
	if r.Closed != nil {
		report.ClosedAfterSeconds = known(seconds(r.Closed.After), true)
	}
	if d := keepOpen(r); d > 0 {
		report.KeepOpen, report.Options = optionText(d), keepalive.KeepOpen(d).String()
	}
	return report
}

// secondsOf returns d, or nil if it is 0.
func secondsOf(d time.Duration) *float64 { return known(seconds(d), d != 0) }

// keepOpen returns the timeout for keep-open, or 0 if keepalive does not help.
func keepOpen(r idletimeout.Result) time.Duration {
	switch r.Verdict {
	case idletimeout.Drops, idletimeout.Resets, idletimeout.Closes:
		return r.Lower.Truncate(time.Second)
	}
	return 0
}

// text returns the result in words. Each line is a paragraph.
func (p *pathCommand) text(r idletimeout.Result) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	between := fmt.Sprintf("%s to %s", atLeast(r.Lower), atMost(r.Upper))
	switch r.Verdict {
	case idletimeout.Drops:
		add("The path drops a connection that has been idle for %s. It sends nothing when it does.", between)
	case idletimeout.Resets:
		add("The path drops a connection that has been idle for %s, and answers the next segment with RST.", between)
	case idletimeout.Closes:
		add("A connection that has been idle for %s is closed with %s. Connections on which probes were sent stayed open.", between, closing(r.Closed))
	case idletimeout.ServerCloses:
		if r.Closed.After == 0 {
			add("The server closes all connections at once.")
			break
		}
		add("The server, or a proxy on the way, closes a connection with %s when no data has arrived for %s, even if probes are sent. Keepalive cannot prevent that: send data more often, or change the server's timeout.", closing(r.Closed), closedAfter(r.Closed))
		if r.Reopened {
			add("Idle connections received that only after a probe. So the path drops idle connections before, and lets a probe open them again, as NATs on Linux do (nf_conntrack_tcp_loose).")
		} else if r.Lower > 0 {
			add("The path kept connections open that were idle for %s. Its timeout is longer than that, or there is none.", atLeast(r.Lower))
		}
	case idletimeout.ServerProbes:
		what := "a segment without data, probably a keepalive probe,"
		if r.Data {
			what = "data"
		}
		every := "at least every second or so"
		if r.Every > 0 {
			every = fmt.Sprintf("every %.1fs", r.Every.Seconds())
		}
		add("The server sends %s %s by itself. So no connection is idle for longer, and a longer timeout of the path does not matter and cannot be measured.", what, every)
		if r.Lower > 0 {
			add("The path kept connections open that were idle for %s.", atLeast(r.Lower))
		}
	case idletimeout.Open:
		add("The path kept connections open that were idle for %s. A longer timeout would need a longer --max.", atLeast(r.Lower))
	case idletimeout.NoAnswer:
		add("No keepalive probe was answered, although connections could be opened. The server or a firewall ignores probes, or the path drops connections that are idle for a second. So nothing can be measured.")
	case idletimeout.Unfinished:
		switch {
		case r.Upper > 0:
			add("Not finished. The path drops a connection that has been idle for %s.", between)
		case r.Lower > 0:
			add("Not finished. The path kept connections open that were idle for %s.", atLeast(r.Lower))
		default:
			add("Not finished. Nothing is known yet.")
		}
	}
	if d := keepOpen(r); d > 0 {
		add("Settings to use: keep-open=%s, which is %s here.", optionText(d), keepalive.KeepOpen(d))
	}
	if r.Verdict == idletimeout.Open || r.Upper > 0 {
		add("Only the direction to the server was measured.")
	}
	if r.Refused > 0 && (r.Closed == nil || r.Closed.After > 0) {
		add("The server closed some connections at once (%d), so that fewer were used.", r.Refused)
	}
	if r.Restarts > 0 {
		add("Connections of different ages were closed at the same time, so the server was probably restarted (restarts: %d). That was not counted.", r.Restarts)
	}
	if r.Outages > 0 {
		add("The network was down meanwhile (outages: %d). Probes of that time were not counted.", r.Outages)
	}
	return strings.Join(lines, "\n")
}

// closedAfter returns after which times connections were closed.
func closedAfter(c *idletimeout.Closing) string {
	after := fmt.Sprintf("%.1fs", c.After.Seconds())
	if longest := fmt.Sprintf("%.1fs", c.Longest.Seconds()); c.Longest > c.After && longest != after {
		after += " to " + longest
	}
	return after
}

func closing(c *idletimeout.Closing) string {
	how := "FIN"
	if c.Reset {
		how = "RST"
	}
	if c.Text != "" {
		how += fmt.Sprintf(" after sending %q", c.Text)
	}
	return how
}

func progressText(p idletimeout.Progress) string {
	switch {
	case p.Down:
		return "The network is down. Waiting."
	case p.Low == 0:
		return "Opening connections."
	}
	line := "Open after " + atLeast(p.Low)
	if p.High > 0 {
		line += ", not after " + atMost(p.High)
	}
	if p.Next > 0 {
		line += fmt.Sprintf(". Next: %s, in %s", atLeast(p.Next), text.Duration(p.In.Truncate(time.Second)+time.Second))
	}
	return line + ". At most " + text.Duration(p.Left.Round(time.Second)) + " left."
}

// optionText returns d as a value of OPTIONS.
func optionText(d time.Duration) string {
	return strings.TrimPrefix(keepalive.Options{Idle: d}.String(), "idle=")
}

// atLeast and atMost return d rounded down and up, to tenths of a second below a minute.
func atLeast(d time.Duration) string {
	if d < time.Minute {
		return d.Truncate(time.Second / 10).String()
	}
	return text.Duration(d.Truncate(time.Second))
}

func atMost(d time.Duration) string {
	if d < time.Minute {
		return atLeast(d + time.Second/10 - 1)
	}
	return atLeast(d + time.Second - 1)
}
