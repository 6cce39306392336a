// Command deadpeer shows what keepalive is for, on a real kernel: a connection
// whose peer falls silent, and how long it takes until somebody notices.
//
//	go run ./examples/deadpeer
//
// The peer is a socket on loopback that goes deaf: its kernel drops every
// segment addressed to it, as if a cable had been pulled. That takes Linux, and
// no privilege; elsewhere the settings are shown and read back.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type config struct {
	options keepalive.Options
	outage  time.Duration
	unacked bool
	addr    string
}

func run(args []string, stdout, stderr io.Writer) int {
	var c config
	fs := flag.NewFlagSet("deadpeer", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.TextVar(&c.options, "keepalive", keepalive.Options{Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		"all `settings` in one, such as idle=2s,interval=1s,count=3,user-timeout=1m; the next four change one each, if they follow it")
	fs.DurationVar(&c.options.Idle, "idle", c.options.Idle, "quiet `time` before the first probe; 0: the system's")
	fs.DurationVar(&c.options.Interval, "interval", c.options.Interval, "`time` between unanswered probes; 0: the system's")
	fs.IntVar(&c.options.Count, "count", c.options.Count, "unanswered probes until the connection is dropped; 0: the system's")
	fs.DurationVar(&c.options.UserTimeout, "user-timeout", 0, "how long sent data may stay unacknowledged; 0: the system's")
	fs.DurationVar(&c.outage, "outage", 0, "the peer hears again after this `time`; 0: never")
	fs.BoolVar(&c.unacked, "unacked", false, "write to the deaf peer, so that data is in flight")
	fs.StringVar(&c.addr, "addr", "", "set and read back on a connection to a real server, `host:port`")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "usage: deadpeer [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return 0
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: there are only flags", fs.Arg(0))
	case c.outage < 0:
		err = fmt.Errorf("-outage %v is negative: want a time, or 0 for an outage without end", c.outage)
	case c.addr != "" && (c.outage != 0 || c.unacked):
		err = errors.New("-addr goes with neither -outage nor -unacked: a real server does not go deaf")
	default:
		err = c.options.Validate()
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil // told below, with what could be set
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "deadpeer: %v\n", err)
		return 2
	}
	if err := c.show(stdout); err != nil {
		fmt.Fprintf(stderr, "deadpeer: %v\n", err)
		return 1
	}
	return 0
}

// show sets the options on a connection, and lets its peer go deaf.
func (c config) show(w io.Writer) error {
	var conn *net.TCPConn
	var far *testpeer.Far
	if c.addr != "" {
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1} // not package net's own
		any, err := d.Dial("tcp", c.addr)
		if err != nil {
			return err
		}
		conn = any.(*net.TCPConn)
	} else {
		var err error
		conn, far, err = testpeer.Dial("tcp")
		if err != nil {
			return err
		}
		defer far.Close()
	}
	defer conn.Close()

	fmt.Fprintf(w, "%v -> %v\n", conn.LocalAddr(), conn.RemoteAddr())
	if _, err := c.readBack(w, "before", conn); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	err := keepalive.Enable(conn, c.options)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Fprintf(w, "not here: %v\n", err)
	case err != nil:
		return err
	}
	o, err := c.readBack(w, "after ", conn)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Fprintln(w, "\nThat is all there is to see here: nothing can be promised on times that cannot be read.")
		return nil
	case err != nil || far == nil:
		return err
	}
	return c.deafen(w, conn, far, o)
}

func (c config) readBack(w io.Writer, when string, conn net.Conn) (keepalive.Options, error) {
	o, err := keepalive.Get(conn)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return o, err
	}
	state := "on "
	if o.Disabled {
		state = "off"
	}
	user := o.UserTimeout.String()
	if o.UserTimeout == keepalive.NoUserTimeout || o.UserTimeout == 0 {
		user = "none"
	}
	fmt.Fprintf(w, "%s  %s  idle %v, interval %v, count %d, user timeout %s\n", when, state, o.Idle, o.Interval, o.Count, user)
	if err != nil {
		fmt.Fprintf(w, "        not to be read here: %v\n", err)
	}
	return o, err
}

// promise is when Linux drops a connection with the settings o whose peer has
// fallen silent, and why then; 0 is not in this show.
func promise(o keepalive.Options, unacked bool) (time.Duration, string) {
	user := o.UserTimeout != 0 && o.UserTimeout != keepalive.NoUserTimeout
	end := o.DetectionTime()
	switch {
	case unacked && user:
		return o.UserTimeout, "the user timeout, since data is in flight; and two retransmission timeouts, about 0.4s here"
	case unacked:
		return 0, "Linux sends no probes while data is in flight, and retransmits for some 15 minutes"
	case o.Disabled:
		return 0, "keepalive is off"
	case user:
		return end, fmt.Sprintf("idle + %d·interval: the user timeout replaces the count", (end-o.Idle)/o.Interval)
	}
	return end, "idle + count·interval"
}

