// Command deadpeer shows how long the kernel takes to detect a dead peer.
//
//	go run ./examples/deadpeer
//
// It connects to itself over loopback and sets keepalive options. Then a socket
// filter drops every segment that the peer should receive, as if a cable had been
// pulled. The filter requires Linux, but no privileges. On other systems, and on
// gVisor, deadpeer only sets the options and reads them back.
package main

import (
	"cmp"
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
	outage  time.Duration // 0: without end
	wait    time.Duration // for an error of Read; 0: chosen by measure
	unacked bool
	addr    string
}

func run(args []string, stdout, stderr io.Writer) int {
	var c config
	fs := flag.NewFlagSet("deadpeer", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.TextVar(&c.options, "keepalive", keepalive.Options{Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		"all `options`, for example idle=2s,interval=1s,count=3,user-timeout=1m or detect-within=5s; the next four flags change one option each if they follow")
	fs.DurationVar(&c.options.Idle, "idle", c.options.Idle, "`time` without traffic before the first probe (0: system default)")
	fs.DurationVar(&c.options.Interval, "interval", c.options.Interval, "`time` between unanswered probes (0: system default)")
	fs.IntVar(&c.options.Count, "count", c.options.Count, "unanswered probes before the connection is dropped (0: system default)")
	fs.DurationVar(&c.options.UserTimeout, "user-timeout", 0, "`time` that sent data may remain unacknowledged (0: system default)")
	fs.DurationVar(&c.outage, "outage", 0, "`time` after which the peer receives again (0: never)")
	fs.DurationVar(&c.wait, "wait", 0, "`time` to wait until the connection is dropped (0: a little longer than expected, or 10s)")
	fs.BoolVar(&c.unacked, "unacked", false, "write to the dead peer, so that data is unacknowledged")
	fs.StringVar(&c.addr, "addr", "", "only connect to the server at `host:port`, set the options and read them back")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "usage: deadpeer [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return 0
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: only flags are accepted", fs.Arg(0))
	case c.outage < 0:
		err = fmt.Errorf("-outage %v: must not be negative", c.outage)
	case c.wait < 0:
		err = fmt.Errorf("-wait %v: must not be negative", c.wait)
	case c.addr != "" && (c.outage != 0 || c.wait != 0 || c.unacked):
		err = errors.New("-addr cannot be combined with -outage, -wait or -unacked")
	default:
		err = c.options.Validate()
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil // show reports it, and what was set
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

// show connects, sets the options, and measures the detection time.
func (c config) show(w io.Writer) error {
	var conn *net.TCPConn
	var far *testpeer.Far
	if c.addr != "" {
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1} // no options of package net
		dialed, err := d.Dial("tcp", c.addr)
		if err != nil {
			return err
		}
		conn = dialed.(*net.TCPConn)
	} else {
		var err error
		conn, far, err = testpeer.Dial("tcp")
		if err != nil {
			return err
		}
		defer far.Close()
	}
	defer conn.Close()

	fmt.Fprintf(w, "connection %v to %v\n", conn.LocalAddr(), conn.RemoteAddr())
	if _, err := readBack(w, "before", conn); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	err := keepalive.Enable(conn, c.options)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Fprintf(w, "not set: %v\n", err)
	case err != nil:
		return err
	}
	o, err := readBack(w, "after", conn)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Fprintln(w, "\nStopping: this system cannot report its keepalive options.")
		return nil
	case err != nil || far == nil:
		return err
	}
	return c.measure(w, conn, far, o)
}

// readBack prints the options that are in effect on conn.
func readBack(w io.Writer, when string, conn net.Conn) (keepalive.Options, error) {
	o, err := keepalive.Get(conn)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return o, err
	}
	state := "on"
	if o.Disabled {
		state = "off"
	}
	user := o.UserTimeout.String()
	if o.UserTimeout == keepalive.NoUserTimeout || o.UserTimeout == 0 {
		user = "none"
	}
	fmt.Fprintf(w, "%-6s  keepalive %s, idle %v, interval %v, count %d, user timeout %s\n", when, state, o.Idle, o.Interval, o.Count, user)
	if err != nil {
		fmt.Fprintf(w, "        not readable: %v\n", err)
	}
	return o, err
}

// expected returns the detection time on Linux with the options o, and how it is
// computed. It returns 0 and the reason if the kernel has no such limit, or a long one.
func expected(o keepalive.Options, unacked bool) (time.Duration, string) {
	user := o.UserTimeout != 0 && o.UserTimeout != keepalive.NoUserTimeout
	detection := o.DetectionTime()
	switch {
	case unacked && user:
		return o.UserTimeout, "the user timeout, because data is unacknowledged; Linux adds about 0.4s"
	case unacked:
		return 0, "the dead peer is detected after about 15 minutes, because there is no user timeout.\nLinux retransmits the data for that long, and sends no probes meanwhile"
	case o.Disabled:
		return 0, "the dead peer is never detected, because keepalive is off"
	case user:
		return detection, fmt.Sprintf("Idle + %d·Interval, because the user timeout replaces Count on Linux", (detection-o.Idle)/o.Interval)
	}
	return detection, "Idle + Interval·Count"
}

