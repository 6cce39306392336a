package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Capture records the packets of an interface.
type Capture struct {
	socket *os.File
	raw    syscall.RawConn
	done   chan struct{} // closed when read has returned

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when packets changes
	packets []Packet
	err     error
}

// buffer is the size of the socket's buffer, in bytes.
const buffer = 4 << 20

// Start begins to record the packets of an interface of the network namespace of the
// calling thread. It takes the capability CAP_NET_RAW. The capture does not depend on the
// thread any more afterwards. Call Stop when done.
func Start(name string) (*Capture, error) {
	intf, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("capture: interface %s: %w", name, err)
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	// Protocol 0 receives nothing until bind has chosen the interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("capture: socket(AF_PACKET)", err)
	}
	c := &Capture{socket: os.NewFile(uintptr(fd), name), done: make(chan struct{}), changed: make(chan struct{})}
	// More than the limit of the system takes a capability. The default works as well, unless
	// there are many packets at once.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	for _, set := range []struct {
		name string
		err  error
	}{
		{"setsockopt(SO_TIMESTAMPNS)", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)},
		{"bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: intf.Index})},
	} {
		if set.err != nil {
			c.socket.Close()
			return nil, os.NewSyscallError("capture: "+set.name, set.err)
		}
	}
	if c.raw, err = c.socket.SyscallConn(); err != nil {
		c.socket.Close()
		return nil, fmt.Errorf("capture: %w", err)
	}
	go c.read()
	return c, nil
}

// read records packets until Stop.
func (c *Capture) read() {
	defer close(c.done)
	frame, control := make([]byte, 1<<17), make([]byte, 256)
	for {
		var n, cn int
		var from unix.Sockaddr
		var err error
		receive := func(fd uintptr) bool {
			n, cn, _, from, err = unix.Recvmsg(int(fd), frame, control, 0)
			return err != unix.EAGAIN
		}
		if waitErr := c.raw.Read(receive); waitErr != nil {
			// Stop has set a deadline. Take what has arrived before.
			waitErr = c.raw.Control(func(fd uintptr) { receive(fd) })
			if waitErr != nil || err == unix.EAGAIN {
				return
			}
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.mu.Lock()
			c.err = os.NewSyscallError("capture: recvmsg", err)
			c.mu.Unlock()
			return
		}
		p, err := Decode(frame[:n])
		if err != nil {
			continue // for example ARP
		}
		p.Time = received(control[:cn])
		if from, ok := from.(*unix.SockaddrLinklayer); ok {
			p.Out = from.Pkttype == unix.PACKET_OUTGOING
		}
		c.mu.Lock()
		c.packets = append(c.packets, p)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// received returns the kernel's timestamp.
func received(control []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 8 {
			var ts unix.Timespec
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &ts); err == nil {
				return time.Unix(ts.Unix())
			}
		}
	}
	return time.Now()
}

// Packets returns what was recorded so far, in the order of time.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Wait returns the first packet for which match returns true, recorded already or later.
// It calls match once for each packet.
func (c *Capture) Wait(ctx context.Context, match func(Packet) bool) (Packet, error) {
	for seen := 0; ; {
		c.mu.Lock()
		packets, changed := c.packets, c.changed
		c.mu.Unlock()
		for ; seen < len(packets); seen++ {
			if match(packets[seen]) {
				return packets[seen], nil
			}
		}
		select {
		case <-changed:
		case <-c.done:
			return Packet{}, errors.New("capture: stopped before the packet arrived")
		case <-ctx.Done():
			return Packet{}, fmt.Errorf("capture: the packet did not arrive: %w", context.Cause(ctx))
		}
	}
}

// Stop ends the capture and returns all packets. It returns an error if the kernel had to
// drop some of them, because they came faster than they were read.
func (c *Capture) Stop() ([]Packet, error) {
	if err := c.socket.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	<-c.done
	var dropped uint32
	err := c.raw.Control(func(fd uintptr) {
		stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil {
			dropped = stats.Drops
		}
	})
	c.socket.Close()
	if c.err == nil && err == nil && dropped > 0 {
		err = fmt.Errorf("capture: the kernel dropped %d packets", dropped)
	}
	return c.packets, errors.Join(c.err, err)
}
