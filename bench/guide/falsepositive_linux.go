package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"golang.org/x/sys/unix"
)

// risk is how much is measured.
type risk struct {
	connections int   // with each setting on a path that loses segments
	probes      int   // of each of them
	losses      []int // percent, in each direction
	cut         int   // connections with each setting on a path that fails for a while
	times       []time.Duration
	spread      time.Duration // connections begin at random times within it
}

var wholeRisk = risk{
	connections: 300, probes: 20, losses: []int{1, 5, 20, 50},
	cut: 80, times: []time.Duration{1e9, 2e9, 3e9, 4e9, 5e9, 6e9, 8e9, 10e9}, spread: 5 * time.Second,
}

func falsePositive(out io.Writer, args []string) error {
	fs := flag.NewFlagSet("falsepositive", flag.ContinueOnError)
	if err := parse(fs, args); err != nil {
		return err
	}
	seen, err := wholeRisk.measure()
	if err == nil {
		seen.print(out)
	}
	return err
}

// group is a number of connections with the same settings, on the same path, whose
// peer is alive.
type group struct {
	o      keepalive.Options
	write  time.Duration // writes a byte in each period, if it is not 0
	beat   heartbeat.Config
	n      int
	loss   int           // percent of the segments in each direction
	outage time.Duration // of the path
	pause  time.Duration // of the peer's process
	tries  int           // how often a byte was sent until the connection was dropped, if loss is 100

	addr    string
	conns   []*net.TCPConn
	dropped atomic.Int64
	written atomic.Int64
}

// lost is the probability that a probe or its answer is lost.
func lost(percent int) float64 {
	kept := 1 - float64(percent)/100
	return 1 - kept*kept
}

// chain is the probability that count probes in a row are unanswered, among n. One of
// them is unanswered with the probability q.
func chain(q float64, count, n int) float64 {
	state, dropped := make([]float64, count), 0.0 // state[i]: the last i probes are unanswered
	state[0] = 1
	for range n {
		next := make([]float64, count)
		for i, p := range state {
			next[0] += p * (1 - q)
			if i+1 == count {
				dropped += p * q
			} else {
				next[i+1] += p * q
			}
		}
		state = next
	}
	return dropped
}

func mustOptions(text string) keepalive.Options {
	var o keepalive.Options
	if err := o.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return o
}

// plan is one of the settings that are compared.
type plan struct {
	name  string
	o     keepalive.Options
	count int // unanswered probes in a row that drop the connection
	write time.Duration
	beat  heartbeat.Config
}

// lossPlans are for idle connections on a path with random loss.
func lossPlans() []plan {
	return []plan{
		{name: "count=1", o: mustOptions("idle=1s,interval=1s,count=1"), count: 1},
		{name: "count=2", o: mustOptions("idle=1s,interval=1s,count=2"), count: 2},
		{name: "count=3", o: mustOptions("idle=1s,interval=1s,count=3"), count: 3},
		{name: "count=5", o: mustOptions("idle=1s,interval=1s,count=5"), count: 5},
		{name: "count=3,user-timeout=1s", o: mustOptions("idle=1s,interval=1s,count=3,user-timeout=1s"), count: 1},
		{name: "DetectWithin(5s)", o: keepalive.DetectWithin(5 * time.Second), count: 3},
	}
}

// dataTimeouts are user timeouts for data in flight.
var dataTimeouts = []time.Duration{time.Second, 3500 * time.Millisecond}

// dataOptions are for connections that are never idle for long enough for a probe.
func dataOptions(userTimeout time.Duration) keepalive.Options {
	return keepalive.Options{Idle: time.Minute, Interval: 5 * time.Second, Count: 3, UserTimeout: userTimeout}
}

// cutPlans are for connections on a path that fails for a while.
func cutPlans() []plan {
	three := mustOptions("idle=1s,interval=1s,count=3")
	return []plan{
		{name: three.String(), o: three, count: 3},
		{name: "DetectWithin(10s)", o: keepalive.DetectWithin(10 * time.Second), count: 3},
		{name: "user-timeout=3.5s, data", o: dataOptions(3500 * time.Millisecond), write: 250 * time.Millisecond},
		{name: "heartbeat 1s, timeout 4s", beat: heartbeat.Config{Interval: time.Second, Timeout: 4 * time.Second}},
	}
}

// overlapped is the part of the idle connections that an outage of d drops. It begins at
// a random time between two answers, which are Idle apart. So the first unanswered probe is
// sent up to Idle later, and all of them must be sent during the outage.
func (r plan) overlapped(d time.Duration) float64 {
	v := (d - time.Duration(r.count-1)*r.o.Interval).Seconds() / r.o.Idle.Seconds()
	return min(max(v, 0), 1)
}

