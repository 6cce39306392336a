//go:build linux

package sockets

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// Table is what List returns.
type Table struct {
	Sockets []*Socket

	// Hidden is the number of sockets that are held by processes which this process may not
	// see, so that a filter for processes cannot select them.
	Hidden int

	// ClosedNamespaces is the number of network namespaces that this process may not enter.
	ClosedNamespaces int
}

// List returns the sockets that match f, with their options, in the order of their processes and
// addresses. Unless f names network namespaces, it covers those of all processes and those in
// /run/netns, as far as this process may enter them.
func List(f Filter) (Table, error) {
	t, err := find(f)
	if err != nil {
		return t, err
	}
	readOptions(t.Sockets)
	t.Sockets = slices.DeleteFunc(t.Sockets, func(s *Socket) bool { return !f.matchOptions(s) })
	slices.SortFunc(t.Sockets, compare)
	return t, nil
}

// Find is List without the options, unless f needs them. Its result is sufficient for Set.
func Find(f Filter) (Table, error) {
	if f.WithoutKeepalive || f.Suspect {
		return List(f)
	}
	t, err := find(f)
	slices.SortFunc(t.Sockets, compare)
	return t, err
}

// Closed reports whether no program holds s. It has closed s, or has not accepted it yet.
func (s *Socket) Closed() bool { return s.inode == 0 }

// find returns the sockets for which the addresses and owners match f.
func find(f Filter) (t Table, err error) {
	namespaces := f.Namespaces
	if len(namespaces) == 0 {
		if namespaces, err = Namespaces(); err != nil {
			return t, err
		}
	}
	if err = fromKernel(&t, f, namespaces); err != nil {
		return t, err
	}
	all, err := processes() // after the sockets, so that it has all of their owners
	if err != nil {
		return t, err
	}
	setOwners(t.Sockets, all)
	removeGone(&t, namespaces)
	t.Sockets = slices.DeleteFunc(t.Sockets, func(s *Socket) bool {
		if f.matchOwner(s) {
			return false
		}
		if hidden(s) {
			t.Hidden++
		}
		return true
	})
	return t, nil
}

// hidden reports whether s is held by processes that this process may not see.
func hidden(s *Socket) bool { return len(s.Owners) == 0 && !s.Closed() }

// removeGone removes hidden sockets that programs have closed since the kernel reported them.
func removeGone(t *Table, namespaces []Namespace) {
	for _, n := range namespaces {
		in := func(s *Socket) bool { return hidden(s) && s.Namespace == n.Inode && !s.Multipath }
		if !slices.ContainsFunc(t.Sockets, in) {
			continue
		}
		if fd, err := n.openDiag(); err == nil {
			t.Sockets = slices.DeleteFunc(t.Sockets, func(s *Socket) bool { return in(s) && !isHeld(fd, s) })
			unix.Close(fd)
		}
	}
}

// fromKernel adds the sockets of namespaces whose addresses and state match f.
func fromKernel(t *Table, f Filter, namespaces []Namespace) error {
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	for _, n := range namespaces {
		group.Go(func() {
			found, err := n.sockets()
			found = slices.DeleteFunc(found, func(s *Socket) bool { return !f.matchSocket(s) })
			mu.Lock()
			defer mu.Unlock()
			t.Sockets = append(t.Sockets, found...)
			switch {
			case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH): // it has ended
			case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
				t.ClosedNamespaces++
			case err != nil && failed == nil:
				failed = fmt.Errorf("network namespace %d: %w", n.Inode, err)
			}
		})
	}
	group.Wait()
	return failed
}

// setOwners sets the owners of sockets, and reads the names of those processes.
func setOwners(sockets []*Socket, processes []*Process) {
	byInode := make(map[uint32]*Socket, len(sockets))
	for _, s := range sockets {
		if !s.Closed() {
			byInode[s.inode] = s
		}
	}
	for _, d := range heldSockets(processes) {
		s := byInode[d.inode]
		if s == nil {
			continue
		}
		if d.Name == "" {
			d.readName()
			d.readUnit()
		}
		s.Owners = append(s.Owners, d.Owner)
	}
	for _, s := range sockets {
		slices.SortFunc(s.Owners, func(a, b Owner) int { return cmp.Or(a.PID-b.PID, a.FD-b.FD) })
	}
}

// readOptions reads the options of sockets, or derives what the timer shows.
func readOptions(sockets []*Socket) {
	each(sockets, func(o *opener, i int) {
		s := sockets[i]
		err := o.with(s, func(conn net.Conn) error {
			opts, err := options(conn)
			if err != nil {
				return err
			}
			s.Options = &opts
			if s.Info.Probes > 0 || s.Info.Retransmits > 0 {
				// Suspect uses more than what sock_diag has. There is none if the
				// connection has just ended.
				if info, err := keepalive.Inspect(conn); err == nil {
					s.Info = info
				}
			}
			return nil
		})
		if err != nil {
			s.Derived = s.derive()
		}
	})
}

// options returns what Get returns, also for a listener or a connection that has ended.
func options(conn net.Conn) (keepalive.Options, error) {
	opts, err := keepalive.Get(conn)
	if errors.Is(err, unix.ENOTCONN) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return opts, err
}

// each calls f for the index of each socket. Each goroutine has the sockets of few processes,
// because an opener keeps only one process open.
func each(sockets []*Socket, f func(o *opener, i int)) {
	order := make([]int, len(sockets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(sockets[a].firstPID(), sockets[b].firstPID()) })
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	for part := range slices.Chunk(order, max(1, (len(order)+workers-1)/workers)) {
		group.Go(func() {
			var o opener
			defer o.close()
			for _, i := range part {
				f(&o, i)
			}
		})
	}
	group.Wait()
}

func (s *Socket) firstPID() int {
	if len(s.Owners) == 0 {
		return 0
	}
	return s.Owners[0].PID
}

// compare orders sockets by process, listeners first, and then by address.
func compare(a, b *Socket) int {
	listener := func(s *Socket) int {
		if s.State == Listen {
			return 0
		}
		return 1
	}
	return cmp.Or(a.firstPID()-b.firstPID(), listener(a)-listener(b), a.Local.Compare(b.Local), a.Remote.Compare(b.Remote), cmp.Compare(a.cookie, b.cookie))
}
