//go:build linux

// Package sockets lists the TCP sockets of a Linux host, reads their keepalive options, and
// changes them, from outside the programs that own the sockets.
//
// [List] combines three sources:
//
//   - sock_diag has the addresses, the state and TCP_INFO of every socket of a network
//     namespace, for every user (see sock_diag(7));
//   - /proc/PID/fd has the processes that hold a socket;
//   - pidfd_getfd duplicates the socket of another process, so that the options can be read
//     and set. It requires the rights of ptrace(2).
//
// Without these rights, some options can be derived from the timer that sock_diag reports.
package sockets

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/go-keepalive/keepalive"
)

// Socket is a TCP socket of this host.
type Socket struct {
	Local     netip.AddrPort
	Remote    netip.AddrPort // the port of a listener is 0
	State     State
	Multipath bool   // a Multipath TCP socket
	UID       uint32 // the owner's user ID
	Namespace uint64 // inode number of the network namespace

	// Owners are the descriptors of the socket in all processes. It is empty if no process holds
	// the socket, or if this process may not see which one does.
	Owners []Owner

	// Info is the state of the connection. All fields are -1 if the socket is not connected.
	Info keepalive.Info

	// Options are the options in effect, or nil if they could not be read.
	Options *keepalive.Options

	// Derived is what the timer shows if Options is nil.
	Derived Derived

	family uint8
	id     diagID
	inode  uint32
	cookie uint64
	timer  timer
	path   bool // of a Multipath TCP socket
}

// Owner is a descriptor in a process.
type Owner struct {
	*Process
	FD int
}

// Process is a process that holds sockets.
type Process struct {
	PID  int
	Name string // at most 15 bytes, see comm in proc(5)

	// Unit is the systemd unit, and Container the runtime and the start of the container's ID, for
	// example "docker:0123456789ab". Both can be empty.
	Unit, Container string
}

// Derived is what the timer of a socket shows about its options.
type Derived struct {
	Known   bool // Enabled is valid
	Enabled bool // keepalive is on

	// MinIdle is a lower bound of the idle time, or 0 if none is known. It is equal to the idle
	// time if no segment has arrived since the kernel started the timer. If the interval is
	// longer than the idle time, MinIdle can be a bound of the interval instead.
	MinIdle time.Duration
}

// Keepalive reports whether keepalive is on. If that is not known, known is false.
func (s *Socket) Keepalive() (on, known bool) {
	if s.Options != nil {
		return !s.Options.Disabled, true
	}
	return s.Derived.Enabled, s.Derived.Known
}

// Suspect reports whether the peer is probably dead. If that is not known, known is false.
func (s *Socket) Suspect() (suspect, known bool) {
	switch {
	case !s.State.Connected() || s.Closed():
		return false, false
	case s.Options != nil:
		return s.Info.Suspect(*s.Options), true
	}
	return false, s.Info.Probes == 0 && s.Info.Retransmits == 0
}

// State is the state of a TCP connection.
type State uint8

// The states, from include/net/tcp_states.h in Linux.
const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
)

var stateNames = []string{
	Established: "established", SynSent: "syn-sent", SynReceived: "syn-received", FinWait1: "fin-wait-1", FinWait2: "fin-wait-2",
	TimeWait: "time-wait", Close: "close", CloseWait: "close-wait", LastAck: "last-ack", Listen: "listen", Closing: "closing",
}

func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// States returns the names that ParseState accepts. Sockets in other states belong to no process
// and have no options.
func States() []string {
	var names []string
	for s := range stateNames {
		if listed&(1<<s) != 0 {
			names = append(names, stateNames[s])
		}
	}
	return names
}

// ParseState returns the state with that name.
func ParseState(name string) (State, error) {
	if i := slices.Index(stateNames, name); i > 0 && listed&(1<<i) != 0 {
		return State(i), nil
	}
	return 0, fmt.Errorf("unknown state %q: must be one of %v", name, States())
}

// Connected reports whether the handshake is over and the peer may still answer.
func (s State) Connected() bool {
	switch s {
	case Established, FinWait1, FinWait2, CloseWait, LastAck, Closing:
		return true
	}
	return false
}

// listed are the states of the sockets that List returns, as bits.
const listed = 1<<Established | 1<<SynSent | 1<<FinWait1 | 1<<FinWait2 | 1<<CloseWait | 1<<LastAck | 1<<Listen | 1<<Closing
