package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
)

// settings are the times of the experiment disappear.
type settings struct {
	keepalive   keepalive.Options
	userTimeout time.Duration
	heartbeat   time.Duration // its interval
	natTimeout  time.Duration // longer than the idle time, so that probes are in time
	wait        time.Duration // for an error
}

const linuxDefaults = "Linux defaults"

// remedy is what a program does against peers that disappear.
type remedy struct {
	name, about string
	options     keepalive.Options
	heartbeat   time.Duration // its interval, or 0 for none
}

func (s settings) remedies() []remedy {
	off, both := keepalive.Options{Disabled: true}, s.keepalive
	timeout := off
	timeout.UserTimeout, both.UserTimeout = s.userTimeout, s.userTimeout
	beat := heartbeatConfig(s.heartbeat)
	return []remedy{
		{"no setting", "keepalive is off", off, 0},
		{linuxDefaults, "keepalive is on: idle=2h,interval=75s,count=9", keepalive.Options{}, 0},
		{"keepalive", s.keepalive.String(), s.keepalive, 0},
		{"user timeout", fmt.Sprintf("keepalive is off, user-timeout=%v", s.userTimeout), timeout, 0},
		{"both", both.String(), both, 0},
		{"heartbeat", fmt.Sprintf("heartbeat.Conn: a ping after %v, timeout %v", beat.Interval, beat.Timeout), off, s.heartbeat},
	}
}

// probes reports whether the remedy sends something while the connection is idle, within
// the time of this experiment.
func (r remedy) probes() bool { return r.heartbeat > 0 || r.options.Idle > 0 }

// way is a way in which a peer disappears.
type way struct {
	name, title string // the title has one sentence in each line
	config      labConfig
	proxy       bool // between the client and the server
	happen      func(l *lab, quiet []int) error
	volume      int // of what the program writes after the event, in bytes, or 0 for 1
}

// ways returns the ways. Each function happen gets the ports of the connections that have
// no probes.
func (s settings) ways() []way {
	crash := func(l *lab, _ []int) error { return l.crash() }
	hang := func(l *lab, _ []int) error { return l.hang() }
	expire := func(l *lab, quiet []int) error { return l.waitExpired(quiet, s.natTimeout) }
	return []way{
		{
			"a. crash", "The host crashed, or a cable was pulled. Nothing answers.",
			labConfig{}, false, crash, 0,
		}, {
			"b. reboot", "The host crashed, and is back. It has no such connection.",
			labConfig{}, false, func(l *lab, _ []int) error { return l.reboot() }, 0,
		}, {
			"c. NAT, idle", fmt.Sprintf("A NAT or firewall drops connections that were idle for %v, silently.", s.natTimeout),
			labConfig{natTimeout: s.natTimeout}, false, expire, 0,
		}, {
			"   with RST", fmt.Sprintf("The same after %v, but it answers later segments with RST.", s.natTimeout),
			labConfig{natTimeout: s.natTimeout, natReset: true}, false, expire, 0,
		}, {
			"   restart", "A NAT or firewall has restarted. It has lost all connections, silently.",
			labConfig{}, false, func(l *lab, _ []int) error { return l.loseNATState() }, 0,
		}, {
			"d. unreachable", "The host crashed, and the router before it reports that with ICMP.",
			labConfig{arp: true}, false, crash, 0,
		}, {
			"e. hang", "The process hangs (here: SIGSTOP). Its kernel still answers.",
			labConfig{}, false, hang, 0,
		}, {
			"   sending", "The same. On the right, the program writes 32 MB, so that Write blocks.",
			labConfig{}, false, hang, 32 << 20,
		}, {
			"f. proxy", "The host behind a proxy crashed. The proxy keeps the connection.",
			labConfig{}, true, crash, 0,
		}, {
			"g. own address", "The address of this side has changed, as when a laptop changes networks.",
			labConfig{}, false, func(l *lab, _ []int) error { return l.changeAddress() }, 0,
		},
	}
}

