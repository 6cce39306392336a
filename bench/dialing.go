package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-keepalive/keepalive"
)

// The way without any keepalive is the floor of dialing and accepting.
const none = "none"

func listenConfig(way string) *net.ListenConfig {
	switch way {
	case ours:
		return keepalive.ListenConfig(nil, typical)
	case nets:
		return &net.ListenConfig{KeepAliveConfig: netsOwn}
	}
	return &net.ListenConfig{KeepAlive: -1}
}

func dialer(way string) *net.Dialer {
	switch way {
	case ours:
		return keepalive.Dialer(nil, typical)
	case nets:
		return &net.Dialer{KeepAliveConfig: netsOwn}
	}
	return &net.Dialer{KeepAlive: -1}
}

// pair dials and accepts connections over loopback.
type pair struct {
	d *net.Dialer
	l net.Listener
}

func newPair(dial, accept string) (*pair, error) {
	l, err := listenConfig(accept).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &pair{dialer(dial), l}, nil
}

// once makes a connection, ends it, and tells how long the two took that matter.
func (p *pair) once() (dialing, accepting time.Duration, err error) {
	start := time.Now()
	near, err := p.d.Dial("tcp", p.l.Addr().String())
	if err != nil {
		return 0, 0, err
	}
	defer near.Close()
	dialed := time.Now()
	far, err := p.l.Accept()
	if err != nil {
		return 0, 0, err
	}
	accepted := time.Now()
	defer far.Close()
	// A reset leaves no socket in TIME_WAIT, of which there is room for few.
	return dialed.Sub(start), accepted.Sub(dialed), near.(*net.TCPConn).SetLinger(0)
}

// dialing compares the time and the system calls that a connection takes.
func dialing(l *lab, s *section) error {
	const n = 200
	ways := []string{ours, nets, none}
	var listeners []*pair
	defer func() {
		for _, p := range listeners {
			p.l.Close()
		}
	}()
	// measure makes the comparison in which each way makes connections with
	// keepalive on one side, or on both.
	measure := func(bench string, dial, accept bool, part func(dialing, accepting time.Duration) time.Duration) ([]series, error) {
		side := func(on bool, way string) string {
			if on {
				return way
			}
			return none
		}
		var all []way
		for _, name := range ways {
			p, err := newPair(side(dial, name), side(accept, name))
			if err != nil {
				return nil, err
			}
			listeners = append(listeners, p)
			all = append(all, way{name: name, run: func(n int) (sum time.Duration, err error) {
				start := time.Now()
				for range n {
					d, a, err := p.once()
					if err != nil {
						return 0, err
					}
					if part != nil {
						sum += part(d, a)
					}
				}
				if part == nil {
					sum = time.Since(start)
				}
				return sum, nil
			}})
		}
		return compare(l.out, bench, l.rounds(21), n, all...)
	}
	dialed, err := measure("Dial", true, false, func(d, _ time.Duration) time.Duration { return d })
	if err != nil {
		return err
	}
	accepted, err := measure("Accept", false, true, func(_, a time.Duration) time.Duration { return a })
	if err != nil {
		return err
	}
	whole, err := measure("Connection", true, true, nil)
	if err != nil {
		return err
	}
	s.say("Over loopback, one after the other in one goroutine: Dial, Accept of the connection that waits already, and both with the two closes, with keepalive "+
		"on both sides. *none* is neither side with any keepalive. %d rounds of %d connections.", l.rounds(21), n)
	costs(s, "Dial", dialed)
	costs(s, "Accept", accepted)
	var rows [][]string
	for _, r := range whole {
		perSecond := make([]float64, len(r.ns))
		for i, ns := range r.ns {
			perSecond[i] = 1e9 / ns
		}
		rows = append(rows, []string{r.way, spreadOf(perSecond).String(), whole[2].over(r).String()})
	}
	s.table([]string{"dialed, accepted and closed", "connections per second", "times " + none}, rows)
	s.picture("dialing.svg", "Bars: the time of Dial and Accept, each way", bars("Dialing and accepting over loopback", "ns per connection",
		group{"Dial", dialed}, group{"Accept", accepted}))

	if l.short {
		return nil // the root module's tests hold the counts
	}
	l.note("dialing: counting system calls")
	err = countCalls(s)
	if errors.Is(err, errAbsent) {
		s.lacks("the system calls of a connection", err)
		return nil
	}
	return err
}

// traced is the child that strace looks at: it makes connections.
func traced(args []string) (any, error) {
	p, err := newPair(args[0], args[1])
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(args[2])
	for range n {
		if err == nil {
			_, _, err = p.once()
		}
	}
	return nil, err
}

// countCalls writes the table of the calls that one connection takes, which is
// the difference between programs that make few and many.
func countCalls(s *section) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return absent(err)
	}
	type config struct{ name, dial, accept string }
	configs := []config{{"none", none, none}, {"net dials", nets, none}, {"keepalive dials", ours, none}, {"net accepts", none, nets}, {"keepalive accepts", none, ours}}
	const few, many = 20, 120
	counts := make([]map[string]float64, len(configs))
	names := map[string]bool{}
	for i, c := range configs {
		counts[i] = map[string]float64{}
		for n, sign := range map[int]float64{few: -1, many: 1} {
			seen, err := underStrace(strace, c.dial, c.accept, n)
			if err != nil {
				return err
			}
			for name, k := range seen {
				counts[i][name] += sign * float64(k) / (many - few)
				names[name] = true
			}
		}
	}
	head := []string{"call"}
	for _, c := range configs {
		head = append(head, c.name)
	}
	var rows [][]string
	sums := make([]float64, len(configs))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row, any := []string{name}, false
		for i := range configs {
			k := counts[i][name]
			sums[i] += k
			row = append(row, fmt.Sprintf("%.1f", k))
			any = any || k >= 0.05
		}
		if any {
			rows = append(rows, row)
		}
	}
	sum := []string{"all"}
	for _, k := range sums {
		sum = append(sum, fmt.Sprintf("%.1f", k))
	}
	s.say("System calls for one connection, both ends and both closes together, counted with strace: the difference between %d and %d connections, divided. "+
		"Calls that wait are left out.", few, many)
	s.table(head, append(rows, sum))
	return nil
}

// underStrace counts a child's calls that make, set and end sockets, by name.
func underStrace(strace, dial, accept string, n int) (map[string]int, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "strace")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd, err := child(ctx, []string{strace, "-f", "-qq", "-o", file, "-e", "trace=%network,epoll_ctl,close"}, "trace", dial, accept, strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		line, _, _ := strings.Cut(string(out), "\n")
		err = fmt.Errorf("%w: %s", err, line)
		if strings.Contains(line, "strace:") { // it may not trace, or not here
			err = absent(err)
		}
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seen := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name := callOf(lines.Text()); name != "" {
			seen[name]++
		}
	}
	if len(seen) == 0 {
		return nil, errors.New("strace shows no calls")
	}
	return seen, lines.Err()
}

// callOf is the call that a line of strace's begins: "PID name(…". A call that
// is shown in two halves counts once.
func callOf(line string) string {
	_, rest, _ := strings.Cut(line, " ")
	name, _, ok := strings.Cut(strings.TrimLeft(rest, " "), "(")
	if !ok || strings.ContainsAny(name, " <+-") {
		return ""
	}
	return name
}
