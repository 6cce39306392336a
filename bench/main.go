// Command bench measures package keepalive, what else does the same job, and the
// floor, which is the bare system calls or the least code that could do it, side
// by side in one run. From the root of the repository:
//
//	go run -C bench .
//	go run -C bench . -short
//
// The first takes less than five minutes on two cores. It tells its progress on
// standard error, prints a line for each round on standard output, for
// benchstat, and writes RESULTS.md and the pictures in it, into this folder. The
// second takes less than a minute, writes no files, and ends with status 1 when
// a promise of the README is missed by more than the noise; so does the first.
//
// Status 2 means that it could not measure. What this system cannot show (much
// takes Linux, the captured packets take network namespaces, the counted calls
// strace) is named on standard error and in RESULTS.md, never guessed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// lab is what the parts measure with.
type lab struct {
	short  bool
	effort int       // how many times the usual rounds
	out    io.Writer // lines for benchstat
	notes  io.Writer // progress
	start  time.Time
	mu     sync.Mutex // guards notes

	traffic []exchange // what traffic captured, for paper
}

// rounds is the number of rounds for a comparison that usually takes n.
func (l *lab) rounds(n int) int {
	if l.short {
		n = max(minRounds, n/2)
	}
	return n * l.effort
}

const minRounds = 11

func (l *lab) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.notes, "%5.1fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// part is one theme. Those that only wait for real time run at once, before the
// others.
type part struct {
	name  string
	waits bool
	run   func(*lab, *section) error
	title string
}

var parts = []part{
	{name: "setting", title: "Setting", run: setting},
	{name: "dialing", title: "Dialing and accepting", run: dialing},
	{name: "truth", title: "Truth", run: truth, waits: true},
	{name: "traffic", title: "The traffic of a probe", run: traffic, waits: true},
	{name: "paper", title: "Cost on paper", run: paper},
	{name: "heartbeat", title: "Heartbeat", run: heartbeats},
	{name: "throughput", title: "Throughput", run: throughput},
}

func run(args []string, stdout, stderr io.Writer) int {
	l := &lab{effort: 1, out: stdout, notes: stderr, start: time.Now()}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&l.short, "short", false, "less than a minute; writes no files")
	only := fs.String("only", "", "the parts to run, a regular `expression`; the report lacks the others")
	dir := fs.String("out", ".", "the `folder` for RESULTS.md and the pictures; empty: none")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "bench: unexpected argument %q: there are only flags\n", fs.Arg(0))
		return 2
	}
	wanted, err := regexp.Compile("^(" + *only + ")$")
	if err != nil {
		fmt.Fprintf(stderr, "bench: -only: %v\n", err)
		return 2
	}
	var chosen []part
	for _, p := range parts {
		if *only == "" || wanted.MatchString(p.name) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		fmt.Fprintf(stderr, "bench: -only %q matches no part\n", *only)
		return 2
	}

	fmt.Fprintf(stdout, "goos: %s\ngoarch: %s\npkg: %s\n", runtime.GOOS, runtime.GOARCH, packagePath)
	if cpu := cpuModel(); cpu != "" {
		fmt.Fprintf(stdout, "cpu: %s\n", cpu)
	}
	sections, err := l.measure(chosen)
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	for _, s := range sections {
		for _, p := range s.promises {
			fmt.Fprintf(stderr, "%s: %s, measured %s: %s\n", p.what, p.bound(), p.measured(), strings.Trim(p.verdict(), "*"))
		}
		for _, what := range s.absent {
			fmt.Fprintf(stderr, "not measured: %s\n", what)
		}
	}
	if *dir != "" && !l.short {
		r := report{machine: machine(), command: strings.TrimSpace("go run -C bench . " + strings.Join(args, " ")), sections: sections}
		if err := r.save(*dir); err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
			return 2
		}
	}
	l.note("done")
	if len(which(sections, promise.broken)) > 0 {
		return 1
	}
	return 0
}

// measure runs the parts, and returns their sections in the same order.
func (l *lab) measure(parts []part) ([]*section, error) {
	sections := make([]*section, len(parts))
	errs := make([]error, len(parts))
	do := func(i int) {
		p := parts[i]
		l.note("%s", p.name)
		sections[i] = &section{title: p.title}
		if errs[i] = p.run(l, sections[i]); errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", p.name, errs[i])
		}
	}
	var waiting sync.WaitGroup
	for i, p := range parts {
		if p.waits {
			waiting.Go(func() { do(i) })
		}
	}
	waiting.Wait()
	for i, p := range parts {
		if !p.waits {
			do(i)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, s := range sections {
		missed := which([]*section{s}, promise.missed)
		if len(missed) == 0 {
			continue
		}
		for _, p := range missed {
			l.note("%s: %s, measured %s: measuring again", p.what, p.bound(), p.measured())
		}
		l.effort = 3
		do(i)
		l.effort = 1
		if errs[i] != nil {
			return nil, errs[i]
		}
	}
	return sections, nil
}

const packagePath = "github.com/go-keepalive/keepalive/bench"

// machine says on what it ran, without a name.
func machine() []string {
	return []string{
		cpuModel(), fmt.Sprintf("%d cores", runtime.NumCPU()), kernel() + " " + runtime.GOARCH,
		runtime.Version(), time.Now().UTC().Format(time.DateOnly),
	}
}