// deafen is the show itself.
func (c config) deafen(w io.Writer, conn *net.TCPConn, far *testpeer.Far, o keepalive.Options) error {
	if err := exchange(conn, far); err != nil {
		return err
	}
	start := time.Now() // the peer was just heard
	if err := far.Deaf(); errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintf(w, "\nThat is all there is to see here: %v\n", err)
		return nil
	} else if err != nil {
		return err
	}
	end, why := promise(o, c.unacked)
	limit := end + end/4 + 2*time.Second
	if end == 0 {
		fmt.Fprintf(w, "\nNo promise: %s.\n", why)
		limit = 10 * time.Second
	} else {
		fmt.Fprintf(w, "\nPromise: a dead peer is noticed after %v (%s).\n", end, why)
		if end > 10*time.Minute {
			fmt.Fprintln(w, "That is long; -idle, -interval and -count make it shorter.")
		}
	}
	if c.outage > 0 { // see what became of it
		limit = max(limit, c.outage+2*time.Second)
	}
	fmt.Fprintln(w, "The peer is deaf now: nothing reaches it.")
	if c.unacked {
		if _, err := conn.Write([]byte("are you there?")); err != nil {
			return err
		}
		fmt.Fprintln(w, "Data is in flight: 14 bytes were written after that.")
	}
	fmt.Fprintf(w, "\n%8s  %15s  %17s  %11s  %12s\n", "time", "last heard", "probes unanswered", "retransmits", "gives up in")

	died := make(chan error, 1)
	conn.SetReadDeadline(start.Add(limit))
	go func() {
		_, err := conn.Read(make([]byte, 1)) // where a service would wait
		died <- err
	}()
	tick := time.NewTicker(min(max(limit/20, 250*time.Millisecond), 5*time.Second))
	defer tick.Stop()
	hear := make(<-chan time.Time)
	if c.outage > 0 {
		hear = time.After(c.outage - time.Since(start))
	}
	for {
		select {
		case <-tick.C:
			if info, err := keepalive.Inspect(conn); err == nil {
				fmt.Fprintf(w, "%8s  %11.2fs ago  %17d  %11d  %12s\n", since(start), info.Silence.Seconds(), info.Probes, info.Retransmits, left(info, o))
			}
		case <-hear:
			fmt.Fprintf(w, "%8s  the peer hears again\n", since(start))
			if err := far.Hear(); err != nil {
				return err
			}
		case err := <-died:
			fmt.Fprintln(w)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				fmt.Fprintf(w, "%8s  %v: %v\n", since(start), keepalive.Diagnose(err), err)
				took := time.Since(start)
				if end == 0 {
					return nil
				}
				fmt.Fprintf(w, "Promised %v, measured %.2fs.\n", end, took.Seconds())
				if c.outage > 0 {
					fmt.Fprintf(w, "The outage of %v was longer than that.\n", c.outage)
				}
				if took > end+end/8+500*time.Millisecond { // the timers' slack, and a busy machine's
					return errors.New("that is too late")
				}
				return nil
			}
			return c.alive(w, conn, far, start)
		}
	}
}

// alive ends a show in which nothing died.
func (c config) alive(w io.Writer, conn *net.TCPConn, far *testpeer.Far, start time.Time) error {
	switch {
	case c.outage > 0 && time.Since(start) > c.outage:
		if err := exchange(conn, far); err != nil {
			return fmt.Errorf("after the outage: %w", err)
		}
		fmt.Fprintf(w, "%8s  the connection survived an outage of %v, and carries data\n", since(start), c.outage)
	case c.unacked:
		fmt.Fprintf(w, "%8s  nobody has noticed: keepalive alone does not help; a -user-timeout does\n", since(start))
	case c.options.Disabled:
		fmt.Fprintf(w, "%8s  nobody has noticed: keepalive is off\n", since(start))
	default:
		return fmt.Errorf("nobody noticed within %s", since(start))
	}
	return nil
}

// exchange sends a byte there and back.
func exchange(conn *net.TCPConn, far *testpeer.Far) error {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	defer conn.SetDeadline(time.Time{})
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	if err := far.Echo(); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// left is how much longer the kernel will wait.
func left(info keepalive.Info, o keepalive.Options) string {
	if d, ok := info.Remaining(o); ok {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return "-"
}

func since(start time.Time) string { return fmt.Sprintf("%.2fs", time.Since(start).Seconds()) }
