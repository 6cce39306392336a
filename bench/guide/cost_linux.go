package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
	"github.com/go-keepalive/keepalive/heartbeat"
	"golang.org/x/sys/unix"
)

// expense is how much costs measures.
type expense struct {
	connections int // whose processor time and memory are measured
	rounds      int
	window      time.Duration // of the whole kernel's processor time
}

var wholeExpense = expense{connections: 10_000, rounds: 6, window: 2 * time.Second}

func cost(out io.Writer, args []string) error {
	fs := flag.NewFlagSet("cost", flag.ContinueOnError)
	if err := parse(fs, args); err != nil {
		return err
	}
	return costs(out, wholeExpense)
}

// idleTimes are those of package net, of many recommendations, of KeepOpen(350s), and of
// Linux.
var idleTimes = []time.Duration{15 * time.Second, 45 * time.Second, 280 * time.Second, 2 * time.Hour}

// costs measures what probes cost, and prints it.
func costs(w io.Writer, e expense) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.sysctl("net.ipv6.conf.lo.disable_ipv6", 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	kinds := []struct {
		name, address string
		beats         bool
	}{{"keepalive, IPv4", "127.0.0.1:0", false}, {"keepalive, IPv6", "[::1]:0", false}, {"heartbeat.Conn, IPv4", "127.0.0.1:0", true}}
	packets, errs := make([][]capture.Packet, len(kinds)), make([]error, len(kinds))
	var group sync.WaitGroup
	for i, k := range kinds {
		group.Go(func() { packets[i], errs[i] = n.packets(k.address, k.beats) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	sizes := func(packets []capture.Packet) string {
		s, sum := "", 0
		for _, p := range packets {
			s += fmt.Sprintf("%8d", p.IP)
			sum += p.IP
		}
		return fmt.Sprintf("%-24s%9d", s, sum)
	}
	fmt.Fprintf(w, "Bytes of the IP packets        probe  answer     ACK      sum\n")
	for i, k := range kinds {
		fmt.Fprintf(w, "%-28s%s\n", k.name, sizes(packets[i]))
	}

	both := float64(packets[0][0].IP + packets[0][1].IP)
	fmt.Fprintf(w, "\nTraffic of idle connections: %g bytes / Idle. A month has 30 days.\n\n", both)
	fmt.Fprintf(w, "            one connection            10,000         a million\n")
	fmt.Fprintf(w, "Idle        in an hour  in a month    connections    connections\n")
	for _, idle := range idleTimes {
		rate := both / idle.Seconds()
		fmt.Fprintf(w, "%-12s%-12s%-14s%-15s%s\n", short(idle), unit(rate*3600, "B"), unit(rate*3600*24*30, "B"), unit(8*rate*1e4, "bit/s"), unit(8*rate*1e6, "bit/s"))
	}
	probe, err := n.processorTime(e)
	if err != nil {
		return err
	}
	ping, err := n.heartbeatTime(e)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `
Processor time of a probe and its answer, both ends, over loopback, in µs: the
median (and the middle half of the rounds). A system call (the end of
TCP_REPAIR) sends the probe, so the kernel's timer is not included.

%-42s %v
%-42s %v
%-42s %v
`, fmt.Sprintf("%d connections", e.connections), probe.many,
		"one connection, after 0.6 s of sleep", probe.one,
		fmt.Sprintf("%d connections, heartbeat.Conn", e.connections/10), ping)
	fmt.Fprintf(w, `
Processor time = connections / Idle * %.1f µs, in %% of one core

Idle          one connection    10,000    a million
`, probe.many.median)
	load := func(name string, micros float64, idle time.Duration) {
		fmt.Fprintf(w, "%-14s", name)
		for i, n := range []float64{1, 1e4, 1e6} {
			fmt.Fprintf(w, []string{"%-18s", "%-10s", "%s"}[i], digits(100*n*micros*1e-6/idle.Seconds()))
		}
		fmt.Fprintln(w)
	}
	for _, idle := range idleTimes {
		load(short(idle), probe.many.median, idle)
	}
	load("45s, pings", ping.median, 45*time.Second)
	fmt.Fprintf(w, "\nKernel memory (SUnreclaim) that turning keepalive on takes, in bytes for each of\n%d connections: %v\n", e.connections, probe.memory)
	return nil
}

// packets captures the first probe of a connection, and all that is sent until the
// connection is quiet again. With beats it is the first ping.
func (n *namespace) packets(address string, beats bool) ([]capture.Packet, error) {
	var c *capture.Capture
	var conn net.Conn
	var l net.Listener
	err := n.do(func() (err error) {
		if c, err = capture.Start("lo"); err != nil {
			return err
		}
		if l, err = listenPeerAt(address, beats); err != nil {
			return err
		}
		conn, err = (&net.Dialer{KeepAlive: -1}).Dial("tcp", l.Addr().String())
		return err
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	defer conn.Close()
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if beats {
		h, err := heartbeat.NewConn(conn, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Second, Timeout: time.Minute}})
		if err != nil {
			return nil, err
		}
		defer h.Close()
	} else if err := keepalive.Enable(conn, mustOptions("idle=1s,interval=1s,count=9")); err != nil {
		return nil, err
	}
	// Bursts of packets: the handshake, and then one in each second. The third is returned,
	// because acknowledgments are sent at once in the beginning.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var packets []capture.Packet
	var last time.Time
	bursts := 0
	_, err = c.Wait(ctx, func(p capture.Packet) bool {
		if !p.Out || (p.Src != own && p.Dst != own) {
			return false
		}
		if p.Time.Sub(last) > 500*time.Millisecond {
			bursts++
		}
		last = p.Time
		if bursts == 3 {
			packets = append(packets, p)
		}
		return bursts == 4
	})
	if err == nil {
		_, err = c.Stop()
	}
	if err != nil {
		return nil, err
	}
	if packets[0].Src != own || packets[1].Dst != own {
		return nil, fmt.Errorf("the first packets of an idle connection are not a probe and its answer: %v", packets)
	}
	return packets, nil
}

// short is a duration without zeros at its end.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// unit writes a quantity with two digits or more.
func unit(v float64, unit string) string {
	for _, prefix := range []string{"", "k", "M", "G"} {
		if v < 1000 {
			return digits(v) + " " + prefix + unit
		}
		v /= 1000
	}
	return digits(v) + " T" + unit
}

// figure is the median of some rounds, and the range that has half of them.
type figure struct {
	median, low, high float64
}

func figureOf(rounds []float64) figure {
	v := slices.Sorted(slices.Values(rounds))
	n := len(v)
	if n == 0 {
		return figure{math.NaN(), math.NaN(), math.NaN()}
	}
	return figure{(v[(n-1)/2] + v[n/2]) / 2, v[n/4], v[n-1-n/4]}
}

func (f figure) String() string {
	return fmt.Sprintf("%.1f (%.1f to %.1f)", f.median, f.low, f.high)
}

// processorCosts are in µs, and memory is in bytes for each connection.
type processorCosts struct{ one, many, memory figure }

// processorTime measures the processor time of probes.
func (n *namespace) processorTime(e expense) (c processorCosts, err error) {
	conns, stop, err := n.idleConnections(e.connections)
	if err != nil {
		return c, err
	}
	defer stop()
	fds, err := descriptors(conns)
	if err != nil {
		return c, err
	}
	defer runtime.KeepAlive(conns)
	var one, many, memory []float64
	for range e.rounds {
		for _, part := range []struct {
			fds  []int
			list *[]float64
		}{{fds[:1], &one}, {fds, &many}} {
			v, err := n.byCall(part.fds)
			if err != nil {
				return c, err
			}
			*part.list = append(*part.list, v)
		}
		before, err := kernelMemory()
		if err != nil {
			return c, err
		}
		if err := set(fds, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			return c, err
		}
		after, err := kernelMemory()
		if err != nil {
			return c, err
		}
		memory = append(memory, (after-before)/float64(len(conns)))
		if err := set(fds, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0); err != nil {
			return c, err
		}
	}
	c.one, c.many, c.memory = figureOf(one), figureOf(many), figureOf(memory)
	return c, nil
}

// descriptors returns the file descriptors. The connections must remain open.
func descriptors(conns []*net.TCPConn) ([]int, error) {
	fds := make([]int, len(conns))
	for i, conn := range conns {
		rc, err := conn.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := rc.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, err
		}
	}
	return fds, nil
}

// idleConnections makes connections that are not accepted. The kernel answers for them.
func (n *namespace) idleConnections(count int) (conns []*net.TCPConn, stop func(), err error) {
	var all []io.Closer
	stop = func() {
		for _, c := range all {
			c.Close()
		}
	}
	err = n.do(func() error {
		var l net.Listener
		for i := range count {
			if i%2000 == 0 { // fewer than the queue of a listener takes
				if l, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
					return err
				}
				all = append(all, l)
			}
			c, err := (&net.Dialer{KeepAlive: -1}).Dial("tcp4", l.Addr().String())
			if err != nil {
				return err
			}
			all, conns = append(all, c), append(conns, c.(*net.TCPConn))
		}
		return nil
	})
	if err != nil {
		stop()
	}
	return conns, stop, err
}

