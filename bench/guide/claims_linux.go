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
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
)

// claimsPort is the port of the connections whose both ends are in this process.
const claimsPort = 7002

// claims compares what is often said with what happens. It returns an error if something is true after all.
func claims(out io.Writer, args []string) error {
	if err := parse(flag.NewFlagSet("claims", flag.ContinueOnError), args); err != nil {
		return err
	}
	l, err := newLab(labConfig{plain: true})
	if err != nil {
		return err
	}
	defer l.close()
	var c *capture.Capture
	if err := l.client.do(func() (err error) { c, err = capture.Start("c0"); return err }); err != nil {
		return err
	}
	defer c.Stop()
	var listener net.Listener
	if err := l.server.do(func() (err error) { listener, err = listen(claimsPort); return err }); err != nil {
		return err
	}
	l.closers = append(l.closers, listener)
	p := pairs{l, listener}

	texts := make([]string, 4)
	errs := make([]error, len(texts))
	var group sync.WaitGroup
	for i, claim := range []func(pairs, *capture.Capture) (string, error){claimLastSent, claimEachInterval, claimKilled, claimSysctl} {
		group.Go(func() { texts[i], errs[i] = claim(p, c) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err = io.WriteString(out, strings.Join(texts, "\n"))
	return err
}

// pairs makes connections from the client to the server.
type pairs struct {
	*lab
	listener net.Listener
}

// dial returns both ends of a connection. Only the near one has options.
func (p pairs) dial(o keepalive.Options) (near, far net.Conn, err error) {
	if near, err = p.client.dial(o, serverAddr, claimsPort); err != nil {
		return nil, nil, err
	}
	for {
		if far, err = p.listener.Accept(); err != nil {
			near.Close()
			return nil, nil, err
		}
		if far.RemoteAddr().String() == near.LocalAddr().String() {
			return near, far, nil
		}
		far.Close()
	}
}

// probes returns the times of the keepalive probes that a client's connection has sent.
func probes(packets []capture.Packet, conn net.Conn) (times []time.Time) {
	port := conn.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	var next uint32
	for _, p := range packets {
		switch {
		case !p.Out || p.Src.Port() != port:
		case p.IsProbe(next):
			times = append(times, p.Time)
		default:
			next = p.Seq + uint32(p.Payload)
			if p.Flags&(capture.SYN|capture.FIN) != 0 {
				next++
			}
		}
	}
	return times
}

// waitProbe waits until a connection has sent a probe, and returns its time.
func waitProbe(c *capture.Capture, conn net.Conn, patience time.Duration) (time.Time, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if times := probes(c.Packets(), conn); len(times) > 0 {
			return times[0], nil
		}
	}
	return time.Time{}, fmt.Errorf("no probe in %v", patience)
}

// exchangeFor lets one end send a byte every 0.3s, and returns when the other end has received the last.
func exchangeFor(from, to net.Conn, d time.Duration) (last time.Time, err error) {
	for start := time.Now(); time.Since(start) < d; time.Sleep(300 * time.Millisecond) {
		if _, err := from.Write([]byte{1}); err != nil {
			return last, err
		}
		to.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
			return last, err
		}
		last = time.Now()
	}
	return last, nil
}

func claimLastSent(p pairs, c *capture.Capture) (string, error) {
	o := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 3}
	text := "\"The idle time begins with the last data that was sent.\" No:\n"
	for _, receives := range []bool{true, false} {
		near, far, err := p.dial(o)
		if err != nil {
			return "", err
		}
		defer near.Close()
		defer far.Close()
		from, to, what := near, far, "this side sent a byte every 0.3s"
		if receives {
			from, to, what = far, near, "only the peer sent, a byte every 0.3s"
		}
		last, err := exchangeFor(from, to, 4*time.Second)
		if err != nil {
			return "", err
		}
		if n := len(probes(c.Packets(), near)); n > 0 {
			return "", fmt.Errorf("%d probes were sent although %s", n, what)
		}
		first, err := waitProbe(c, near, 10*time.Second)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("  idle=1s, and for 4s %s: no probes.\n  Then both were silent. The first probe followed after %.2fs.\n", what, first.Sub(last).Seconds())
	}
	return text, nil
}

func claimEachInterval(p pairs, c *capture.Capture) (string, error) {
	near, far, err := p.dial(keepalive.Options{Idle: 3 * time.Second, Interval: time.Second, Count: 3})
	if err != nil {
		return "", err
	}
	defer near.Close()
	defer far.Close()
	start := time.Now()
	far.SetReadDeadline(start.Add(10 * time.Second))
	if n, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return "", fmt.Errorf("read returned %d bytes and %w", n, err)
	}
	var times []string
	for _, t := range probes(c.Packets(), near) {
		times = append(times, fmt.Sprintf("%.1fs", t.Sub(start).Seconds()))
	}
	if len(times) > 3 {
		return "", fmt.Errorf("%d probes in 10s: %v", len(times), times)
	}
	return fmt.Sprintf("\"After the first probe, another follows in each interval.\" No:\n"+
		"  idle=3s,interval=1s, and the peer answered: %d probes in 10s, at %s.\n\n"+
		"\"A probe wakes up the peer's program.\" No:\n  Read of that peer did not return in these 10s.\n", len(times), strings.Join(times, ", ")), nil
}

func claimKilled(p pairs, _ *capture.Capture) (string, error) {
	if err := p.startServer(time.Second); err != nil {
		return "", err
	}
	conn, err := p.client.dial(keepalive.Options{Disabled: true}, serverAddr, echoPort)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := (&connection{Conn: conn}).echo(10 * time.Second); err != nil {
		return "", err
	}
	start := time.Now()
	p.killServer()
	conn.SetReadDeadline(start.Add(10 * time.Second))
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return "", err
	}
	return fmt.Sprintf("\"Only keepalive detects that the peer's process was killed.\" No:\n  keepalive is off. Read returned %s %.1f ms after SIGKILL.\n",
		errorName(err), time.Since(start).Seconds()*1000), nil
}

func claimSysctl(p pairs, c *capture.Capture) (string, error) {
	var on keepalive.Options // with the times of the system
	near, far, err := p.dial(on)
	if err != nil {
		return "", err
	}
	defer near.Close()
	defer far.Close()
	if err := p.client.sysctl("net.ipv4.tcp_keepalive_time", 2); err != nil {
		return "", err
	}
	changed := time.Now()
	o, err := keepalive.Get(near)
	if err != nil {
		return "", err
	}
	fresh, freshFar, err := p.dial(on)
	if err != nil {
		return "", err
	}
	defer fresh.Close()
	defer freshFar.Close()
	start := time.Now()
	first, err := waitProbe(c, fresh, 10*time.Second)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Until(changed.Add(8 * time.Second)))
	if n := len(probes(c.Packets(), near)); n > 0 {
		return "", fmt.Errorf("the open connection sent %d probes", n)
	}
	return fmt.Sprintf("\"A new net.ipv4.tcp_keepalive_time is in effect on open connections.\" Not at once:\n"+
		"  2 instead of 7200: an open connection reported idle=%v, and sent no probe in %.0fs,\n  because its timer was running already. A new one sent its first after %.2fs.\n",
		o.Idle, time.Since(changed).Seconds(), first.Sub(start).Seconds()), nil
}
