package explain

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// page is a text for people.
type page struct {
	strings.Builder
	width int // number of columns
}

func (b *page) wrap(prefix, s string) { b.WriteString(text.Wrap(prefix, s, b.width)) }

// WriteText writes x for people, in lines of less than width columns. Tables may need 80.
func (x *Explanation) WriteText(w io.Writer, width int) error {
	b := &page{width: width}
	x.writeSettings(b)
	x.writeIdle(b)
	x.writeInFlight(b)
	x.writeMiddleboxes(b)
	x.writeTraffic(b)
	writeList(b, "Warnings", x.Warnings)
	writeList(b, "Notes", x.Notes)
	_, err := io.WriteString(w, b.String())
	return err
}

func (x *Explanation) writeSettings(b *page) {
	if len(x.goals) > 0 {
		b.wrap("", fmt.Sprintf("On %s, %s means %s.", x.System, x.Options, x.named))
		b.WriteString("\n")
	} else {
		fmt.Fprintf(b, "Settings on %s\n\n", x.System)
	}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	state := "on"
	if !x.KeepAlive {
		state = "off"
	}
	fmt.Fprintf(tw, "  keepalive\t%s\n", state)
	s := x.Settings
	idle, interval, count, userTimeout := "not known", "not known", "not known", "none"
	if s.Idle != 0 {
		idle = text.Exact(time.Duration(s.Idle))
	}
	if s.Interval != 0 {
		interval = text.Exact(time.Duration(s.Interval))
	}
	if s.Count != 0 {
		count = strconv.Itoa(s.Count)
	}
	var limit Seconds
	if s.UserTimeout != nil {
		limit = *s.UserTimeout
		userTimeout = text.Exact(time.Duration(limit))
	}
	for _, row := range []struct{ key, value, note string }{
		{"idle", idle, x.note("idle", x.named.Idle, s.Idle)},
		{"interval", interval, x.note("interval", x.named.Interval, s.Interval)},
		{"count", count, x.note("count", 0, 0)},
		{"user-timeout", userTimeout, x.note("user-timeout", x.named.UserTimeout, limit)},
	} {
		fmt.Fprintf(tw, "  %s\t%s", row.key, row.value)
		if row.note != "" {
			fmt.Fprint(tw, "\t", row.note)
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
}

// note returns where a value comes from, or whether it is used, or "". named is the time in OPTIONS,
// and effective the one in effect. They are 0 if there is none.
func (x *Explanation) note(key string, named time.Duration, effective Seconds) string {
	isDefault := slices.Contains(x.Settings.Defaults, key)
	switch name := x.host.Name(key); {
	case key == "count" && x.Settings.UserTimeout != nil && x.KeepAlive && x.host.UserTimeoutReplacesCount():
		return "not used: the user timeout replaces it"
	case isDefault && key == "user-timeout": // no system has a default for it
		return ""
	case isDefault && name != "":
		return "system default: " + name
	case isDefault:
		return "system default"
	case named != 0 && effective != 0 && named != time.Duration(effective):
		return fmt.Sprintf("%s, rounded up", named)
	}
	return ""
}

func (x *Explanation) writeIdle(b *page) {
	b.WriteString("\n")
	d := x.Idle
	if d.Detection == nil {
		b.wrap("", "Idle connection: a dead peer is never detected")
		b.WriteString("\n")
		b.wrap("  ", sentence(d.Rule))
		return
	}
	b.wrap("", fmt.Sprintf("Idle connection: a dead peer is detected after %s%s", text.Duration(time.Duration(*d.Detection)), d.upTo()))
	b.WriteString("\n")
	drawTimeline(b, "silence", d.Timeline)
	b.WriteString("\n")
	b.wrap("  ", fmt.Sprintf("Rule: %s.%s", d.Rule, x.lateTimers(d)))
}

func (x *Explanation) lateTimers(d Detection) string {
	if x.System == "linux" && *d.Latest > *d.Detection {
		return " Timers can be late by 1/8."
	}
	return ""
}

// upTo is the text for the latest detection.
func (d Detection) upTo() string {
	if text.Duration(time.Duration(*d.Latest)) == text.Duration(time.Duration(*d.Detection)) {
		return ""
	}
	return ", at most " + text.Duration(time.Duration(*d.Latest))
}

func (x *Explanation) writeInFlight(b *page) {
	b.WriteString("\n")
	d := x.InFlight
	if d.Detection == nil {
		b.wrap("", "Data in flight: the detection time is not known")
		b.WriteString("\n")
		b.wrap("  ", sentence(d.Rule))
		return
	}
	b.wrap("", fmt.Sprintf("Data in flight: a dead peer is detected after about %s%s", text.Duration(time.Duration(*d.Detection)), d.upTo()))
	b.WriteString("\n")
	drawTimeline(b, "time", d.Timeline)
	b.WriteString("\n")
	b.wrap("  ", fmt.Sprintf("Rule: %s.", d.Rule))
}

func (x *Explanation) writeMiddleboxes(b *page) {
	if every := time.Duration(x.Traffic.Every); every > 0 {
		fmt.Fprintf(b, "\nMiddleboxes: an idle connection has a probe every %s\n\n", text.Duration(every))
	} else {
		b.WriteString("\nMiddleboxes: an idle connection has no probes\n\n")
	}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, m := range x.Middleboxes {
		answer := map[Survival]string{
			Yes:     "keeps the connection",
			Fragile: "keeps it if no probe is lost or late",
			No:      "drops the connection",
		}[m.Survives]
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", m.Name, text.Duration(time.Duration(m.IdleTimeout)), answer)
	}
	tw.Flush()
	b.WriteString("\n")
	b.wrap("  ", "Sources: keepalive explain --help")
}

func (x *Explanation) writeTraffic(b *page) {
	t := x.Traffic
	connections := "1 idle connection"
	if t.Connections != 1 {
		connections = fmt.Sprintf("%s idle connections", thousands(float64(t.Connections)))
	}
	if t.Every == 0 {
		fmt.Fprintf(b, "\nCost of %s: nothing\n", connections)
		return
	}
	b.WriteString("\n")
	b.wrap("", fmt.Sprintf("Cost of %s: %s packets/s, %s/s, %s a day", connections, number(t.Packets), byteSize(t.Bytes), byteSize(t.Bytes*86400)))
	b.WriteString("\n")
	b.wrap("  ", fmt.Sprintf("A probe and its answer are 2 frames of %d bytes (IPv4, with timestamps).", FrameBytes))
}

func writeList(b *page, title string, texts []string) {
	if len(texts) > 0 {
		fmt.Fprintf(b, "\n%s\n\n", title)
	}
	for _, text := range texts {
		b.wrap("  - ", text)
	}
}

// drawTimeline draws events. Their distances are wider for longer times, as far as the width
// allows. On a narrow page, it writes a list.
func drawTimeline(b *page, label string, events []Event) {
	if b.width < text.Width {
		tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprintf(tw, "  %s\tevent\n", label)
		for _, e := range events {
			if e.Name == gap {
				fmt.Fprintln(tw, "  ...\t")
				continue
			}
			fmt.Fprintf(tw, "  %s\t%s\n", text.Duration(time.Duration(e.At)), e.Name)
		}
		tw.Flush()
		return
	}
	const margin = 11 // for the label
	last := len(events) - 1
	times := make([]string, len(events))
	widths := make([]int, len(events))
	room := b.width - 1 - margin
	for i, e := range events {
		times[i] = text.Duration(time.Duration(e.At))
		if e.Name == gap {
			times[i] = gap
		}
		widths[i] = max(len(times[i]), len(e.Name)) + 1
		room -= widths[i]
	}
	room = min(room, 30)
	for i := range last {
		distance := time.Duration(events[i+1].At - events[i].At).Seconds()
		widths[i] += int(float64(room) * distance / time.Duration(events[last].At).Seconds())
	}
	var top, line, bottom strings.Builder
	for i, e := range events {
		if i == last {
			top.WriteString(times[i])
			line.WriteString("|")
			bottom.WriteString(e.Name)
			break
		}
		name, fill := e.Name, "-"
		mark := "|"
		if e.Name == gap {
			name, fill, mark = "", ".", "."
		}
		fmt.Fprintf(&top, "%-*s", widths[i], times[i])
		line.WriteString(mark + strings.Repeat(fill, widths[i]-1))
		fmt.Fprintf(&bottom, "%-*s", widths[i], name)
	}
	fmt.Fprintf(b, "  %-*s%s\n", margin-2, label, top.String())
	fmt.Fprintf(b, "%*s%s\n", margin, "", line.String())
	fmt.Fprintf(b, "%*s%s\n", margin, "", bottom.String())
}

// sentence returns text with a capital letter and a full stop.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// number returns x with three digits that matter.
func number(x float64) string {
	if x >= 1000 {
		return thousands(math.Round(x))
	}
	digits := 2
	if x > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(x))))
	}
	s := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// thousands returns a whole number with a comma between each three digits.
func thousands(x float64) string {
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteSize returns a number of bytes with a unit.
func byteSize(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for n >= 999.5 && i < len(units)-1 {
		n /= 1000
		i++
	}
	return number(n) + " " + units[i]
}
