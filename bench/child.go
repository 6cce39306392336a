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

// childEnv is set in the processes that this program starts. Each of them runs
// one load, so that its processor time and memory can be measured.
const childEnv = "KEEPALIVE_BENCH_CHILD"

// load keeps n peers or connections and sends heartbeats for each in every
// interval. start prepares for them and returns the function that adds the i-th.
type load struct {
	name   string
	start  func(n int, every time.Duration, sent *atomic.Int64) (add func(i int) error, err error)
	bytes  float64 // roughly what each needs, the kernel's part included
	conns  bool    // needs a descriptor for each
	silent bool    // sends no heartbeats
}

var loads = slices.Concat(peerLoads, connLoads)

// usage is what one process measured of itself.
type usage struct {
	Bytes float64   // of Go's heap and stacks, for each peer
	CPU   []float64 // part of one core, one value for each window
	Sent  []float64 // heartbeats in a second, one value for each window
}

// windows are the periods in which usage is measured.
type windows struct {
	n      int           // how many periods
	length time.Duration // of each period
}

// measureLoads runs each load in a process of its own, or in several if one process may not open
// enough descriptors. All processes measure in the same windows.
func measureLoads(all []load, n int, every time.Duration, win windows) (map[string]*usage, error) {
	var need float64
	for _, l := range all {
		need += l.bytes * float64(n)
	}
	if available, err := availableMemory(); err != nil {
		return nil, err
	} else if need > available*2/3 {
		return nil, fmt.Errorf("%w: %.0f GB of memory needed", errors.ErrUnsupported, need/1e9*3/2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	var children []*child
	defer func() {
		cancel()
		for _, c := range children {
			c.cmd.Wait()
		}
	}()
	for _, l := range all {
		parts := 1
		if l.conns {
			parts = (n-1)/descriptorLimit() + 1
		}
		for range parts {
			c, err := startChild(ctx, l.name, strconv.Itoa(n/parts), every.String(), strconv.Itoa(win.n), win.length.String())
			if err != nil {
				return nil, err
			}
			c.part = 1 / float64(parts)
			children = append(children, c)
		}
		// A million peers keep the processors busy while they are added.
		if n > 100_000 {
			if err := children[len(children)-1].waitReady(); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range children {
		if err := c.waitReady(); err != nil {
			return nil, err
		}
	}
	for _, c := range children {
		fmt.Fprintln(c.in)
	}
	seen := map[string]*usage{}
	for _, c := range children {
		var u usage
		if err := json.NewDecoder(c.out).Decode(&u); err != nil {
			return nil, c.failed(err)
		}
		name := c.cmd.Args[1]
		if seen[name] == nil {
			seen[name] = &usage{CPU: make([]float64, win.n), Sent: make([]float64, win.n)}
		}
		seen[name].add(&u, c.part)
	}
	for _, l := range all {
		least := 0.7 * float64(n) / every.Seconds()
		if sent := spreadOf(seen[l.name].Sent).median; !l.silent && sent < least {
			return nil, fmt.Errorf("%w: %s sent %.0f heartbeats in a second, want at least %.0f", errTooSlow, l.name, sent, least)
		}
	}
	return seen, nil
}

// errTooSlow means that this machine cannot keep so many peers.
var errTooSlow = errors.New("too slow")

// add adds the usage of one process, which has a part of the peers.
func (u *usage) add(v *usage, part float64) {
	u.Bytes += v.Bytes * part
	for i := range u.CPU {
		u.CPU[i] += v.CPU[i]
		u.Sent[i] += v.Sent[i]
	}
}

type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	notes strings.Builder
	ready bool
	part  float64 // of the load's peers
}

func startChild(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, args...)}
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	c.cmd.Stderr = &c.notes
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// waitReady waits for the child's first line.
func (c *child) waitReady() error {
	if c.ready {
		return nil
	}
	if _, err := c.out.ReadString('\n'); err != nil {
		return c.failed(err)
	}
	c.ready = true
	return nil
}

// failed waits for the end of the child and adds its error message.
func (c *child) failed(err error) error {
	wait := c.cmd.Wait()
	message, _, _ := strings.Cut(c.notes.String(), "\n")
	return fmt.Errorf("%s: %w: %w: %s", c.cmd.Args[1], err, wait, message)
}

// runChild is the child's main.
func runChild(args []string) int {
	if len(args) == 2 && args[0] == holdSockets {
		n, err := strconv.Atoi(args[1])
		if err == nil {
			err = runHold(n)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	u, err := runLoad(args)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(u)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runLoad adds the peers, prints a line, waits for one, and measures.
func runLoad(args []string) (*usage, error) {
	if len(args) != 5 {
		return nil, fmt.Errorf("want 5 arguments, got %q", args)
	}
	i := slices.IndexFunc(loads, func(l load) bool { return l.name == args[0] })
	n, err1 := strconv.Atoi(args[1])
	every, err2 := time.ParseDuration(args[2])
	win, err3 := strconv.Atoi(args[3])
	length, err4 := time.ParseDuration(args[4])
	if err := errors.Join(err1, err2, err3, err4); err != nil || i < 0 {
		return nil, fmt.Errorf("bad arguments %q: %w", args, err)
	}
	before := heapAndStacks()
	var sent atomic.Int64
	add, err := loads[i].start(n, every, &sent)
	if err != nil {
		return nil, err
	}
	// Add them evenly over one interval, without garbage collection, which would
	// delay some.
	percent := debug.SetGCPercent(-1)
	start := time.Now()
	for i := range n {
		if wait := time.Duration(float64(every)*float64(i)/float64(n)) - time.Since(start); wait > time.Millisecond {
			time.Sleep(wait)
		}
		if err := add(i); err != nil {
			return nil, err
		}
	}
	debug.SetGCPercent(percent)
	time.Sleep(time.Until(start.Add(2*every + every/10))) // until the last one has sent a heartbeat
	u := &usage{Bytes: (heapAndStacks() - before) / float64(n)}

	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return nil, err
	}
	for i := range win + 1 { // the first window does not count
		at, sentAt := time.Now(), sent.Load()
		used, err1 := processorTime()
		time.Sleep(length)
		now, err2 := processorTime()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if seconds := time.Since(at).Seconds(); i > 0 {
			u.CPU = append(u.CPU, (now-used).Seconds()/seconds)
			u.Sent = append(u.Sent, float64(sent.Load()-sentAt)/seconds)
		}
	}
	runtime.KeepAlive(add)
	return u, nil
}

// heapAndStacks is the size of Go's heap and stacks without garbage.
func heapAndStacks() float64 {
	runtime.GC()
	runtime.GC() // for what finalizers have freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