// waitExpired waits until the NAT has dropped the connections of all these ports.
func (l *lab) waitExpired(ports []int, timeout time.Duration) error {
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		entries, err := l.natEntries()
		if err != nil {
			return err
		}
		left := 0
		for _, port := range ports {
			if _, ok := entries[port]; ok {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Since(start) > 3*timeout+5*time.Second {
			return fmt.Errorf("the NAT still has %d connections that were idle for %v", left, time.Since(start).Round(time.Second))
		}
	}
}

// changeAddress gives the client another address.
func (l *lab) changeAddress() error {
	return l.client.ip(
		fmt.Sprintf("addr del %v/24 dev c0", clientAddr),
		fmt.Sprintf("addr add %v/24 dev c0", clientAddr.Next()),
		fmt.Sprintf("route replace default via %v", insideAddr),
	)
}

// outcome is what a program saw.
type outcome struct {
	after time.Duration // from the last answer of the peer, or from Write, until the error
	err   error         // of Read or Write. It is nil if there was none in time

	// If there was no error:
	answered bool // Read returned data
	works    bool // the peer answered after the time without an error
	blocked  bool // Write still blocked
	info     unix.TCPInfo
}

func (o outcome) String() string {
	switch {
	case o.err != nil:
		after := fmt.Sprintf("%.2fs", o.after.Seconds())
		if o.after > time.Minute {
			after = o.after.Round(time.Second).String()
		}
		return fmt.Sprintf("%s %s, %v", after, errorName(o.err), keepalive.Diagnose(o.err))
	case o.answered:
		return "the peer answers"
	case o.works:
		return "no error, the peer answers"
	case o.blocked:
		return "no error, Write blocks"
	case o.info.Unacked > 0:
		return fmt.Sprintf("no error, resent %d times", o.info.Retransmits)
	case o.info.Notsent_bytes > 0:
		return "no error, cannot be sent"
	case o.info.Bytes_acked > 3: // this byte, and not only SYN and the two before
		return "no error, acknowledged"
	}
	return "no error"
}

// brief is the outcome in a few characters.
func (o outcome) brief() string {
	switch {
	case o.err != nil && o.after > time.Minute:
		return o.after.Round(time.Second).String()
	case o.err != nil:
		return fmt.Sprintf("%.1f", o.after.Seconds())
	case o.answered, o.works:
		return "ok"
	}
	return "-"
}

// errorName returns, for example, "ETIMEDOUT".
func errorName(err error) string {
	var errno syscall.Errno
	var dead *heartbeat.DeadError
	switch {
	case errors.As(err, &dead):
		return "DeadError"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	return err.Error()
}

// delayedAck is more than the 200 ms by which the kernel may delay an acknowledgment
// (TCP_DELACK_MAX).
const delayedAck = 250 * time.Millisecond

// connection is one connection of the client.
type connection struct {
	net.Conn
	tcp  *net.TCPConn // below heartbeat.Conn
	last time.Time    // of the last answer
}

// dialRemedy connects with a remedy, and waits for a first answer.
func (l *lab) dialRemedy(r remedy, proxy bool) (*connection, error) {
	host, port := serverAddr, echoPort
	if proxy {
		host = insideAddr
	}
	if r.heartbeat > 0 {
		port = heartbeatPort
	}
	tcp, err := l.client.dial(r.options, host, port)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: tcp, tcp: tcp.(*net.TCPConn)}
	if r.heartbeat > 0 {
		if c.Conn, err = heartbeat.NewConn(tcp, heartbeatConfig(r.heartbeat)); err != nil {
			return nil, err
		}
	}
	return c, c.echo(10 * time.Second)
}

// echo sends a byte and waits for the answer.
func (c *connection) echo(patience time.Duration) error {
	c.SetDeadline(time.Now().Add(patience))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	c.last = time.Now()
	return err
}

// finish completes the outcome of Read or Write, which began at start.
func (c *connection) finish(o outcome, start time.Time, err error) outcome {
	o.after = time.Since(start)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		o.err = err
	}
	if raw, err := c.tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				o.info = *info
			}
		})
	}
	return o
}

// idle waits in Read. If there is no error, it tries whether the peer still answers.
func (c *connection) idle(wait time.Duration) outcome {
	c.SetReadDeadline(c.last.Add(wait))
	n, err := c.Read(make([]byte, 1))
	o := c.finish(outcome{answered: n > 0}, c.last, err)
	if o.err == nil {
		o.works = c.echo(time.Second) == nil
	}
	return o
}

// write writes some bytes, and waits in Read.
func (c *connection) write(volume int, wait time.Duration) outcome {
	start := time.Now()
	c.SetDeadline(start.Add(wait))
	if _, err := c.Write(make([]byte, max(1, volume))); err != nil {
		return c.finish(outcome{blocked: true}, start, err)
	}
	n, err := c.Read(make([]byte, 1))
	return c.finish(outcome{answered: n > 0}, start, err)
}

// row is what a program saw with a remedy: on an idle connection, and when it has written
// a byte after the peer had disappeared.
type row struct {
	remedy        remedy
	idle, written outcome
}

