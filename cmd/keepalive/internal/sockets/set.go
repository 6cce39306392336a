//go:build linux

package sockets

import (
	"cmp"
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// Change is the result of Set for one socket.
type Change struct {
	*Socket
	After keepalive.Options // read back if Err is nil or matches errors.ErrUnsupported
	Err   error
}

// Set sets opts on sockets that List or Find returned, and reads the options back. Err of a change
// matches
//
//   - [ErrGone] if the socket was closed since;
//   - [ErrDenied] if this process may not duplicate the socket;
//   - [errors.ErrUnsupported] if the socket does not have one of the options. All others are set.
func Set(sockets []*Socket, opts keepalive.Options) []Change {
	changes := make([]Change, len(sockets))
	each(sockets, func(o *opener, i int) {
		c := &changes[i]
		c.Socket = sockets[i]
		c.Err = o.with(c.Socket, func(conn net.Conn) error {
			err := keepalive.Enable(conn, opts)
			if errors.Is(err, unix.ENOTCONN) {
				return ErrGone
			}
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
			after, gerr := options(conn)
			c.After = after
			return cmp.Or(err, gerr)
		})
	})
	return changes
}
