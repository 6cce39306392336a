package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"
)

// capture has a child do it that is born into a network namespace of its own.
// Without root it gets a user namespace, too, which some systems refuse.
func capture() ([]exchange, error) {
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, absent(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd, err := child(ctx, nil, "link")
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		return nil, absent(fmt.Errorf("a network namespace takes root: %w", err))
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.ReplaceAll(strings.TrimSpace(errOut.String()), "\n", "; "))
	}
	var got linkResult
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		return nil, err
	}
	if got.Absent != "" {
		return nil, absent(errors.New(got.Absent))
	}
	return got.Exchanges, nil
}

// linkResult is what the child found, or why it could not make the link.
type linkResult struct {
	Exchanges []exchange
	Absent    string
}

const (
	interval = time.Second     // of all heartbeats on the link
	near4    = "10.20.30.1/24" // the link's two ends
	far4     = "10.20.30.2"
	near6    = "fd00:20:30::1/64"
	far6     = "fd00:20:30::2"
)

// captured is the child. It has connections over a link kept alive in several
// ways, and looks at the packets.
func captured([]string) (any, error) {
	far, tap, err := newLink()
	if err != nil {
		return linkResult{Absent: err.Error()}, nil
	}

	options := keepalive.Options{Idle: interval, Interval: interval, Count: 9}
	type talker struct {
		what  string
		ip    string
		opts  keepalive.Options
		start func(near, far net.Conn) error // nil: the kernel does it
	}
	off := keepalive.Options{Disabled: true}
	run := func(talkers []talker) (map[int]string, error) {
		names := map[int]string{}
		for _, t := range talkers {
			near, peer, err := far.dial(t.ip, t.opts)
			if err != nil {
				return nil, err
			}
			names[near.LocalAddr().(*net.TCPAddr).Port] = t.what
			if t.start == nil {
				continue
			}
			if err := t.start(near, peer); err != nil {
				return nil, err
			}
		}
		return names, nil
	}
	names, err := run([]talker{
		{what: probe4, ip: far4, opts: options},
		{what: "keepalive probe, IPv6", ip: far6, opts: options},
		{what: heartbeatPing, ip: far4, opts: off, start: connPair},
		{what: yamuxPing, ip: far4, opts: off, start: yamuxPair},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_timestamps", []byte("0"), 0); err != nil {
		return nil, err
	}
	more, err := run([]talker{
		{what: "keepalive probe, IPv4, no timestamps", ip: far4, opts: options},
		{what: "keepalive probe, IPv6, no timestamps", ip: far6, opts: options},
	})
	if err != nil {
		return nil, err
	}
	settled := tap.now() + interval/2 // after the handshakes
	packets, err := tap.read(settled + 5*interval)
	if err != nil {
		return nil, err
	}
	packets = slices.DeleteFunc(packets, func(p packet) bool { return p.At < settled })
	var all []exchange
	var errs []error
	for _, names := range []map[int]string{names, more} {
		for port, what := range names {
			own := slices.DeleteFunc(slices.Clone(packets), func(p packet) bool { return p.Port != port })
			e, err := commonest(what, own, interval/3)
			all = append(all, e)
			errs = append(errs, err)
		}
	}
	slices.SortFunc(all, func(a, b exchange) int { return strings.Compare(a.What, b.What) })
	return linkResult{Exchanges: all}, errors.Join(errs...)
}

// newLink makes the second namespace, the link to it, and the tap on that.
func newLink() (*farSide, *tap, error) {
	far, err := newFarSide()
	if err != nil {
		return nil, nil, err
	}
	for _, args := range []string{
		fmt.Sprintf("link add near type veth peer name far netns %d", far.tid),
		"addr add " + near4 + " dev near", "addr add " + near6 + " dev near nodad", "link set near up",
	} {
		if err := ip(args); err != nil {
			return nil, nil, err
		}
	}
	if err := far.up(); err != nil {
		return nil, nil, err
	}
	tap, err := newTap("near")
	return far, tap, err
}

// connPair has the near end ping; the far end, which would at the same moment,
// has more patience.
func connPair(near, far net.Conn) error {
	for conn, every := range map[net.Conn]time.Duration{near: interval, far: 20 * interval} {
		c, err := heartbeat.NewConn(conn, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: every, Timeout: timeouts * every}})
		if err != nil {
			return err
		}
		go c.Read(make([]byte, 1)) // where an application waits
	}
	return nil
}

// yamuxPair has the near end ping.
func yamuxPair(near, far net.Conn) error {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.KeepAliveInterval = io.Discard, interval
	if _, err := yamux.Client(near, cfg); err != nil {
		return err
	}
	quiet := *cfg
	quiet.EnableKeepAlive = false
	_, err := yamux.Server(far, &quiet)
	return err
}

// ip configures the network namespace of the thread that calls it.
func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// farSide is the other namespace. Its thread lives as long as the process.
type farSide struct {
	tid  int
	work chan func()
}

func newFarSide() (*farSide, error) {
	f := &farSide{work: make(chan func())}
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so nobody else uses the thread
		err := unix.Unshare(unix.CLONE_NEWNET)
		f.tid = unix.Gettid()
		entered <- os.NewSyscallError("unshare", err)
		for job := range f.work {
			job()
		}
	}()
	return f, <-entered
}

// do runs a function in the namespace.
func (f *farSide) do(job func() error) (err error) {
	var done sync.WaitGroup
	done.Add(1)
	f.work <- func() { err = job(); done.Done() }
	done.Wait()
	return err
}

func (f *farSide) up() error {
	return f.do(func() error {
		return errors.Join(ip("addr add "+far4+"/24 dev far"), ip("addr add "+far6+"/64 dev far nodad"), ip("link set far up"))
	})
}

// dial makes a connection over the link, of which the near end has the options.
func (f *farSide) dial(addr string, o keepalive.Options) (near, far net.Conn, err error) {
	var l net.Listener
	err = f.do(func() (err error) {
		l, err = (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", net.JoinHostPort(addr, "0"))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	near, err = keepalive.Dialer(&net.Dialer{Timeout: 10 * time.Second}, o).Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}

// tap sees the packets on an interface, in both directions: packet(7).
type tap struct {
	fd    int
	start time.Time
}

func newTap(name string) (*tap, error) {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// In network byte order, as packet(7) wants it.
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return nil, os.NewSyscallError("socket AF_PACKET", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: dev.Index}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	tv := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	return &tap{fd, time.Now()}, nil
}

func (t *tap) now() time.Duration { return time.Since(t.start) }

// read collects the TCP packets until then. The times are those of the reading,
// which is in step since this goroutine has nothing else to do.
func (t *tap) read(until time.Duration) ([]packet, error) {
	var all []packet
	frame := make([]byte, 1<<16)
	for t.now() < until {
		n, from, err := unix.Recvfrom(t.fd, frame, 0)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvfrom", err)
		}
		sa, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		if p, ok := decode(frame[:n], sa.Pkttype == unix.PACKET_OUTGOING); ok {
			p.At = t.now()
			all = append(all, p)
		}
	}
	return all, nil
}
