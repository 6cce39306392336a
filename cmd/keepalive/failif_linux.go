package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

// condition is a value of --fail-if.
type condition struct {
	one, many string // what is wrong, after the number of connections

	// holds reports whether a connection meets the condition, if that is known.
	holds func(s *sockets.Socket) (holds, known bool)
}

func parseConditions(values []string) ([]condition, error) {
	var all []condition
	for _, value := range values {
		limit, isTime := strings.CutPrefix(value, "detection>")
		switch {
		case isTime:
			d, err := time.ParseDuration(limit)
			if err != nil || d <= 0 {
				return nil, usagef("--fail-if %q: the time must be positive and have a unit, for example detection>2m", value)
			}
			what := "a dead peer later than " + text.Duration(d)
			all = append(all, condition{"connection detects " + what, "connections detect " + what, func(s *sockets.Socket) (bool, bool) {
				time, known := detectionTime(s)
				return time > d, known
			}})
		case value == "without-keepalive":
			all = append(all, condition{"connection has keepalive off", "connections have keepalive off", func(s *sockets.Socket) (bool, bool) {
				on, known := s.Keepalive()
				return !on, known
			}})
		case value == "suspect":
			const what = "a peer that is probably dead"
			all = append(all, condition{"connection has " + what, "connections have " + what, (*sockets.Socket).Suspect})
		default:
			return nil, usagef("--fail-if %q: must be without-keepalive, suspect or detection>TIME", value)
		}
	}
	return all, nil
}

// check returns an error if connections meet one of the conditions, or could not be checked.
func check(conditions []condition, t sockets.Table) error {
	if len(conditions) == 0 {
		return nil
	}
	met := make([]int, len(conditions))
	unknown := t.Hidden
	for _, s := range t.Sockets {
		if !s.State.Connected() || s.Closed() {
			continue
		}
		allKnown := true
		for i, c := range conditions {
			holds, known := c.holds(s)
			if known && holds {
				met[i]++
			}
			allKnown = allKnown && known
		}
		if !allKnown {
			unknown++
		}
	}
	var reasons []string
	for i, c := range conditions {
		if met[i] > 0 {
			reasons = append(reasons, number(met[i], c.one, c.many))
		}
	}
	switch {
	case len(reasons) > 0:
		return errors.New(strings.Join(reasons, ", "))
	case unknown > 0:
		return statusError{fmt.Errorf("%s could not be checked: %s", plural(unknown, "socket"), rights()), statusUnknown}
	case t.ClosedNamespaces > 0:
		return statusError{fmt.Errorf("%s could not be checked: requires CAP_SYS_ADMIN", plural(t.ClosedNamespaces, "network namespace")), statusUnknown}
	}
	return nil
}