// falsePositives are groups of connections that have been exposed to a path.
type falsePositives struct {
	risk
	idle, data      [][]*group // by loss, and then by lossPlans and dataTimeouts
	dead            []*group   // by dataTimeouts
	outages, pauses [][]*group // by cutPlans, and then by time
}

// measure measures how often connections are dropped whose peer is alive.
func (r risk) measure() (*falsePositives, error) {
	f := &falsePositives{risk: r}
	var all []*group
	add := func(g *group) *group {
		all = append(all, g)
		return g
	}
	control := add(&group{o: lossPlans()[0].o, n: 5})
	for _, loss := range r.losses {
		var i, d []*group
		for _, s := range lossPlans() {
			i = append(i, add(&group{o: s.o, n: r.connections, loss: loss}))
		}
		for _, u := range dataTimeouts {
			d = append(d, add(&group{o: dataOptions(u), write: u + time.Second, n: r.connections, loss: loss}))
		}
		f.idle, f.data = append(f.idle, i), append(f.data, d)
	}
	for _, u := range dataTimeouts {
		f.dead = append(f.dead, add(&group{o: dataOptions(u), write: time.Minute, n: 1, loss: 100}))
	}
	for _, s := range cutPlans() {
		var o, p []*group
		for _, d := range r.times {
			o = append(o, add(&group{o: s.o, write: s.write, beat: s.beat, n: r.cut, outage: d}))
			p = append(p, add(&group{o: s.o, write: s.write, beat: s.beat, n: r.cut, pause: d}))
		}
		f.outages, f.pauses = append(f.outages, o), append(f.pauses, p)
	}
	return f, expose(all, r, control)
}

