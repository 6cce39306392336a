// Command monitor shows how a service watches its connections: a thousand of
// them, of which some have peers that go deaf. Each of those is named before the
// kernel gives it up, and no other is.
//
//	go run ./examples/monitor
//
// The peers are sockets on loopback. For them to go deaf takes Linux, and no
// privilege.
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
	deaf    int
	every   time.Duration
}

func run(args []string, stdout, stderr io.Writer) int {
	var c config
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.TextVar(&c.options, "keepalive", keepalive.DetectWithin(6*time.Second),
		"`settings` of every connection, such as idle=2s,interval=1s,count=3,user-timeout=5s")
	fs.IntVar(&c.conns, "conns", 1000, "`number` of connections")
	fs.IntVar(&c.deaf, "deaf", 20, "`number` of peers that go deaf")
	fs.DurationVar(&c.every, "every", 100*time.Millisecond, "`time` from one look at all connections to the next")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "usage: monitor [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return 0
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: there are only flags", fs.Arg(0))
	case c.conns < 1:
		err = fmt.Errorf("-conns %d: want at least 1", c.conns)
	case c.deaf < 0 || c.deaf > c.conns:
		err = fmt.Errorf("-deaf %d: want 0 to %d, the number of connections", c.deaf, c.conns)
	case c.every <= 0:
		err = fmt.Errorf("-every %v: want a time above zero", c.every)
	case c.options.Disabled:
		err = errors.New("-keepalive off: then nobody would notice anything")
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

// watched is one connection, as the service knows it.
type watched struct {
	id      int
	conn    *net.TCPConn
	kept    net.Conn          // conn, for readers and writers: the kernel tells only one of them why it died
	options keepalive.Options // in force; read once, when the connection is made
	suspect bool

	// Of the show, not of the service:
	far   *testpeer.Far
	deaf  bool
	named bool // as a suspect
	wrong bool // named when it was not deaf
}

// look asks the kernel about w, once, and tells when it becomes a suspect and
// when it is no more.
func (w *watched) look(out io.Writer) {
	info, err := keepalive.Inspect(w.conn)
	if err != nil {
		return // it is over: the reader tells why
	}
	suspect := info.Suspect(w.options)
	if suspect == w.suspect {
		return
	}
	w.suspect = suspect
	if !suspect {
		fmt.Fprintf(out, "connection %d: its peer is back\n", w.id)
		return
	}
	w.named, w.wrong = true, w.wrong || !w.deaf
	fmt.Fprintf(out, "connection %d: suspect: silent for %v, ", w.id, info.Silence)
	if info.Unacked > 0 {
		fmt.Fprintf(out, "%d segments unacknowledged, retransmissions %d", info.Unacked, info.Retransmits)
	} else {
		fmt.Fprintf(out, "probes unanswered %d", info.Probes)
	}
	if left, ok := info.Remaining(w.options); ok {
		fmt.Fprintf(out, "; the kernel gives it up in %v", left)
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
		all[id] = &watched{id: id, conn: conn, kept: keepalive.KeepError(conn), far: far}
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

	// Each connection has a reader, as in any service. What it reads is dropped.
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

	life := all[0].options.DetectionTime()
	fmt.Fprintf(out, "%d connections with %v: the kernel gives a deaf peer up after %v.\n", c.conns, c.options, life)
	order := rand.Perm(c.conns)[:c.deaf]
	start := time.Now()
	died := 0
	var looks int
	var looking time.Duration
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for time.Since(start) < 4*life+10*time.Second {
		select {
		case <-tick.C:
			// The peers go deaf one after the other, in the time of one life.
			for n := len(order); n > 0 && time.Since(start) > life*time.Duration(c.deaf-n)/time.Duration(c.deaf); n = len(order) {
				w := all[order[0]]
				order = order[1:]
				w.deaf = true
				if err := w.far.Deaf(); err != nil {
					return err
				}
			}
			began := time.Now()
			for _, w := range all {
				w.look(out)
			}
			looks++
			looking += time.Since(began)
		case e := <-ended:
			w := all[e.id]
			fmt.Fprintf(out, "connection %d: %v: %v\n", e.id, keepalive.Diagnose(e.err), e.err)
			switch died++; {
			case !w.deaf:
				return fmt.Errorf("connection %d ended, and its peer was not deaf", e.id)
			case !w.named:
				return fmt.Errorf("connection %d was given up before it was named", e.id)
			case keepalive.Diagnose(e.err) != keepalive.Dead:
				return fmt.Errorf("connection %d did not die of silence: %w", e.id, e.err)
			}
		}
		if died == c.deaf && time.Since(start) > 3*life/2 { // for those that do not die, too
			break
		}
	}
	wrong := 0
	for _, w := range all {
		if w.wrong {
			wrong++
		}
	}
	fmt.Fprintf(out, "%d of %d deaf peers were named before the kernel gave them up; %d others were.\n", died, c.deaf, wrong)
	fmt.Fprintf(out, "A look at %d connections took %v.\n", c.conns, (looking / time.Duration(looks)).Round(10*time.Microsecond))
	if died != c.deaf || wrong > 0 {
		return errors.New("that is not what was promised")
	}
	return nil
}

// talk writes to every second peer in turn, deaf or not, so that some die idle and
// some with data in flight.
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
