package main

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

// socketJSON is the object for a socket. A value that is not known is nil.
type socketJSON struct {
	PID        *int     `json:"pid"`
	Process    *string  `json:"process"`
	PIDs       []int    `json:"pids"`
	UID        uint32   `json:"uid"`
	Unit       *string  `json:"unit"`
	Container  *string  `json:"container"`
	Namespace  uint64   `json:"netns"`
	Multipath  bool     `json:"multipath"`
	State      string   `json:"state"`
	Local      string   `json:"local"`
	Remote     *string  `json:"remote"`
	Keepalive  *bool    `json:"keepalive"`
	Options    *string  `json:"options"`
	MinIdle    *float64 `json:"idle_at_least_seconds"`
	Detection  *float64 `json:"detection_seconds"`
	Silence    *float64 `json:"silence_seconds"`
	Probes     *int     `json:"probes"`
	Unacked    *int     `json:"unacked"`
	Retransmit *int     `json:"retransmits"`
	Suspect    *bool    `json:"suspect"`
}

// writeJSONLines writes an object for each socket.
func writeJSONLines(w io.Writer, t sockets.Table, _ screen) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, s := range t.Sockets {
		if err := e.Encode(toJSON(s)); err != nil {
			return err
		}
	}
	return nil
}

func toJSON(s *sockets.Socket) socketJSON {
	j := socketJSON{
		PIDs: pids(s), UID: s.UID, Namespace: s.Namespace, Multipath: s.Multipath, State: s.State.String(), Local: s.Local.String(),
		Remote:     known(s.Remote.String(), s.State != sockets.Listen),
		Silence:    known(seconds(s.Info.Silence), s.Info.Silence >= 0),
		Probes:     known(s.Info.Probes, s.Info.Probes >= 0),
		Unacked:    known(s.Info.Unacked, s.Info.Unacked >= 0),
		Retransmit: known(s.Info.Retransmits, s.Info.Retransmits >= 0),
		MinIdle:    known(seconds(s.Derived.MinIdle), s.Derived.MinIdle > 0),
		Keepalive:  known(s.Keepalive()),
		Suspect:    known(s.Suspect()),
	}
	if len(s.Owners) > 0 {
		p := s.Owners[0].Process
		j.PID, j.Process, j.Unit, j.Container = &p.PID, &p.Name, known(p.Unit, p.Unit != ""), known(p.Container, p.Container != "")
	}
	if s.Options != nil {
		j.Options = known(s.Options.String(), true)
	}
	d, ok := detectionTime(s)
	j.Detection = known(seconds(d), ok && d != math.MaxInt64)
	return j
}

// seconds returns d with three decimal places at most.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// known returns a pointer to v, or nil if it is not known.
func known[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}
