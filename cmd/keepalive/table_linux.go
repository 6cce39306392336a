package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// detectionTime returns the detection time of s if it is known. It is the longest Duration if
// keepalive is off.
func detectionTime(s *sockets.Socket) (time.Duration, bool) {
	on, known := s.Keepalive()
	switch {
	case known && !on:
		return math.MaxInt64, true
	case s.Options != nil:
		return s.Options.DetectionTime(), true
	}
	return 0, false
}

// column is a column of the table. It is left out if it is "-" for all sockets.
type column struct {
	title string
	value func(s *sockets.Socket) string
	drop  int // the order in which columns are left out if the screen is narrow; 0: never
}

const unknown = "?"

var columns = []column{
	{"PROCESS", processText, 0},
	{"UNIT", func(s *sockets.Socket) string {
		if len(s.Owners) == 0 || s.Owners[0].Unit+s.Owners[0].Container == "" {
			return "-"
		}
		return cmp.Or(s.Owners[0].Container, s.Owners[0].Unit)
	}, 1},
	{"LOCAL", func(s *sockets.Socket) string { return s.Local.String() }, 0},
	{"REMOTE", func(s *sockets.Socket) string {
		if s.State == sockets.Listen {
			return "-"
		}
		return s.Remote.String()
	}, 0},
	{"STATE", func(s *sockets.Socket) string { return s.State.String() }, 4},
	{"KEEPALIVE", keepaliveText, 0},
	{"USER TIMEOUT", func(s *sockets.Socket) string {
		if s.Options == nil || s.Options.UserTimeout == 0 || s.Options.UserTimeout == keepalive.NoUserTimeout {
			return "-"
		}
		return text.Duration(s.Options.UserTimeout)
	}, 3},
	{"DETECTION", func(s *sockets.Socket) string {
		switch d, known := detectionTime(s); {
		case !known:
			return unknown
		case d == math.MaxInt64:
			return "never"
		default:
			return text.Duration(d.Round(time.Second))
		}
	}, 0},
	{"SILENCE", func(s *sockets.Socket) string {
		if s.Info.Silence < 0 {
			return "-"
		}
		return text.Duration(roundDown(s.Info.Silence))
	}, 2},
	{"UNANSWERED", unansweredText, 0},
}

// roundDown leaves out what is not interesting of a long time.
func roundDown(d time.Duration) time.Duration {
	if d >= 10*time.Second {
		return d.Truncate(time.Second)
	}
	return d.Truncate(100 * time.Millisecond)
}

func processText(s *sockets.Socket) string {
	text := ownerText(s)
	if n := len(pids(s)); n > 1 {
		text += fmt.Sprintf(" +%d", n-1)
	}
	return text
}

// ownerText names the first process that holds s.
func ownerText(s *sockets.Socket) string {
	switch {
	case s.Closed():
		return "(closed)"
	case len(s.Owners) == 0:
		return fmt.Sprintf("(user %d)", s.UID)
	}
	return fmt.Sprintf("%s/%d", printable(s.Owners[0].Name), s.Owners[0].PID)
}

// pids returns the processes that hold s.
func pids(s *sockets.Socket) []int {
	all := []int{}
	for _, o := range s.Owners {
		all = append(all, o.PID)
	}
	return slices.Compact(all)
}

func keepaliveText(s *sockets.Socket) string {
	on, known := s.Keepalive()
	switch {
	case !known:
		return unknown
	case !on:
		return "off"
	case s.Options != nil:
		return fmt.Sprintf("%s:%s:%d", text.Duration(s.Options.Idle), text.Duration(s.Options.Interval), s.Options.Count)
	case s.Derived.MinIdle > 0:
		return "on, idle>=" + text.Duration(s.Derived.MinIdle)
	}
	return "on"
}