// set sets a socket option of all connections.
func set(fds []int, level, option, value int) error {
	for _, fd := range fds {
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// byCall measures the processor time of one probe for each connection, in µs. When repair
// mode is switched off, Linux sends a probe of the window in the system call. It is the
// same segment as a probe of keepalive, and the answer arrives before the system call
// returns. Without a probe (-1) the system call takes the rest of the time.
func (n *namespace) byCall(fds []int) (float64, error) {
	// The peer answers at most twice a second (net.ipv4.tcp_invalid_ratelimit).
	time.Sleep(600 * time.Millisecond)
	var took [2]time.Duration
	err := n.do(func() error {
		for i, off := range []int{-1, 0} {
			before, err := segments()
			if err != nil {
				return err
			}
			start, err := threadTime()
			if err != nil {
				return err
			}
			for _, fd := range fds {
				err1 := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
				if err := errors.Join(err1, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, off)); err != nil {
					return os.NewSyscallError("setsockopt TCP_REPAIR", err)
				}
			}
			end, err := threadTime()
			if err != nil {
				return err
			}
			after, err := segments()
			if err != nil {
				return err
			}
			if sent, want := after-before, 2*(i)*len(fds); sent < want {
				return fmt.Errorf("TCP_REPAIR sent %d segments, want %d", sent, want)
			}
			took[i] = end - start
		}
		return nil
	})
	return (took[1] - took[0]).Seconds() * 1e6 / float64(len(fds)), err
}

// heartbeatTime measures the processor time of a ping and its answer, both ends, in µs.
func (n *namespace) heartbeatTime(e expense) (figure, error) {
	const interval = 200 * time.Millisecond
	var pings atomic.Int64
	l, err := n.listenBeats(&pings)
	if err != nil {
		return figure{}, err
	}
	defer l.Close()
	for range e.connections / 10 {
		var c net.Conn
		if err := n.do(func() (err error) {
			c, err = (&net.Dialer{KeepAlive: -1}).Dial("tcp4", l.Addr().String())
			return err
		}); err != nil {
			return figure{}, err
		}
		h, err := heartbeat.NewConn(c, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: interval, Timeout: time.Minute}})
		if err != nil {
			return figure{}, err
		}
		defer h.Close()
	}
	time.Sleep(2 * interval)
	var rounds []float64
	for range e.rounds {
		var before, after unix.Rusage
		count := pings.Load()
		err1 := unix.Getrusage(unix.RUSAGE_SELF, &before)
		time.Sleep(e.window / 4)
		if err := errors.Join(err1, unix.Getrusage(unix.RUSAGE_SELF, &after)); err != nil {
			return figure{}, os.NewSyscallError("getrusage", err)
		}
		used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		rounds = append(rounds, float64(used)/1000/float64(pings.Load()-count))
	}
	return figureOf(rounds), nil
}

