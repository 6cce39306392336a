package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

// writeMetrics writes numbers by process in the text format of Prometheus.
func writeMetrics(w io.Writer, t sockets.Table, _ screen) error {
	type group struct{ process, state, keepalive string }
	sizes := make(map[group]int)
	suspects, slowest := make(map[string]int), make(map[string]time.Duration)
	for _, s := range t.Sockets {
		g := group{state: s.State.String(), keepalive: "unknown"}
		if len(s.Owners) > 0 {
			g.process = s.Owners[0].Name
		}
		if on, known := s.Keepalive(); known {
			g.keepalive = map[bool]string{true: "on", false: "off"}[on]
		}
		sizes[g]++
		if !s.State.Connected() {
			continue
		}
		if suspect, known := s.Suspect(); suspect && known {
			suspects[g.process]++
		} else {
			suspects[g.process] += 0
		}
		if d, known := detectionTime(s); known && d != math.MaxInt64 {
			slowest[g.process] = max(slowest[g.process], d)
		}
	}
	var lines []string
	for g, n := range sizes {
		lines = append(lines, fmt.Sprintf("keepalive_sockets{process=%s,state=%q,keepalive=%q} %d", label(g.process), g.state, g.keepalive, n))
	}
	writeMetric(w, "keepalive_sockets", "TCP sockets by process and state, and whether keepalive is on.", lines)
	lines = nil
	for process, n := range suspects {
		lines = append(lines, fmt.Sprintf("keepalive_suspect_peers{process=%s} %d", label(process), n))
	}
	writeMetric(w, "keepalive_suspect_peers", "Connections whose peer is probably dead.", lines)
	lines = nil
	for process, d := range slowest {
		lines = append(lines, fmt.Sprintf("keepalive_detection_seconds_max{process=%s} %s", label(process), strconv.FormatFloat(d.Seconds(), 'g', -1, 64)))
	}
	writeMetric(w, "keepalive_detection_seconds_max", "The longest detection time of the connections that have keepalive on.", lines)
	return nil
}

func writeMetric(w io.Writer, name, help string, lines []string) {
	slices.Sort(lines)
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label returns value in quotation marks, as the text format wants it. The format has no escapes for
// control characters other than newline, which a terminal would obey.
func label(value string) string {
	value = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	return `"` + labelEscapes.Replace(value) + `"`
}
