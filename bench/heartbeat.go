package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// beat is the interval of all heartbeats here: ten a minute.
const beat = 6 * time.Second

// heartbeats compares what it takes to watch many peers.
func heartbeats(l *lab, s *section) error {
	if _, _, err := memory(); err != nil {
		s.lacks("processor time and memory for each peer", err)
		return nil
	}
	sizes, windows, length := []int{1000, 10_000, 100_000, 1_000_000}, 12, 500*time.Millisecond
	if l.short {
		sizes, length = []int{100_000}, 250*time.Millisecond
	}
	windows *= l.effort
	seen := map[string]map[int]*watch{}
	var notes []unfit
	needs := map[string]need{} // as measured at the size before
	for _, n := range sizes {
		available, _, err := memory()
		if err != nil {
			return err
		}
		names, left := thatFit(n, available, needs)
		for _, l := range left {
			notes = append(notes, unfit{grouped(n) + " peers by " + l.name, l.err})
		}
		l.note("heartbeat: %s peers", grouped(n))
		found, err := watchAll(names, n, beat, windows, length)
		if err != nil {
			return err
		}
		for name, w := range found {
			if seen[name] == nil {
				seen[name] = map[int]*watch{}
			}
			seen[name][n] = w
			needs[name] = need{w.Resident, quantile(w.CPU, 0.5) / float64(n)}
			for i := range w.CPU {
				line(l.out, fmt.Sprintf("Watch/peers=%d", n), name, int(w.Pings[i]*length.Seconds()))
				fmt.Fprintf(l.out, "\t%10.1f cpu-ns/ping\t%8.4f %%core\t%8.1f B/peer\n", w.CPU[i]/w.Pings[i]*1e9, 100*w.CPU[i], w.Bytes)
			}
		}
	}

	hundred := seen[monitor][100_000]
	s.promise(promise{what: "heartbeat.Monitor with 100,000 peers, ten pings a minute", seen: spreadOf(scale(hundred.CPU, 100)), limit: 5, unit: "% of a core"})
	s.promise(promise{what: "heartbeat.Monitor, memory", seen: spread{median: hundred.Bytes}, limit: 256, unit: "bytes for each peer"})

	s.say("Each way watches n peers in a process of its own and pings each every %v, ten times a minute; all answer at once, and nothing is sent, so what is counted is "+
		"the keeping of time (Conn and yamux make and read their frames as well). The peers begin at times spread over one interval. Then the processor "+
		"time of each process is read at the same moments, over %d windows of %v. Bytes are the growth of Go's heap and stacks. "+
		"The floor is a loop over an array.", beat, windows, length)
	for _, n := range notes {
		s.lacks(n.name, n.err)
	}
	var memory, cpu [][]string
	var bytesCurves, cpuCurves []curve
	for _, k := range keepers {
		m, c := []string{k.name}, []string{k.name}
		bytesCurve, cpuCurve := curve{name: k.name}, curve{name: k.name}
		for _, n := range sizes {
			w := seen[k.name][n]
			if w == nil {
				m, c = append(m, "–"), append(c, "–")
				continue
			}
			share := spreadOf(scale(w.CPU, 100))
			m, c = append(m, num(w.Bytes)), append(c, share.String())
			bytesCurve.x, bytesCurve.y = append(bytesCurve.x, float64(n)), append(bytesCurve.y, spread{median: w.Bytes})
			cpuCurve.x, cpuCurve.y = append(cpuCurve.x, float64(n)), append(cpuCurve.y, share)
		}
		memory, cpu = append(memory, m), append(cpu, c)
		bytesCurves, cpuCurves = append(bytesCurves, bytesCurve), append(cpuCurves, cpuCurve)
	}
	head := func(what string) []string {
		h := []string{what}
		for _, n := range sizes {
			h = append(h, grouped(n)+" peers")
		}
		return h
	}
	s.table(head("% of one core"), cpu)
	s.table(head("bytes for each peer"), memory)
	p := newPlot("Processor time for ten heartbeats a minute", "peers", "% of one core")
	logAxisAt(&p.X, sizes)
	logAxis(&p.Y)
	addCurves(p, cpuCurves)
	p.Y.Max *= 5 // room for the legend
	p.Legend.Top, p.Legend.Left = true, true
	s.picture("heartbeat-cpu.svg", "Lines: the processor time each way takes, by the number of peers", p)
	p = newPlot("Memory for each peer", "peers", "bytes for each peer")
	logAxisAt(&p.X, sizes)
	logAxis(&p.Y)
	addCurves(p, bytesCurves)
	p.Y.Max *= 30
	p.Legend.Top = true
	s.picture("heartbeat-memory.svg", "Lines: the memory each way takes for a peer, by the number of peers", p)
	return hearing(l, s)
}

// hearing compares what it takes to note that a peer lives, which a program does
// for all that it reads.
func hearing(l *lab, s *section) error {
	conn, far, err := testpeer.Dial("tcp")
	if err != nil {
		return err
	}
	defer far.Close()
	defer conn.Close()
	var m heartbeat.Monitor
	defer m.Stop()
	peer, err := m.Add(heartbeat.Config{Interval: time.Hour, Timeout: 2 * time.Hour}, func() error { return nil }, func(*heartbeat.DeadError) {})
	if err != nil {
		return err
	}
	t := time.AfterFunc(time.Hour, func() {})
	defer t.Stop()
	var at atomic.Int64
	all, err := compare(l.out, "Heard", l.rounds(21), 20_000,
		way{name: "heartbeat.Peer.Heard", run: calls(func() error { peer.Heard(); return nil })},
		way{name: "time.Timer.Reset", run: calls(func() error { t.Reset(time.Hour); return nil })},
		way{name: "net.Conn.SetReadDeadline", run: calls(func() error { return conn.SetReadDeadline(time.Now().Add(time.Hour)) })},
		way{name: "clock and atomic store (floor)", run: calls(func() error { at.Store(clock()); return nil })},
	)
	if err != nil {
		return err
	}
	s.say("To note that something came from a peer, which a program does for all that it reads:")
	costs(s, "a byte came", all)
	s.promise(promise{what: "Heard", seen: spreadOf(all[0].ns), limit: 50, unit: "ns"})
	s.promise(promise{what: "Heard", seen: spreadOf(all[0].allocs), unit: "allocations"})
	return nil
}

// need is what a way takes for each peer.
type need struct{ memory, cores float64 }

// unfit is a way that is not measured, and why.
type unfit struct {
	name string
	err  error
}

// thatFit picks the ways that can keep n peers, by what a peer has needed: each
// in less than one core, all at once in two thirds of the memory that is free. The
// smallest come first.
func thatFit(n int, available int64, needs map[string]need) (fit []string, left []unfit) {
	free := float64(available) * 2 / 3
	for _, k := range keepers { // in the order of their size
		memory, cores := needs[k.name].memory*float64(n), needs[k.name].cores*float64(n)
		switch {
		case memory > free:
			left = append(left, unfit{k.name, fmt.Errorf("they would take some %s of memory, of which there is not enough for all", withUnit(memory, "B"))})
		case cores > 1:
			left = append(left, unfit{k.name, fmt.Errorf("they would take some %.0f %% of a core", 100*cores)})
		default:
			fit = append(fit, k.name)
			free -= memory
		}
	}
	return fit, left
}
