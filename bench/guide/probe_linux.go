package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
)

// probing is a connection with probes, captured at both ends.
type probing struct {
	packets            []capture.Packet // all, as captured at the client
	atClient, atServer []exchange       // the server's interface has seen none if there is a proxy

	serverPackets int   // that the server's interface has seen since the connection was idle
	reads         int64 // calls of Read that have returned at the server
	blocked       bool  // one more call of Read has not returned

	// The remaining time of the NAT's entry before the first probe, and after its answer.
	natBefore, natAfter time.Duration
}

// exchange is a probe and its answer.
type exchange struct{ probe, answer capture.Packet }

// natEntryTimeout is the timeout of the NAT in this experiment.
const natEntryTimeout = 60 * time.Second

// observeProbes connects, sends some bytes forth and back, and waits for n probes.
func observeProbes(config labConfig, proxy bool, o keepalive.Options, n int) (*probing, error) {
	l, err := newLab(config)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &probing{}
	var reads, reading atomic.Int64
	host := serverAddr
	err = l.listen(func(conn net.Conn) {
		b := make([]byte, 100)
		for {
			reading.Add(1)
			n, err := conn.Read(b)
			reads.Add(1)
			if err != nil {
				return
			}
			conn.Write(b[:n])
		}
	})
	if err == nil && proxy {
		host = insideAddr
		err = l.proxy()
	}
	if err != nil {
		return nil, err
	}
	client, err := l.client.capture("c0")
	if err != nil {
		return nil, err
	}
	defer client.Stop()
	server, err := l.server.capture("s0")
	if err != nil {
		return nil, err
	}
	defer server.Stop()

	conn, err := l.client.dial(o, host, echoPort)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	data := []byte("hello")
	if _, err := conn.Write(data); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, data); err != nil {
		return nil, err
	}
	time.Sleep(delayedAck)
	before := len(server.Packets())

	patience := o.Idle + time.Duration(n)*max(o.Idle, o.Interval)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience+10*time.Second)
	defer cancel()
	if config.natTimeout > 0 {
		if err := r.watchNAT(ctx, l, client, conn.LocalAddr().(*net.TCPAddr).Port); err != nil {
			return nil, err
		}
	}
	var f finder
	if _, err := client.Wait(ctx, func(p capture.Packet) bool { return f.add(p) == n }); err != nil {
		return nil, err
	}
	r.reads = reads.Load()
	r.blocked = reading.Load() == r.reads+1
	if r.packets, err = client.Stop(); err != nil {
		return nil, err
	}
	captured, err := server.Stop()
	if err != nil {
		return nil, err
	}
	r.serverPackets = len(captured) - before
	r.atClient = f.exchanges
	if proxy {
		return r, nil
	}
	for _, e := range f.exchanges {
		probe, answer := find(captured, e.probe), find(captured, e.answer)
		if probe == nil || answer == nil {
			return nil, errors.New("the server has not seen the probe")
		}
		r.atServer = append(r.atServer, exchange{*probe, *answer})
	}
	return r, nil
}

// watchNAT notes the remaining time of an entry before the first probe and after its answer.
func (r *probing) watchNAT(ctx context.Context, l *lab, client *capture.Capture, port int) error {
	answered := make(chan error, 1)
	go func() {
		var f finder
		_, err := client.Wait(ctx, func(p capture.Packet) bool { return f.add(p) == 1 })
		answered <- err
	}()
	for {
		entries, err := l.natEntries()
		if err != nil {
			return err
		}
		select {
		case err := <-answered:
			if err != nil {
				return err
			}
			entries, err = l.natEntries()
			r.natAfter = entries[port]
			return err
		case <-time.After(20 * time.Millisecond):
			r.natBefore = entries[port]
		}
	}
}

// find returns the packet with the same sequence number and timestamp, or nil.
func find(packets []capture.Packet, p capture.Packet) *capture.Packet {
	i := slices.IndexFunc(packets, func(q capture.Packet) bool {
		return q.Out != p.Out && q.Seq == p.Seq && q.Ack == p.Ack && q.TSval == p.TSval && q.Payload == p.Payload
	})
	if i < 0 {
		return nil
	}
	return &packets[i]
}

// finder finds the probes of a client and their answers in what was captured there.
type finder struct {
	next      uint32 // the sequence number of the next byte
	exchanges []exchange
	waiting   bool // for an answer
}

// add adds a packet, and returns the number of answers so far.
func (f *finder) add(p capture.Packet) int {
	switch {
	case p.Out && f.next != 0 && p.IsProbe(f.next):
		f.exchanges = append(f.exchanges, exchange{probe: p})
		f.waiting = true
	case p.Out && p.Flags&capture.SYN != 0:
		f.next = p.Seq + 1
	case p.Out:
		f.next = p.Seq + uint32(p.Payload)
	case f.waiting:
		f.exchanges[len(f.exchanges)-1].answer = p
		f.waiting = false
	}
	if f.waiting {
		return len(f.exchanges) - 1
	}
	return len(f.exchanges)
}

func probe(out io.Writer, args []string) error {
	o := keepalive.Options{Interval: time.Second, Count: 3}
	fs := flag.NewFlagSet("probe", flag.ContinueOnError)
	fs.DurationVar(&o.Idle, "idle", 3*time.Second, "how long the connection is idle before the first probe")
	if err := parse(fs, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return usageError(err.Error())
	}
	results, err := probeAll(o)
	if err != nil {
		return err
	}
	printProbes(out, o, results)
	return nil
}