func (f *falsePositives) print(w io.Writer) {
	fmt.Fprintf(w, `Living peers whose connections are dropped, in %%: measured / computed.
%d connections for each number.

Idle connections, %d probes with idle=1s,interval=1s. Segments are lost at
random, in both directions. Computed for count unanswered probes in a row.

loss of segments               %s
one probe or its answer        %s
`, f.connections, f.probes, columns(f.losses, func(_, loss int) string { return fmt.Sprintf("%d %%", loss) }),
		columns(f.losses, func(_, loss int) string { return percent(lost(loss)) }))
	for k, s := range lossPlans() {
		fmt.Fprintf(w, "%-31s%s\n", s.name, columns(f.losses, func(i, _ int) string {
			return percent(float64(f.idle[i][k].dropped.Load())/float64(f.connections)) + " / " + percent(chain(lost(f.losses[i]), s.count, f.probes))
		}))
	}
	fmt.Fprintf(w, `
Data in flight, %% of the written bytes that end the connection. Computed for
the loss of all transmissions. Their number is that of a dead peer.

`)
	for k, u := range dataTimeouts {
		tries := f.dead[k].tries
		fmt.Fprintf(w, "%-31s%s\n", fmt.Sprintf("user-timeout=%v, sent %d times", u, tries), columns(f.losses, func(i, _ int) string {
			g := f.data[i][k]
			return percent(float64(g.dropped.Load())/float64(g.written.Load())) + " / " + percent(math.Pow(lost(f.losses[i]), float64(tries)))
		}))
	}
	fmt.Fprintf(w, `
1000 connections that are always idle, with idle=45s: drops in a day. Computed
as 1000 * 24h/45s * (1-(1-loss)^2)^count.

`)
	for _, count := range []int{1, 2, 3, 5, 9} {
		fmt.Fprintf(w, "%-31s%s\n", fmt.Sprintf("count=%d", count), columns(f.losses, func(_, loss int) string {
			return digits(1000 * 24 * 3600 / 45 * math.Pow(lost(loss), float64(count)))
		}))
	}
	fmt.Fprintf(w, `
Everything is lost for a while, for example because a router is started again.
%d connections for each number.

%s`, f.cut, durations(f.times))
	for k, s := range cutPlans() {
		cells(w, s.name, f.outages[k])
		if s.count > 0 {
			fmt.Fprintf(w, "%-28s", "  computed")
			for _, d := range f.times {
				fmt.Fprintf(w, "%6s", percent(s.overlapped(d)))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintf(w, `
The peer's process is stopped for a while. Its kernel still answers.

%s`, durations(f.times))
	for k, s := range cutPlans() {
		cells(w, s.name, f.pauses[k])
	}
}

func durations(times []time.Duration) string {
	s := fmt.Sprintf("%28s", "")
	for _, d := range times {
		s += fmt.Sprintf("%6v", d)
	}
	return s + "\n"
}

func cells(w io.Writer, name string, groups []*group) {
	fmt.Fprintf(w, "%-28s", name)
	for _, g := range groups {
		fmt.Fprintf(w, "%6s", percent(float64(g.dropped.Load())/float64(g.n)))
	}
	fmt.Fprintln(w)
}

// columns makes a cell for each path.
func columns(losses []int, cell func(i, loss int) string) string {
	var w strings.Builder
	for i, loss := range losses {
		fmt.Fprintf(&w, "%12s", cell(i, loss))
	}
	return w.String()
}

func percent(v float64) string {
	switch v *= 100; {
	case v > 0 && v < 0.05:
		return "<0.1"
	case v > 0 && v < 9.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// digits is v with two digits.
func digits(v float64) string {
	switch {
	case v >= 100: // three digits
		unit := math.Pow(10, math.Floor(math.Log10(v))-1)
		return fmt.Sprintf("%.0f", math.Round(v/unit)*unit)
	case v >= 9.5:
		return fmt.Sprintf("%.0f", v)
	case v < 1e-4:
		return "<0.0001"
	}
	return fmt.Sprintf("%.2g", v)
}

// expose connects all groups, lets the paths and processes fail, and waits until the
// control connections, whose path is good, have sent so many probes.
func expose(all []*group, r risk, control *group) error {
	need := 100
	for _, g := range all {
		need += g.n
		if g.pause == 0 {
			need += g.n * g.beats() // the other ends, in this process
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(need) {
		return fmt.Errorf("%d file descriptors are needed, and the limit is %d (ulimit -Hn)", need, limit.Cur)
	}
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.close()
	peers := map[time.Duration]*peer{}
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	for _, g := range all {
		if g.pause > 0 {
			if peers[g.pause] == nil {
				if peers[g.pause], err = startPeer(n); err != nil {
					return err
				}
			}
			g.addr = peers[g.pause].addrs[g.beats()]
			continue
		}
		var l net.Listener
		err := n.do(func() (err error) {
			l, err = listenPeer(g.beats() == 1)
			return err
		})
		if err != nil {
			return err
		}
		defer l.Close()
		g.addr = l.Addr().String()
	}

	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	var connections, begun sync.WaitGroup
	defer connections.Wait()
	defer stop()
	failed, lossy := make(chan error, 1), make(chan struct{})
	for _, g := range all {
		g.conns = make([]*net.TCPConn, g.n)
		for i := range g.n {
			begun.Add(1)
			connections.Go(func() {
				if err := g.hold(ctx, n, i, rand.N(r.spread), &begun, lossy); err != nil {
					select {
					case failed <- err:
					default: // the first one is enough
					}
				}
			})
		}
	}
	begun.Wait()
	if len(failed) > 0 {
		return <-failed
	}
	from, err := control.sent()
	if err != nil {
		return err
	}
	if err := n.command(dropRules(all), "nft", "-f", "-"); err != nil {
		return err
	}
	close(lossy)
	for d, p := range peers {
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		time.AfterFunc(d, func() { p.cmd.Process.Signal(syscall.SIGCONT) })
	}
	// A connection is dropped when the probe after the last unanswered one is due.
	for {
		now, err := control.sent()
		if err != nil {
			return err
		}
		if now-from >= control.n*(r.probes+1) {
			break
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("the control connections sent %d probes: %w", now-from, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	time.Sleep(200 * time.Millisecond) // timers are not equally late
	for _, g := range all {
		if g.loss == 100 {
			info, err := tcpInfo(g.conns[0])
			if err != nil {
				return err
			}
			g.tries = 1 + int(info.Total_retrans)
		}
	}
	return nil
}

// beats is 1 for connections with heartbeats, and 0 for others.
func (g *group) beats() int {
	if g.beat.Interval > 0 {
		return 1
	}
	return 0
}

// hold makes the i-th connection and keeps it until ctx is done.
func (g *group) hold(ctx context.Context, n *namespace, i int, wait time.Duration, begun *sync.WaitGroup, lossy <-chan struct{}) error {
	begin := sync.OnceFunc(begun.Done)
	defer begin()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil
	}
	var c net.Conn
	err := n.do(func() (err error) {
		c, err = (&net.Dialer{KeepAlive: -1}).Dial("tcp4", g.addr)
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	g.conns[i] = c.(*net.TCPConn)
	conn := keepalive.KeepError(c, nil) // Write may get the error before Read
	if g.beats() == 1 {
		if conn, err = heartbeat.NewConn(c, heartbeat.ConnConfig{Config: g.beat}); err != nil {
			return err
		}
		defer conn.Close()
	} else if err := keepalive.Enable(c, g.o); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	begin()
	ended := make(chan struct{})
	defer close(ended)
	if g.write > 0 {
		go g.writes(conn, lossy, ended)
	}
	_, err = conn.Read(make([]byte, 1))
	if ctx.Err() != nil {
		return nil
	}
	if keepalive.Diagnose(err) != keepalive.Dead {
		return fmt.Errorf("%v: the connection ended: %w", g.o, err)
	}
	g.dropped.Add(1)
	<-ctx.Done() // the connection can still be inspected
	return nil
}

// writes writes a byte in each period, on a path with loss only from the time when it is
// lossy. It counts the bytes that are acknowledged, or have ended the connection.
func (g *group) writes(c net.Conn, lossy, ended <-chan struct{}) {
	if g.loss > 0 {
		select {
		case <-lossy:
		case <-ended:
			return
		}
	}
	for {
		if _, err := c.Write([]byte{1}); err != nil {
			return
		}
		select {
		case <-time.After(g.write):
			g.written.Add(1)
		case <-ended:
			return
		}
	}
}

// sent is the number of segments that the connections have sent.
func (g *group) sent() (int, error) {
	n := 0
	for _, c := range g.conns {
		info, err := tcpInfo(c)
		if err != nil {
			return 0, err
		}
		n += int(info.Segs_out)
	}
	return n, nil
}

func tcpInfo(c *net.TCPConn) (info *unix.TCPInfo, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := rc.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info, errors.Join(cerr, os.NewSyscallError("getsockopt TCP_INFO", err))
}

// dropRules drop what arrives at the ports of the groups, at random or for a while.
func dropRules(all []*group) string {
	losses, outages := map[int][]string{}, []string{}
	for _, g := range all {
		_, port, _ := net.SplitHostPort(g.addr)
		if g.loss > 0 {
			losses[g.loss] = append(losses[g.loss], port)
		}
		if g.outage > 0 {
			outages = append(outages, fmt.Sprintf("%s timeout %v", port, g.outage))
		}
	}
	var w strings.Builder
	fmt.Fprintf(&w, "table inet guide {\n set outage { type inet_service; flags timeout; elements = { %s } }\n chain in {\n  type filter hook input priority 0;\n", strings.Join(outages, ", "))
	for _, end := range []string{"sport", "dport"} {
		fmt.Fprintf(&w, "  tcp %s @outage drop\n", end)
		for loss, ports := range losses {
			fmt.Fprintf(&w, "  tcp %s { %s } numgen random mod 100 >= %d drop\n", end, strings.Join(ports, ", "), 100-loss)
		}
	}
	return w.String() + " }\n}\n"
}

// listenPeer listens for connections whose peer stays alive. The kernel answers probes and
// acknowledges data also for a connection that nobody accepts.
func listenPeer(beats bool) (net.Listener, error) { return listenPeerAt("127.0.0.1:0", beats) }

func listenPeerAt(address string, beats bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil || !beats {
		return l, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// It answers pings and sends none.
			h, err := heartbeat.NewConn(c, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour}})
			if err == nil {
				go io.Copy(io.Discard, h)
			}
		}
	}()
	return l, nil
}

// peerEnv is set in a process that is a peer.
const peerEnv = "KEEPALIVE_GUIDE_PEER"

// A program that is started as a peer does nothing else.
func init() {
	if os.Getenv(peerEnv) != "" {
		if err := beAPeer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// beAPeer prints two addresses and serves them until in ends.
func beAPeer(in io.Reader, out io.Writer) error {
	for _, beats := range []bool{false, true} {
		l, err := listenPeer(beats)
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Fprintln(out, l.Addr())
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// peer is a process of its own, which can be stopped.
type peer struct {
	cmd   *exec.Cmd
	in    io.Closer
	addrs [2]string
}

func startPeer(n *namespace) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), peerEnv+"=1")
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.do(p.cmd.Start); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for i := range p.addrs {
		if !lines.Scan() {
			p.stop()
			return nil, errors.New("the peer's process printed no address")
		}
		p.addrs[i] = lines.Text()
	}
	return p, nil
}

// stop ends the process.
func (p *peer) stop() {
	p.cmd.Process.Signal(syscall.SIGCONT)
	p.in.Close()
	p.cmd.Wait()
}
