package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// throughput compares how fast data moves through a connection, alone and beside seven
// others, which keep both processors busy.
func throughput(l *lab, s *section) error {
	s.say("Data moves over loopback. At one end a goroutine writes, at the other one a goroutine reads into a buffer of 64 KiB. " +
		"The time ends when the last byte is read. A round moves up to 32 MiB.")
	if err := throughputOf(l, s, 1, "throughput.svg"); err != nil {
		return err
	}
	if !l.short {
		if err := throughputOf(l, s, 8, ""); err != nil {
			return err
		}
	}
	return latency(l, s)
}

// throughputOf measures connections that are used at once.
func throughputOf(l *lab, s *section, connections int, picture string) error {
	sizes := []int{64, 512, 4 << 10, 16 << 10, 64 << 10, 256 << 10}
	rounds := l.rounds(42)
	c := &chart{
		title: "Throughput over loopback", desc: "Lines: megabytes in a second by the size of a write, for bare TCP, heartbeat.Conn and yamux",
		x: axis{label: "bytes in a write", log: true}, y: axis{label: "MB/s", log: true},
	}
	head := []string{"bytes in a write"}
	for _, w := range wrappers {
		head = append(head, w.name+", MB/s")
		c.curves = append(c.curves, curve{name: w.name, color: colors[w.name]})
	}
	head = append(head, framed+" / bare", framed+" / "+stream)
	var rows [][]string
	for _, size := range sizes {
		l.note("throughput: %d connections, %s bytes", connections, grouped(size))
		last, lastRow := make([]spread, len(wrappers)), []string(nil) // of the last attempt
		err := l.hold(s, func(s *section, effort int) error {
			all, err := moveAll(size, min(16_000, 32<<20/size), connections, rounds*effort)
			if err != nil {
				return err
			}
			row := []string{grouped(size)}
			for i, r := range all {
				speed := make([]float64, len(r.ns))
				for k, ns := range r.ns {
					speed[k] = float64(size) / ns * 1e3
				}
				last[i] = spreadOf(speed)
				row = append(row, last[i].String())
			}
			toBare, toYamux := all[0].against(all[1]), all[2].against(all[1])
			lastRow = append(row, toBare.String(), toYamux.String())
			what := fmt.Sprintf("heartbeat.Conn / %%s, throughput of %s with writes of %s bytes", plural(connections, "connection"), grouped(size))
			s.promise(promise{what: fmt.Sprintf(what, stream), seen: toYamux, limit: 1, unit: "times", atLeast: true})
			if size >= 16<<10 && connections == 1 {
				s.promise(promise{what: fmt.Sprintf(what, "bare TCP"), seen: toBare, limit: 0.7, unit: "times", atLeast: true})
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows = append(rows, lastRow)
		c.x.ticks = append(c.x.ticks, float64(size))
		for i := range last {
			c.curves[i].x, c.curves[i].y = append(c.curves[i].x, float64(size)), append(c.curves[i].y, last[i])
		}
	}
	if connections == 1 {
		s.say("One connection, %d rounds:", rounds)
	} else {
		s.say("%d connections at once, which keep both processors busy, so that this compares processor time. %d rounds:", connections, rounds)
	}
	s.table(head, rows)
	if picture != "" && !l.short {
		c.y.ticks = decades(c.curves)
		s.picture(picture, c)
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// moveAll compares the wrappers with n writes of one size in a round.
func moveAll(size, n, connections, rounds int) ([]series, error) {
	return compareWrapped(rounds, n/connections*connections, connections, func(near, far []net.Conn, n int) error {
		done := make(chan error)
		for i := range near {
			go func() { done <- send(near[i], size, n/len(near)) }()
			go func() { done <- receive(far[i], size*(n/len(near))) }()
		}
		var errs []error
		for range 2 * len(near) {
			errs = append(errs, <-done)
		}
		return errors.Join(errs...)
	})
}

// latency compares how long a small request and its answer take.
func latency(l *lab, s *section) error {
	const size = 64
	rounds, n := l.rounds(200), 200
	s.say("Ping-pong on one connection: a request of %d bytes and an answer of %d bytes. %d rounds of %d.", size, size, rounds, n)
	return l.hold(s, func(s *section, effort int) error {
		all, err := compareWrapped(rounds*effort, n, 1, func(near, far []net.Conn, n int) error {
			done := make(chan error)
			go func() { done <- exchange(far[0], size, n, false) }()
			return errors.Join(exchange(near[0], size, n, true), <-done)
		})
		if err != nil {
			return err
		}
		var rows [][]string
		for i, r := range all {
			ratio := "1"
			if i > 0 {
				ratio = r.against(all[0]).String()
			}
			rows = append(rows, []string{r.name, spreadOf(r.ns).times(1e-3).String(), ratio})
		}
		s.table([]string{"request and answer", "µs", "times bare"}, rows)
		s.promise(promise{what: "heartbeat.Conn / yamux, time of a small request and its answer", seen: all[1].against(all[2]), limit: 1, unit: "times"})
		return nil
	})
}

// exchange writes and reads alternately. One end writes first.
func exchange(c net.Conn, size, times int, first bool) error {
	b := make([]byte, size)
	for i := range 2 * times {
		if first == (i%2 == 0) {
			if _, err := c.Write(b); err != nil {
				return err
			}
		} else if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
	return nil
}

// compareWrapped compares the wrappers, each on connections of its own. run does
// n operations.
func compareWrapped(rounds, n, connections int, run func(near, far []net.Conn, n int) error) ([]series, error) {
	var all []variant
	for _, w := range wrappers {
		var nears, fars []net.Conn
		for range connections {
			near, far, err := tcpPair()
			if err != nil {
				return nil, err
			}
			defer near.Close()
			defer far.Close()
			n, f, err := w.wrap(near, far, beat)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			nears, fars = append(nears, n), append(fars, f)
		}
		all = append(all, variant{w.name, func(n int) (time.Duration, error) {
			start := time.Now()
			err := run(nears, fars, n)
			return time.Since(start), err
		}})
	}
	return compare(rounds, n, all...)
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
