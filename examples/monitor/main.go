// Command monitor shows how a program can watch its connections with
// keepalive.Inspect. It has 1000 connections, and 20 of the peers become dead. It
// reports each dead peer before the kernel drops the connection.
//
//	go run ./examples/monitor
//
// The peers are sockets on loopback. A socket filter drops the segments that a dead
// peer should receive. That requires Linux, but no privileges. gVisor does not
// support it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type config struct {
	options keepalive.Options
	conns   int
	dead    int
	every   time.Duration
}

func run(args []string, stdout, stderr io.Writer) int {
	var c config
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.TextVar(&c.options, "keepalive", keepalive.DetectWithin(6*time.Second),
		"`options` of every connection, for example idle=2s,interval=1s,count=3,user-timeout=5s or detect-within=10s")
	fs.IntVar(&c.conns, "conns", 1000, "`number` of connections")
	fs.IntVar(&c.dead, "dead", 20, "`number` of peers that become dead")
	fs.DurationVar(&c.every, "every", 100*time.Millisecond, "`time` between two checks of all connections")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "usage: monitor [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return 0
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: only flags are accepted", fs.Arg(0))
	case c.conns < 1:
		err = fmt.Errorf("-conns %d: must be at least 1", c.conns)
	case c.dead < 0 || c.dead > c.conns:
		err = fmt.Errorf("-dead %d: must be between 0 and %d, the number of connections", c.dead, c.conns)
	case c.every <= 0:
		err = fmt.Errorf("-every %v: must be positive", c.every)
	case c.options.Disabled:
		err = errors.New("-keepalive off: without keepalive a dead peer is not detected")
	default:
		err = c.options.Validate()
	}
	if err != nil {
		fmt.Fprintf(stderr, "monitor: %v\n", err)
		return 2
	}
	if err := c.show(stdout); err != nil {
		fmt.Fprintf(stderr, "monitor: %v\n", err)
		return 1
	}
	return 0
}

// watched is one connection, as the program knows it.
type watched struct {
	id      int
	conn    *net.TCPConn
	kept    net.Conn          // conn, for Read and Write, which both need the error that ended it
	options keepalive.Options // in effect; read once, when the connection was made
	suspect bool

	// What a real program does not know:
	far      *testpeer.Far
	dead     bool
	reported bool // as suspect
	wrong    bool // reported while the peer was alive
}

// check inspects the connection, and reports if its peer has become suspect or has
// answered again.
func (w *watched) check(out io.Writer) {
	info, err := keepalive.Inspect(w.conn)
	if err != nil {
		return // the connection has ended, and Read returns the reason
	}
	suspect := info.Suspect(w.options)
	if suspect == w.suspect {
		return
	}
	w.suspect = suspect
	if !suspect {
		fmt.Fprintf(out, "connection %d: the peer answers again\n", w.id)
		return
	}
	w.reported, w.wrong = true, w.wrong || !w.dead
	fmt.Fprintf(out, "connection %d: suspect, silent for %v, ", w.id, info.Silence)
	if info.Unacked > 0 {
		fmt.Fprintf(out, "unacknowledged segments %d, retransmits %d", info.Unacked, info.Retransmits)
	} else {
		fmt.Fprintf(out, "unanswered probes %d", info.Probes)
	}
	if left, ok := info.Remaining(w.options); ok {
		fmt.Fprintf(out, ", the kernel drops it in %v", left)
	}
	fmt.Fprintln(out)
}

func (c config) show(out io.Writer) error {
	all := make([]*watched, c.conns)
	defer func() {
		for _, w := range all {
			if w != nil {
				w.conn.Close()
				w.far.Close()
			}
		}
	}()
	for id := range all {
		conn, far, err := testpeer.Dial("tcp")
		if err != nil {
			return fmt.Errorf("connection %d: %w", id, err)
		}
		all[id] = &watched{id: id, conn: conn, kept: keepalive.KeepError(conn, nil), far: far}
		if err := keepalive.Enable(conn, c.options); err != nil {
			return err
		}
		if all[id].options, err = keepalive.Get(conn); err != nil {
			return err
		}
		if _, err := keepalive.Inspect(conn); err != nil {
			return err
		}
	}

	// Each connection has a goroutine that reads, as in most programs.
	type end struct {
		id  int
		err error
	}
	ended := make(chan end, c.conns)
	for _, w := range all {
		go func() {
			_, err := io.Copy(io.Discard, w.kept)
			if err == nil {
				err = io.EOF
			}
			ended <- end{w.id, err}
		}()
	}
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	defer func() { close(stop); traffic.Wait() }()
	traffic.Go(func() { c.talk(all, stop) })

	detection := all[0].options.DetectionTime()
	fmt.Fprintf(out, "%d connections with %v: detection time %v\n", c.conns, c.options, detection)
	order := rand.Perm(c.conns)[:c.dead]
	start := time.Now()
	dropped := 0
	var checks int
	var checking time.Duration
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for time.Since(start) < 4*detection+10*time.Second {
		select {
		case <-tick.C:
			// The peers become dead one after the other, within one detection time.
			for n := len(order); n > 0 && time.Since(start) > detection*time.Duration(c.dead-n)/time.Duration(c.dead); n = len(order) {
				w := all[order[0]]
				order = order[1:]
				w.dead = true
				if err := w.far.Deaf(); err != nil {
					return fmt.Errorf("cannot make a peer dead: %w", err)
				}
			}
			began := time.Now()
			for _, w := range all {
				w.check(out)
			}
			checks++
			checking += time.Since(began)
		case e := <-ended:
			w := all[e.id]
			fmt.Fprintf(out, "connection %d: dropped (%v): %v\n", e.id, keepalive.Diagnose(e.err), e.err)
			switch dropped++; {
			case !w.dead:
				return fmt.Errorf("connection %d ended although its peer was alive", e.id)
			case !w.reported:
				return fmt.Errorf("connection %d was dropped before it was suspect", e.id)
			case keepalive.Diagnose(e.err) != keepalive.Dead:
				return fmt.Errorf("connection %d ended for another reason than a dead peer: %w", e.id, e.err)
			}
		}
		if dropped == c.dead && time.Since(start) > 3*detection/2 { // also without dead peers
			break
		}
	}
	wrong := 0
	for _, w := range all {
		if w.wrong {
			wrong++
		}
	}
	fmt.Fprintf(out, "Found %d of %d dead peers before the kernel dropped their connections, and suspected %d live peers.\n", dropped, c.dead, wrong)
	fmt.Fprintf(out, "Checking %d connections took %v.\n", c.conns, (checking / time.Duration(checks)).Round(10*time.Microsecond))
	if dropped != c.dead || wrong > 0 {
		return errors.New("not every dead peer was found, or a live peer was suspected")
	}
	return nil
}

// talk writes to every second peer in turn. So some connections of dead peers are idle,
// and some have unacknowledged data.
func (c config) talk(all []*watched, stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for id := 0; ; {
		select {
		case <-stop:
			return
		case <-tick.C:
			all[id].kept.Write([]byte("still there?"))
			if id += 2; id >= len(all) {
				id = 0
			}
		}
	}
}
