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
	name, title string
	config      labConfig
	proxy       bool             // between the client and the server
	happen      func(*lab) error // nil if the NAT is to drop the idle connections
	volume      int              // bytes that the program writes afterwards, or 0 for one byte
}

func (s settings) ways() []way {
	drops := labConfig{natTimeout: s.natTimeout}
	resets, loose := drops, drops
	resets.natReset, loose.natLoose = true, true
	return []way{
		{
			name: "killed", title: "For comparison: the process was killed. Its kernel closes the connection.",
			happen: func(l *lab) error { l.killServer(); return nil },
		},
		{
			name: "a. crash", title: "The host crashed, or a cable was pulled. Nothing answers.",
			happen: (*lab).crash,
		},
		{
			name: "b. reboot", title: "The host crashed, and is back. It has no such connection.",
			happen: (*lab).reboot,
		},
		{
			name: "c. NAT, idle", title: fmt.Sprintf("A NAT or firewall drops connections that were idle for %v, silently.", s.natTimeout),
			config: drops,
		},
		{
			name: "   with RST", title: "The same, but it answers later segments with RST.",
			config: resets,
		},
		{
			name: "   loose", title: "The same, but this side's next segment creates a new entry (Linux's default).",
			config: loose,
		},
		{
			name: "   restart", title: "A NAT or firewall has restarted. It has lost all connections, silently.",
			happen: (*lab).loseNATState,
		},
		{
			name: "d. unreachable", title: "The host crashed, and the router before it reports that with ICMP.",
			config: labConfig{arp: true}, happen: (*lab).crash,
		},
		{
			name: "e. hang", title: "The process hangs (here: SIGSTOP). Its kernel still answers.",
			happen: (*lab).hang,
		},
		{
			name: "   sending", title: "The same. On the right, the program writes 32 MiB, so that Write blocks.",
			happen: (*lab).hang, volume: 32 << 20,
		},
		{
			name: "f. proxy", title: "The host behind a proxy crashed. The proxy keeps the connection.",
			proxy: true, happen: (*lab).crash,
		},
		{
			name: "g. own address", title: "The address of this side has changed, as when a laptop changes networks.",
			happen: (*lab).changeAddress,
		},
	}
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
		name, cause := errorName(o.err), keepalive.Diagnose(o.err).String()
		if name == cause { // EOF
			return after + " " + name
		}
		return fmt.Sprintf("%s %s, %s", after, name, cause)
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
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "ErrUnexpectedEOF"
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
	last time.Time    // when it began to wait for the last answer, which takes less than 1 ms
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
	c.last = time.Now()
	c.SetDeadline(c.last.Add(patience))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
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
	if w.happen != nil {
		err = w.happen(l)
	} else {
		err = l.waitExpired(quiet, s.natTimeout)
	}
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
Except in c, the last answer was %v earlier. No error: none in %v.
`, delayedAck, s.wait)
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
