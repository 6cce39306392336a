//go:build linux

package sockets

import (
	"net/netip"
	"slices"
)

// Filter selects sockets. A socket must match each field that is not empty. Several values of one
// field are alternatives.
type Filter struct {
	PIDs       []int
	Names      []string // of processes, see Process.Name
	Ports      []uint16 // local or remote
	Remotes    []netip.Prefix
	States     []State
	Namespaces []Namespace

	WithoutKeepalive bool // connections on which keepalive is off
	Suspect          bool // connections whose peer is suspect

	Closed bool // also sockets for which Socket.Closed returns true
}

// Empty reports whether f selects all sockets that programs hold.
func (f *Filter) Empty() bool {
	return len(f.PIDs)+len(f.Names)+len(f.Ports)+len(f.Remotes)+len(f.States)+len(f.Namespaces) == 0 && !f.WithoutKeepalive && !f.Suspect
}

// matchSocket reports whether what sock_diag reports matches.
func (f *Filter) matchSocket(s *Socket) bool {
	return (f.Closed || !s.Closed()) &&
		(len(f.Ports) == 0 || slices.Contains(f.Ports, s.Local.Port()) || slices.Contains(f.Ports, s.Remote.Port())) &&
		(len(f.Remotes) == 0 || s.State != Listen && slices.ContainsFunc(f.Remotes, func(p netip.Prefix) bool { return p.Contains(s.Remote.Addr()) })) &&
		(len(f.States) == 0 || slices.Contains(f.States, s.State)) &&
		(!f.Suspect || s.State.Connected() && (s.Info.Probes > 0 || s.Info.Retransmits > 0))
}

// matchOwner reports whether one of the owners matches.
func (f *Filter) matchOwner(s *Socket) bool {
	if len(f.PIDs) == 0 && len(f.Names) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Owners, func(o Owner) bool {
		return (len(f.PIDs) == 0 || slices.Contains(f.PIDs, o.PID)) && (len(f.Names) == 0 || slices.Contains(f.Names, o.Name))
	})
}

// matchOptions reports whether the options match.
func (f *Filter) matchOptions(s *Socket) bool {
	if f.WithoutKeepalive {
		if on, known := s.Keepalive(); !known || on || !s.State.Connected() {
			return false
		}
	}
	if f.Suspect {
		if suspect, known := s.Suspect(); !known || !suspect {
			return false
		}
	}
	return true
}