// listenBeats accepts connections and answers the pings, which it counts.
func (n *namespace) listenBeats(pings *atomic.Int64) (l net.Listener, err error) {
	err = n.do(func() error {
		l, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return nil, err
	}
	go acceptAll(l, func(c net.Conn) {
		h, err := heartbeat.NewConn(c, heartbeat.ConnConfig{
			Config: heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour},
			OnPing: func([]byte) { pings.Add(1) },
		})
		if err == nil {
			io.Copy(io.Discard, h)
			h.Close()
		}
	})
	return l, nil
}

// threadTime is the processor time of the calling thread.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), os.NewSyscallError("clock_gettime", err)
}

// segments is the number of TCP segments that were sent in the namespace of the calling
// thread.
func segments() (int, error) {
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case f[0] != "Tcp:":
		case names == nil:
			names = f
		default:
			i := slices.Index(names, "OutSegs")
			if i < 0 || i >= len(f) {
				return 0, errors.New("/proc/net/snmp has no OutSegs")
			}
			return strconv.Atoi(f[i])
		}
	}
	return 0, errors.New("/proc/net/snmp has no line for TCP")
}

// kernelMemory is the memory of the kernel that it cannot give back, in bytes.
func kernelMemory() (float64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("SUnreclaim:"))
	if f := bytes.Fields(rest); ok && len(f) > 0 {
		kB, err := strconv.ParseFloat(string(f[0]), 64)
		return kB * 1024, err
	}
	return 0, errors.New("/proc/meminfo has no SUnreclaim")
}