// observe lets the server disappear, and returns what the client sees.
func (s settings) observe(w way, note func(format string, args ...any)) ([]row, error) {
	l, err := newLab(w.config)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.startServer(s.heartbeat); err != nil {
		return nil, err
	}
	if w.proxy {
		if err := l.proxy(); err != nil {
			return nil, err
		}
	}
	remedies := s.remedies()
	rows := make([]row, len(remedies))
	idle, written := make([]*connection, len(remedies)), make([]*connection, len(remedies))
	var quiet []int
	var group sync.WaitGroup
	for i, r := range remedies {
		rows[i].remedy = r
		for _, conns := range [][]*connection{written, idle} {
			if conns[i], err = l.dialRemedy(r, w.proxy); err != nil {
				return nil, err
			}
			defer conns[i].Close()
			if !r.probes() {
				quiet = append(quiet, conns[i].tcp.LocalAddr().(*net.TCPAddr).Port)
			}
		}
	}
	// All of them answer once more, at about the same time.
	for i := range remedies {
		for _, c := range []*connection{written[i], idle[i]} {
			if err := c.echo(10 * time.Second); err != nil {
				return nil, err
			}
		}
		group.Go(func() {
			rows[i].idle = idle[i].idle(s.wait)
			note("%s, %s, idle: %v", w.name, remedies[i].name, rows[i].idle)
		})
	}
	time.Sleep(delayedAck)
	err = w.happen(l, quiet)
	if err == nil {
		for i, c := range written {
			group.Go(func() {
				rows[i].written = c.write(w.volume, s.wait)
				note("%s, %s, written: %v", w.name, remedies[i].name, rows[i].written)
			})
		}
	}
	group.Wait()
	return rows, err
}

func disappear(out io.Writer, args []string) error {
	s := settings{
		keepalive:   keepalive.Options{Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		userTimeout: 4500 * time.Millisecond,
		heartbeat:   time.Second,
		natTimeout:  4 * time.Second,
	}
	fs := flag.NewFlagSet("disappear", flag.ContinueOnError)
	fs.DurationVar(&s.wait, "for", 10*time.Second, "how long to wait for an error. 20m includes the time of data in flight, and 2h20m the defaults of keepalive")
	if err := parse(fs, args); err != nil {
		return err
	}
	if least := 10 * time.Second; s.wait < least {
		return usageError(fmt.Sprintf("-for %v: must be at least %v", s.wait, least))
	}
	start := time.Now()
	note := func(format string, args ...any) {}
	if s.wait > time.Minute {
		note = func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "%8v  %s\n", time.Since(start).Round(time.Second), fmt.Sprintf(format, args...))
		}
	}
	ways := s.ways()
	seen, errs := make([][]row, len(ways)), make([]error, len(ways))
	var group sync.WaitGroup
	for i, w := range ways {
		group.Go(func() { seen[i], errs[i] = s.observe(w, note) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", ways[i].name, err)
		}
	}
	s.print(out, ways, seen)
	return nil
}

func (s settings) print(out io.Writer, ways []way, seen [][]row) {
	fmt.Fprintf(out, "A client, a router with NAT and a server, each in a network namespace.\n\n")
	for _, r := range s.remedies() {
		fmt.Fprintf(out, "  %-15s %s\n", r.name, r.about)
	}
	fmt.Fprintf(out, `
Left: the program waits in Read. Seconds from the last answer of the peer.
Right: it writes a byte after the event, and waits in Read. Seconds from Write.
"No error" means none in %v.
`, s.wait)
	for i, w := range ways {
		fmt.Fprintf(out, "\n%s\n%s\n", w.name, w.title)
		for _, r := range seen[i] {
			fmt.Fprintf(out, "  %-15s %-28v %v\n", r.remedy.name, r.idle, r.written)
		}
	}
	fmt.Fprint(out, `
In short: seconds until the error, idle / after Write
- no error, ok the peer answers

`)
	table := func(name string, cell func(i int) string) {
		line := fmt.Sprintf("%-15s", name)
		for i, r := range s.remedies() {
			if r.name != linuxDefaults { // as without a setting, unless the experiment takes two hours
				line += fmt.Sprintf(" %-12s", cell(i))
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	table("", func(i int) string { return s.remedies()[i].name })
	for i, w := range ways {
		table(w.name, func(j int) string { return seen[i][j].idle.brief() + " / " + seen[i][j].written.brief() })
	}
}
