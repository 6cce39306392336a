package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/hashicorp/yamux"
)

const (
	bareTCP = "bare TCP" // the floor
	framed  = "heartbeat.Conn"
	stream  = "yamux stream"
)

// streams is how many connections are at it at once: enough that no processor
// ever sleeps. With one, most of what is measured is whether the scheduler puts
// the two ends on one processor or on two.
const streams = 8

const (
	throughputRounds = 21
	most             = 128 << 20 // bytes in a round
)

// pipe is a way to move bytes over a TCP connection.
type pipe struct {
	name string
	wrap func(near, far net.Conn) (io.Writer, io.Reader, error)
}

var pipes = []pipe{
	{bareTCP, func(near, far net.Conn) (io.Writer, io.Reader, error) { return near, far, nil }},
	{framed, framedConn},
	{stream, yamuxStream},
}

// throughput compares how fast data moves through a connection.
func throughput(l *lab, s *section) error {
	sizes := []int{64, 512, 4 << 10, 16 << 10, 64 << 10, 256 << 10}
	if l.short {
		sizes = []int{512, 64 << 10}
	}
	promised := map[int]float64{512: 0.6, 64 << 10: 0.9}
	head := []string{"bytes a write"}
	curves := make([]curve, len(pipes))
	for i, p := range pipes {
		head = append(head, p.name+", MB/s")
		curves[i].name = p.name
	}
	for _, p := range pipes[1:] {
		head = append(head, p.name+" / "+bareTCP)
	}
	var rows [][]string
	for _, size := range sizes {
		n := min(80_000, most/size)
		rounds := throughputRounds
		if _, ok := promised[size]; ok {
			rounds = l.rounds(throughputRounds)
		}
		seen, err := throughputOf(l, size, n, rounds)
		if err != nil {
			return err
		}
		row := []string{grouped(size)}
		for i, r := range seen {
			speed := make([]float64, len(r.ns))
			for k, ns := range r.ns {
				speed[k] = float64(size) / ns * 1e3
			}
			curves[i].x, curves[i].y = append(curves[i].x, float64(size)), append(curves[i].y, spreadOf(speed))
			row = append(row, spreadOf(speed).String())
		}
		for _, r := range seen[1:] {
			row = append(row, seen[0].over(r).String())
		}
		rows = append(rows, row)
		if least, ok := promised[size]; ok {
			s.promise(promise{what: fmt.Sprintf("heartbeat.Conn against bare TCP, writes of %s bytes", grouped(size)), seen: named(seen, bareTCP).over(named(seen, framed)),
				limit: least, unit: "times the throughput", atLeast: true})
		}
	}
	s.say("%d connections at once over loopback, so that no processor ever sleeps. At one end of each a goroutine writes, at the other one reads what there is "+
		"into a buffer of 64 KiB; from the first write until the last byte is read. %d rounds of up to %d MiB, and %d where something is promised.", streams, throughputRounds, most>>20, l.rounds(throughputRounds))
	s.table(head, rows)
	p := newPlot("Throughput over loopback", "bytes a write", "MB/s")
	logAxisAt(&p.X, sizes)
	logAxis(&p.Y)
	addCurves(p, curves)
	p.Legend.Top, p.Legend.Left = true, true
	s.picture("throughput.svg", "Lines: megabytes a second by the size of a write", p)
	return nil
}

// throughputOf compares the pipes at one size of writes, n writes in a round.
func throughputOf(l *lab, size, n, rounds int) ([]series, error) {
	var ways []way
	for _, p := range pipes {
		var writers []io.Writer
		var readers []io.Reader
		for range streams {
			near, far, err := tcpPair()
			if err != nil {
				return nil, err
			}
			defer near.Close()
			defer far.Close()
			w, r, err := p.wrap(near, far)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			writers, readers = append(writers, w), append(readers, r)
		}
		ways = append(ways, way{name: p.name, size: size, run: func(n int) (time.Duration, error) {
			done := make(chan error)
			start := time.Now()
			for i := range streams {
				go func() { done <- send(writers[i], size, n/streams) }()
				go func() { done <- receive(readers[i], size*(n/streams)) }()
			}
			var errs []error
			for range 2 * streams {
				errs = append(errs, <-done)
			}
			return time.Since(start), errors.Join(errs...)
		}})
	}
	return compare(l.out, fmt.Sprintf("Throughput/size=%d", size), rounds, n/streams*streams, ways...)
}

func send(w io.Writer, size, times int) error {
	b := make([]byte, size)
	for range times {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func receive(r io.Reader, left int) error {
	b := make([]byte, 64<<10)
	for left > 0 {
		n, err := r.Read(b[:min(len(b), left)])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// tcpPair is both ends of a connection without keepalive.
func tcpPair() (near, far net.Conn, err error) {
	p, err := newPair(none, none)
	if err != nil {
		return nil, nil, err
	}
	defer p.l.Close()
	if near, err = p.d.Dial("tcp", p.l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = p.l.Accept()
	return near, far, err
}

func framedConn(near, far net.Conn) (io.Writer, io.Reader, error) {
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: beat, Timeout: timeouts * beat}}
	w, err := heartbeat.NewConn(near, cfg)
	if err != nil {
		return nil, nil, err
	}
	r, err := heartbeat.NewConn(far, cfg)
	return w, r, err
}

func yamuxStream(near, far net.Conn) (io.Writer, io.Reader, error) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	client, err := yamux.Client(near, cfg)
	if err != nil {
		return nil, nil, err
	}
	server, err := yamux.Server(far, cfg)
	if err != nil {
		return nil, nil, err
	}
	w, err := client.Open()
	if err != nil {
		return nil, nil, err
	}
	r, err := server.Accept()
	return w, r, err
}