// probeResults has a result for each kind of network.
type probeResults struct{ router, nat, proxy *probing }

const probesOfProxy = 3

func probeAll(o keepalive.Options) (r probeResults, err error) {
	var errs [3]error
	var group sync.WaitGroup
	group.Go(func() { r.router, errs[0] = observeProbes(labConfig{plain: true}, false, o, 1) })
	group.Go(func() { r.nat, errs[1] = observeProbes(labConfig{natTimeout: natEntryTimeout}, false, o, 1) })
	group.Go(func() { r.proxy, errs[2] = observeProbes(labConfig{plain: true}, true, o, probesOfProxy) })
	group.Wait()
	for i, name := range []string{"router", "NAT", "proxy"} {
		if errs[i] != nil {
			return r, fmt.Errorf("%s: %w", name, errs[i])
		}
	}
	return r, nil
}

func printProbes(out io.Writer, o keepalive.Options, r probeResults) {
	say := func(format string, args ...any) {
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	say("The client has keepalive %v.", o)
	say("It sends \"hello\", and the server returns it. Then both are idle.")
	say("")
	say("1. What the client sends and receives (sequence numbers begin with 0)")
	say("")
	relative := capture.Relative(r.nat.packets)
	first := r.nat.atClient[0]
	for i, p := range relative {
		mark := ""
		switch r.nat.packets[i] {
		case first.probe:
			mark = "<- the probe"
		case first.answer:
			mark = "<- its answer"
		}
		say("  %-60s %s", line(p, relative[0].Time), mark)
	}
	say("")
	say("  bytes of    data   headers of IP and TCP   IP packet   Ethernet frame")
	for _, c := range []struct {
		name string
		p    capture.Packet
	}{{"probe", first.probe}, {"answer", first.answer}} {
		options := ""
		if c.p.Timestamps {
			options = "with timestamps"
		}
		say("  %-9s %6d   %d %-18s %11d %16d", c.name, c.p.Payload, c.p.IP-c.p.Payload, options, c.p.IP, c.p.Frame)
	}
	say("")
	say("2. What a router changes")
	say("")
	printChanges(out, r.router)
	say("")
	say("3. What a NAT changes")
	say("")
	printChanges(out, r.nat)
	say("")
	say("  This NAT drops a connection that is idle for %v s. What is left of that,", natEntryTimeout.Seconds())
	say("  in whole seconds: %.0f before the probe, %.0f after its answer.", r.nat.natBefore.Seconds(), r.nat.natAfter.Seconds())
	say("")
	say("4. What a proxy makes of it")
	say("")
	var senders []string
	for _, e := range r.proxy.atClient {
		if from := e.answer.Src.Addr().String(); !slices.Contains(senders, from) {
			senders = append(senders, from)
		}
	}
	say("  At the client  %d probes, and %d answers from %s, the proxy", len(r.proxy.atClient), len(r.proxy.atClient), strings.Join(senders, " and "))
	say("  At the server  %d packets in the same time", r.proxy.serverPackets)
	say("")
	say("5. What the program at the server sees")
	say("")
	for _, c := range []struct {
		behind string
		p      *probing
	}{{"a router", r.router}, {"a NAT", r.nat}, {"a proxy", r.proxy}} {
		waiting := "does not wait"
		if c.p.blocked {
			waiting = "waits again"
		}
		say("  Behind %-9s Read has returned \"hello\", %d time, and %s.", c.behind, c.p.reads, waiting)
	}
}

// line is a packet in a line, with names instead of addresses.
func line(p capture.Packet, start time.Time) string {
	name := func(a netip.AddrPort) string {
		if a.Addr() == clientAddr || a.Addr() == natAddr {
			return "client"
		}
		return "server"
	}
	return fmt.Sprintf("%7.4fs  %s > %s  %s", p.Time.Sub(start).Seconds(), name(p.Src), name(p.Dst), text(p))
}

// text is a packet without its addresses.
func text(p capture.Packet) string {
	_, text, _ := strings.Cut(p.String(), "  ")
	return text
}

// printChanges prints how the first probe and its answer differ at both ends.
func printChanges(out io.Writer, r *probing) {
	for _, c := range []struct {
		name           string
		client, server capture.Packet
	}{{"probe", r.atClient[0].probe, r.atServer[0].probe}, {"answer", r.atClient[0].answer, r.atServer[0].answer}} {
		a, b := fields(c.client), fields(c.server)
		var equal []string
		fmt.Fprintf(out, "  %-14s %-20s %s\n", c.name, "at the client", "at the server")
		for i, name := range fieldNames {
			if a[i] != b[i] {
				fmt.Fprintf(out, "    %-12s %-20s %s\n", name, a[i], b[i])
			} else {
				equal = append(equal, name)
			}
		}
		fmt.Fprintf(out, "    equal: %s\n", strings.Join(equal, ", "))
	}
}

var fieldNames = []string{"source", "destination", "TTL", "flags", "seq", "ack", "timestamps", "data", "IP bytes"}

// fields are the texts of what fieldNames are.
func fields(p capture.Packet) []string {
	return []string{
		p.Src.String(), p.Dst.String(), fmt.Sprint(p.TTL), p.Flags.String(), fmt.Sprint(p.Seq), fmt.Sprint(p.Ack),
		fmt.Sprint(p.TSval, p.TSecr), fmt.Sprint(p.Payload), fmt.Sprint(p.IP),
	}
}