func unansweredText(s *sockets.Socket) string {
	var parts []string
	if s.Info.Probes > 0 {
		parts = append(parts, plural(s.Info.Probes, "probe"))
	}
	if s.Info.Unacked > 0 {
		parts = append(parts, plural(s.Info.Unacked, "segment"))
	}
	if suspect, known := s.Suspect(); suspect && known {
		parts = append(parts, "suspect")
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// writeTable writes a table, and what matters most in a last line.
func writeTable(w io.Writer, t sockets.Table, screen screen) error {
	if len(t.Sockets) == 0 {
		_, err := fmt.Fprintln(w, "No socket matches.", missing(t))
		return err
	}
	last := summary(t)
	shown := screen.rows(len(t.Sockets), last)
	writeRows(w, t.Sockets[:shown], screen)
	if more := len(t.Sockets) - shown; more > 0 {
		fmt.Fprintf(w, "… %d more\n", more)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", last)
	return err
}

// writeRows writes a title and a line for each socket.
func writeRows(w io.Writer, all []*sockets.Socket, screen screen) {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	shown := fitting(all, screen)
	if n := len(namespaces(all)); n > 1 {
		shown = append(shown, column{"NETNS", func(s *sockets.Socket) string { return fmt.Sprint(s.Namespace) }, 0})
	}
	for _, c := range shown {
		fmt.Fprint(tw, c.title, "\t")
	}
	for _, s := range all {
		fmt.Fprintln(tw)
		for _, c := range shown {
			fmt.Fprint(tw, c.value(s), "\t")
		}
	}
	tw.Flush()
	for i, line := range strings.Split(text.String(), "\n") {
		color := 0
		if i > 0 {
			color = colorOf(all[i-1])
		}
		fmt.Fprintln(w, screen.line(line, color))
	}
}

// fitting returns the columns that have values and fit on the screen.
func fitting(all []*sockets.Socket, screen screen) []column {
	var shown []column
	widths := make(map[string]int)
	total := 0
	for _, c := range columns {
		width := 0
		used := len(all) == 0
		for _, s := range all {
			value := c.value(s)
			width = max(width, utf8.RuneCountInString(value))
			used = used || value != "-"
		}
		if used {
			widths[c.title] = max(width, len(c.title)) + 2
			total += widths[c.title]
			shown = append(shown, c)
		}
	}
	for drop := 1; screen.width > 0 && total > screen.width && drop <= len(columns); drop++ {
		shown = slices.DeleteFunc(shown, func(c column) bool {
			if c.drop == drop {
				total -= widths[c.title]
			}
			return c.drop == drop
		})
	}
	return shown
}

// namespaces returns the network namespaces of sockets.
func namespaces(all []*sockets.Socket) map[uint64]bool {
	found := make(map[uint64]bool)
	for _, s := range all {
		found[s.Namespace] = true
	}
	return found
}

func colorOf(s *sockets.Socket) int {
	if suspect, known := s.Suspect(); suspect && known {
		return red
	}
	if on, known := s.Keepalive(); known && !on && s.State.Connected() {
		return yellow
	}
	return 0
}

// summary returns the line below the table.
func summary(t sockets.Table) string {
	var connections, listeners, never, suspects, unknown int
	for _, s := range t.Sockets {
		if s.State == sockets.Listen {
			listeners++
			continue
		}
		connections++
		if !s.State.Connected() || s.Closed() {
			continue
		}
		switch d, known := detectionTime(s); {
		case !known:
			unknown++
		case d == math.MaxInt64:
			never++
		}
		if suspect, known := s.Suspect(); suspect && known {
			suspects++
		}
	}
	text := fmt.Sprintf("%s, %s. %s would never detect a dead peer while idle.", plural(connections, "connection"), plural(listeners, "listener"), plural(never, "connection"))
	if suspects > 0 {
		text += fmt.Sprintf(" %s probably dead.", number(suspects, "peer is", "peers are"))
	}
	if unknown > 0 {
		text += fmt.Sprintf(" The detection time of %s is not known: %s.", plural(unknown, "connection"), rights())
	}
	return strings.TrimSuffix(text+" "+missing(t), " ")
}

// missing returns a text about sockets that the table may lack.
func missing(t sockets.Table) string {
	var parts []string
	if t.Hidden > 0 {
		parts = append(parts, fmt.Sprintf("The processes of %s are not known: %s.", plural(t.Hidden, "other socket"), rights()))
	}
	if t.ClosedNamespaces > 0 {
		parts = append(parts, fmt.Sprintf("Sockets of %s are missing: requires CAP_SYS_ADMIN.", plural(t.ClosedNamespaces, "network namespace")))
	}
	return strings.Join(parts, " ")
}

// rights returns what to do to see more sockets.
func rights() string {
	if os.Geteuid() != 0 {
		return "run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
	}
	return "CAP_SYS_PTRACE or CAP_DAC_READ_SEARCH is missing, or the process is in another PID namespace"
}