// measure makes the peer dead, and waits until the kernel drops the connection.
func (c config) measure(w io.Writer, conn *net.TCPConn, far *testpeer.Far, o keepalive.Options) error {
	if err := exchange(conn, far); err != nil {
		return err
	}
	start := time.Now() // the last segment from the peer has just arrived
	if err := far.Deaf(); errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintf(w, "\nStopping: deadpeer cannot make a peer dead here. It needs socket filters of Linux, which gVisor ignores.\n(%v)\n", err)
		return nil
	} else if err != nil {
		return err
	}
	detection, why := expected(o, c.unacked)
	limit := detection + detection/4 + 2*time.Second
	if detection == 0 {
		limit = cmp.Or(c.wait, 10*time.Second)
		fmt.Fprintf(w, "\nExpected: %s.\nThis program waits for %v (-wait).\n", why, limit)
	} else {
		fmt.Fprintf(w, "\nExpected: the dead peer is detected after %v (%s).\n", detection, why)
		if detection > 10*time.Minute {
			fmt.Fprintln(w, "Use -idle, -interval and -count for a shorter time.")
		}
	}
	limit = max(limit, c.wait)
	if c.outage > 0 { // include the end of the outage
		limit = max(limit, c.outage+2*time.Second)
	}
	fmt.Fprintln(w, "From now on, the peer does not receive anything, and does not answer.")
	if c.unacked {
		const data = "are you there?"
		if _, err := conn.Write([]byte(data)); err != nil {
			return err
		}
		fmt.Fprintf(w, "%d bytes were written to it.\n", len(data))
	}
	fmt.Fprintf(w, "\n%8s  %8s  %17s  %11s  %10s\n", "time", "silence", "unanswered probes", "retransmits", "dropped in")

	ended := make(chan error, 1)
	conn.SetReadDeadline(start.Add(limit))
	go func() {
		_, err := conn.Read(make([]byte, 1)) // where a program usually waits
		ended <- err
	}()
	tick := time.NewTicker(min(max(limit/10, 250*time.Millisecond), 5*time.Minute))
	defer tick.Stop()
	var outageEnds <-chan time.Time
	if c.outage > 0 {
		outageEnds = time.After(c.outage - time.Since(start))
	}
	for {
		select {
		case <-tick.C:
			if info, err := keepalive.Inspect(conn); err == nil {
				fmt.Fprintf(w, "%8s  %7.2fs  %17d  %11d  %10s\n", since(start), info.Silence.Seconds(), info.Probes, info.Retransmits, remaining(info, o))
			}
		case <-outageEnds:
			fmt.Fprintf(w, "%8s  the peer receives again\n", since(start))
			if err := far.Hear(); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return c.survived(w, conn, far, start)
			}
			took := time.Since(start)
			fmt.Fprintf(w, "%8s  Read failed (%v): %v\n\n", since(start), keepalive.Diagnose(err), err)
			if detection == 0 {
				return nil
			}
			fmt.Fprintf(w, "Detection time %v, measured %.2fs.\n", detection, took.Seconds())
			if c.outage > 0 {
				fmt.Fprintf(w, "The outage of %v was longer than the detection time.\n", c.outage)
			}
			if took > detection+detection/8+500*time.Millisecond { // late timers, and a busy machine
				return errors.New("the connection was dropped too late")
			}
			return nil
		}
	}
}

// survived is called if the kernel has not dropped the connection.
func (c config) survived(w io.Writer, conn *net.TCPConn, far *testpeer.Far, start time.Time) error {
	switch {
	case c.outage > 0 && time.Since(start) > c.outage:
		if err := exchange(conn, far); err != nil {
			return fmt.Errorf("after the outage: %w", err)
		}
		fmt.Fprintf(w, "\nThe connection survived an outage of %v and carries data.\n", c.outage)
	case c.unacked:
		fmt.Fprintf(w, "\nThe dead peer was not detected in %s. Use -user-timeout to limit the time that data may remain unacknowledged.\n", since(start))
	case c.options.Disabled:
		fmt.Fprintf(w, "\nThe dead peer was not detected in %s, because keepalive is off.\n", since(start))
	default:
		return fmt.Errorf("the dead peer was not detected in %s", since(start))
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

// remaining returns the time until the kernel drops the connection, as text.
func remaining(info keepalive.Info, o keepalive.Options) string {
	if d, ok := info.Remaining(o); ok {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return "-"
}

func since(start time.Time) string { return fmt.Sprintf("%.2fs", time.Since(start).Seconds()) }
