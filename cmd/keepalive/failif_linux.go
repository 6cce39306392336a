package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// condition is a value of --fail-if.
type condition struct {
	verb, text string // of the error, after the number of connections: "has" or "have", for example

	// holds reports whether a socket meets the condition, if that is known.
	holds func(s *sockets.Socket) (holds, known bool)
}

func parseConditions(texts []string) ([]condition, error) {
	var all []condition
	for _, value := range texts {
		limit, isTime := strings.CutPrefix(value, "detection>")
		switch {
		case isTime:
			d, err := time.ParseDuration(limit)
			if err != nil || d <= 0 {
				return nil, usagef("--fail-if %q: the time must be positive and have a unit, for example detection>2m", value)
			}
			all = append(all, condition{"detect", "a dead peer later than " + text.Duration(d), func(s *sockets.Socket) (bool, bool) {
				time, known := detectionTime(s)
				return s.State.Connected() && time > d, known || !s.State.Connected()
			}})
		case value == "without-keepalive":
			all = append(all, condition{"have", "keepalive off", func(s *sockets.Socket) (bool, bool) {
				on, known := s.Keepalive()
				return s.State.Connected() && !on, known || !s.State.Connected()
			}})
		case value == "suspect":
			all = append(all, condition{"have", "a peer that is probably dead", func(s *sockets.Socket) (bool, bool) {
				suspect, known := s.Suspect()
				return suspect, known || !s.State.Connected()
			}})
		default:
			return nil, usagef("--fail-if %q: must be without-keepalive, suspect or detection>TIME", value)
		}
	}
	return all, nil
}

// check returns an error if sockets meet one of the conditions, or could not be checked.
func check(conditions []condition, all []*sockets.Socket) error {
	var reasons []string
	unknown := 0
	for _, c := range conditions {
		met := 0
		for _, s := range all {
			switch holds, known := c.holds(s); {
			case !known:
				unknown++
			case holds:
				met++
			}
		}
		if met > 0 {
			verb := c.verb
			if met == 1 {
				verb = map[string]string{"have": "has", "detect": "detects"}[verb]
			}
			reasons = append(reasons, fmt.Sprintf("%s %s %s", plural(met, "connection"), verb, c.text))
		}
	}
	switch {
	case len(reasons) > 0:
		return fmt.Errorf("%s", strings.Join(reasons, ", "))
	case unknown > 0:
		return checkFailed{fmt.Errorf("%s could not be checked: %s", plural(unknown, "connection"), rights())}
	}
	return nil
}
