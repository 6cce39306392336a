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
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// watch is what one process that watches n peers saw of itself.
type watch struct {
	Bytes    float64   // of Go's heap and stacks, for each peer
	Resident float64   // of memory, for each peer
	CPU      []float64 // processor time as a part of one core, one value for each window
	Pings    []float64 // a second, likewise
}

// together is up to how many peers the processes get at the same time. Of more
// they would keep each other from beginning in step.
const together = 100_000

// watchAll runs the ways at once, each in a process of its own, and has them
// measure at the same moments.
func watchAll(names []string, n int, every time.Duration, windows int, length time.Duration) (map[string]*watch, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	all := map[string]*watcher{}
	defer func() {
		cancel()
		for _, w := range all {
			w.cmd.Wait()
		}
	}()
	for _, name := range names {
		w, err := newWatcher(ctx, name, n, every, windows, length)
		if err != nil {
			return nil, err
		}
		all[name] = w
		if n > together {
			if err := w.ready(); err != nil {
				return nil, err
			}
		}
	}
	if n <= together {
		for _, w := range all {
			if err := w.ready(); err != nil {
				return nil, err
			}
		}
	}
	for _, w := range all {
		fmt.Fprintln(w.begin)
	}
	seen := map[string]*watch{}
	for name, w := range all {
		seen[name] = &watch{}
		if err := json.NewDecoder(w.out).Decode(seen[name]); err != nil {
			return nil, w.failed(err)
		}
	}
	return seen, nil
}

// watcher is a child that watches.
type watcher struct {
	what  string
	cmd   *exec.Cmd
	begin io.WriteCloser
	out   *bufio.Reader
	notes strings.Builder
}

func newWatcher(ctx context.Context, name string, n int, every time.Duration, windows int, length time.Duration) (*watcher, error) {
	cmd, err := child(ctx, nil, "watch", name, strconv.Itoa(n), every.String(), strconv.Itoa(windows), length.String())
	if err != nil {
		return nil, err
	}
	w := &watcher{what: fmt.Sprintf("%d peers by %s", n, name), cmd: cmd}
	cmd.Stderr = &w.notes
	if w.begin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	return w, cmd.Start()
}

// ready waits for the child's line.
func (w *watcher) ready() error {
	if _, err := w.out.ReadString('\n'); err != nil {
		return w.failed(err)
	}
	return nil
}

// failed waits for the child's end, and adds the first of its words.
func (w *watcher) failed(err error) error {
	wait := w.cmd.Wait()
	words, _, _ := strings.Cut(w.notes.String(), "\n")
	return fmt.Errorf("%s: %w: %w: %s", w.what, err, wait, words)
}

// watched is the child: it gets its peers, says so in a line, and measures when
// it is told to by one.
func watched(args []string) (any, error) {
	i := slices.IndexFunc(keepers, func(k keeper) bool { return k.name == args[0] })
	n, err1 := strconv.Atoi(args[1])
	every, err2 := time.ParseDuration(args[2])
	windows, err3 := strconv.Atoi(args[3])
	length, err4 := time.ParseDuration(args[4])
	if err := errors.Join(err1, err2, err3, err4); err != nil || i < 0 {
		return nil, fmt.Errorf("bad arguments %q: %w", args, err)
	}

	_, residentBefore, err := memory()
	if err != nil {
		return nil, err
	}
	before := heapAndStacks()
	var pings atomic.Int64
	add, err := keepers[i].keep(n, every, &pings)
	if err != nil {
		return nil, err
	}
	// They begin spread over one interval, and evenly: no garbage is collected
	// until then, which would hold up some.
	collect := debug.SetGCPercent(-1)
	start := time.Now()
	for i := range n {
		if wait := time.Duration(float64(every)*float64(i)/float64(n)) - time.Since(start); wait > time.Millisecond {
			time.Sleep(wait)
		}
		if err := add(i); err != nil {
			return nil, err
		}
	}
	debug.SetGCPercent(collect)
	time.Sleep(time.Until(start.Add(2*every + every/10))) // until even the last was pinged
	var w watch
	w.Bytes = (heapAndStacks() - before) / float64(n)
	_, resident, err := memory()
	if err != nil {
		return nil, err
	}
	w.Resident = float64(resident-residentBefore) / float64(n)
	if pings.Load() < int64(n) {
		return nil, fmt.Errorf("%d peers got only %d pings", n, pings.Load())
	}

	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return nil, err
	}
	var at time.Time
	var used time.Duration
	var sent int64
	for i := range windows + 2 { // the first begins nothing, and the first window does not count
		now, nowSent := time.Now(), pings.Load()
		nowUsed, err := processorTime()
		if err != nil {
			return nil, err
		}
		if seconds := now.Sub(at).Seconds(); i > 1 {
			w.CPU = append(w.CPU, (nowUsed-used).Seconds()/seconds)
			w.Pings = append(w.Pings, float64(nowSent-sent)/seconds)
		}
		at, used, sent = now, nowUsed, nowSent
		if i <= windows {
			time.Sleep(length)
		}
	}
	runtime.KeepAlive(add)
	return w, nil
}

// heapAndStacks is what Go's heap and stacks hold, without garbage.
func heapAndStacks() float64 {
	runtime.GC()
	runtime.GC() // what the first one left to finalizers and cleanups
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
