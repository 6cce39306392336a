package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// beat is the interval of all heartbeats here: ten a minute. silence is death.
const (
	beat    = 6 * time.Second
	silence = 3 * beat
)

// watch is what one process that keeps n peers saw.
type watch struct {
	Bytes    float64   // of Go's heap and stacks, for each peer
	Resident float64   // of memory, for each peer
	CPU      []float64 // processor time as a part of one core, one value for each window
	Beats    []float64 // a second, likewise
}

// heartbeats compares what it takes to watch many peers.
func heartbeats(l *lab, s *section) error {
	if _, _, err := memory(); err != nil {
		s.lacks("processor time and memory for each peer", err)
		return nil
	}
	sizes, windows, length := []int{1000, 10_000, 100_000, 1_000_000}, 12, 500*time.Millisecond
	if l.short {
		sizes = []int{100_000}
	}
	windows *= l.effort
	seen := map[string]map[int]*watch{}
	var skipped []string
	resident := map[string]float64{} // for each peer, at the size before
	for _, n := range sizes {
		fits, err := thatFit(n, resident)
		if err != nil {
			return err
		}
		var names []string
		for _, k := range keepers {
			if !fits[k.name] {
				skipped = append(skipped, fmt.Sprintf("%s peers by %s would take some %s of memory", grouped(n), k.name, withUnit(resident[k.name]*float64(n), "B")))
				continue
			}
			names = append(names, k.name)
		}
		l.note("heartbeat: %s peers", grouped(n))
		found, err := watchAll(names, n, windows, length)
		if err != nil {
			return err
		}
		for name, w := range found {
			if seen[name] == nil {
				seen[name] = map[int]*watch{}
			}
			seen[name][n] = w
			resident[name] = w.Resident
			for i := range w.CPU {
				line(l.out, fmt.Sprintf("Watch/peers=%d", n), name, int(w.Beats[i]*length.Seconds()))
				fmt.Fprintf(l.out, "\t%10.1f cpu-ns/beat\t%8.4f %%core\t%8.1f B/peer\n", w.CPU[i]/w.Beats[i]*1e9, 100*w.CPU[i], w.Bytes)
			}
		}
	}

	s.say("Each way watches n peers in a process of its own and pings each every %v, ten times a minute; all answer at once, and nothing is sent, so what is counted is the "+
		"keeping of time alone (yamux encodes and decodes its frames as well). The peers begin at times spread over one interval. Then the processor "+
		"time of each process is read at the same moments, over %d windows of %v. Bytes are the growth of Go's heap and stacks. "+
		"The floor is a loop over an array.", beat, windows, length)
	for _, what := range skipped {
		s.say("Not measured in this run: %s, more than there is.", what)
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
	logAxis(&p.X, func(v float64) string { return grouped(int(v)) })
	logAxis(&p.Y, func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) })
	addCurves(p, cpuCurves)
	p.Legend.Top, p.Legend.Left = true, true
	s.picture("heartbeat-cpu.svg", "Lines: the processor time each way takes, by the number of peers", p)
	p = newPlot("Memory for each peer", "peers", "bytes for each peer")
	logAxis(&p.X, func(v float64) string { return grouped(int(v)) })
	logAxis(&p.Y, func(v float64) string { return grouped(int(v)) })
	addCurves(p, bytesCurves)
	p.Legend.Top = true
	s.picture("heartbeat-memory.svg", "Lines: the memory each way takes for a peer, by the number of peers", p)
	return nil
}

// thatFit tells which ways can keep n peers at once in two thirds of the memory
// that there is, going by what a peer took before. The smallest come first.
func thatFit(n int, resident map[string]float64) (map[string]bool, error) {
	available, _, err := memory()
	if err != nil {
		return nil, err
	}
	left := float64(available) * 2 / 3
	fits := map[string]bool{}
	for _, k := range keepers { // in the order of their size
		need := resident[k.name] * float64(n)
		if need > left {
			continue
		}
		fits[k.name] = true
		left -= need
	}
	return fits, nil
}

// watchAll runs the ways at once, each in a process of its own, and has them
// measure at the same time.
func watchAll(names []string, n, windows int, length time.Duration) (map[string]*watch, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	type running struct {
		cmd   *exec.Cmd
		begin io.WriteCloser
		out   *bufio.Reader
		notes strings.Builder
	}
	all := map[string]*running{}
	defer func() {
		cancel()
		for _, r := range all {
			r.begin.Close()
			r.cmd.Wait()
		}
	}()
	for _, name := range names {
		cmd, err := child(ctx, nil, "watch", name, strconv.Itoa(n), strconv.Itoa(windows), length.String())
		if err != nil {
			return nil, err
		}
		r := &running{cmd: cmd}
		cmd.Stderr = &r.notes
		if r.begin, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		r.out = bufio.NewReader(out)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		all[name] = r
	}
	for name, r := range all {
		if _, err := r.out.ReadString('\n'); err != nil { // it is ready
			return nil, fmt.Errorf("%d peers by %s: %w: %s", n, name, err, &r.notes)
		}
	}
	for _, r := range all {
		fmt.Fprintln(r.begin)
	}
	found := map[string]*watch{}
	for name, r := range all {
		var w watch
		if err := json.NewDecoder(r.out).Decode(&w); err != nil {
			return nil, fmt.Errorf("%d peers by %s: %w: %s", n, name, err, &r.notes)
		}
		found[name] = &w
	}
	return found, nil
}

// watched is the child: it builds its peers up, says so in a line, and measures
// when it is told to by one.
func watched(args []string) (any, error) {
	var k *keeper
	for i := range keepers {
		if keepers[i].name == args[0] {
			k = &keepers[i]
		}
	}
	n, err1 := strconv.Atoi(args[1])
	windows, err2 := strconv.Atoi(args[2])
	length, err3 := time.ParseDuration(args[3])
	if err := errors.Join(err1, err2, err3); err != nil || k == nil {
		return nil, fmt.Errorf("bad arguments %q: %w", args, err)
	}
	heap := func() float64 {
		runtime.GC()
		runtime.GC() // what the first one left to finalizers and cleanups
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	_, residentBefore, err := memory()
	if err != nil {
		return nil, err
	}
	before := heap()
	var beats atomic.Int64
	add, err := k.keep(n, &beats)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for i := range n {
		if wait := time.Duration(float64(beat)*float64(i)/float64(n)) - time.Since(start); wait > time.Millisecond {
			time.Sleep(wait)
		}
		if err := add(i); err != nil {
			return nil, err
		}
	}
	// When the last has begun, wait for the first to have beaten twice.
	time.Sleep(time.Until(start.Add(2*beat + beat/10)))
	var w watch
	w.Bytes = (heap() - before) / float64(n)
	_, resident, err := memory()
	if err != nil {
		return nil, err
	}
	w.Resident = float64(resident-residentBefore) / float64(n)

	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return nil, err
	}
	cpu, err := processorTime()
	if err != nil {
		return nil, err
	}
	at, count := time.Now(), beats.Load()
	for range windows {
		time.Sleep(length - time.Since(at)%length)
		now, sum := time.Now(), beats.Load()
		used, err := processorTime()
		if err != nil {
			return nil, err
		}
		w.CPU = append(w.CPU, (used-cpu).Seconds()/now.Sub(at).Seconds())
		w.Beats = append(w.Beats, float64(sum-count)/now.Sub(at).Seconds())
		at, count, cpu = now, sum, used
	}
	runtime.KeepAlive(add)
	if beats.Load() == 0 {
		return nil, errors.New("no heart beats")
	}
	return w, nil
}
