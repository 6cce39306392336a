// Command bench measures package keepalive and package heartbeat, other
// libraries that do the same, and the floor: the bare system calls, or the least
// code that could do it. All of them run alternately in one run. From the root of
// the repository:
//
//	go run -C bench .
//	go run -C bench . -short
//	go run -C bench . -only setting
//
// The first command takes about five minutes on two cores. It writes RESULTS.md
// and its pictures into this folder. The second takes about one minute, writes no
// files, and is what CI runs. The third runs one part: setting, dialing,
// detection, monitor, idle, throughput or command.
//
// The exit status is 1 if a promise is broken, and 2 if bench cannot measure. If
// this system lacks something, for example Linux's /proc, bench reports it and
// goes on without.
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
	"time"
)

func main() {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild(os.Args[1:]))
	}
	os.Exit(run(os.Args[1:], os.Stderr))
}

// lab is what the parts measure with.
type lab struct {
	short  bool
	notes  io.Writer // progress
	start  time.Time
	waited time.Duration // for a quiet machine
}

// rounds is the number of rounds for a comparison that usually takes n.
func (l *lab) rounds(n int) int {
	if l.short {
		n = max(11, n/2)
	}
	return n
}

func (l *lab) note(format string, args ...any) {
	fmt.Fprintf(l.notes, "%5.1fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// part is one subject.
type part struct {
	name, title string
	run         func(*lab, *section) error
}

var parts = []part{
	{"setting", "Enable, Get, Inspect and Diagnose", setting},
	{"dialing", "Dial and Accept", dialing},
	{"detection", "Detection time", detection},
	{"monitor", "Monitor", monitoring},
	{"idle", "Idle connections", idling},
	{"throughput", "Throughput and latency", throughput},
	{"command", "The command keepalive", commands},
}

func run(args []string, stderr io.Writer) int {
	l := &lab{notes: stderr, start: time.Now()}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&l.short, "short", false, "about one minute; write no files")
	only := fs.String("only", "", "run only the parts that match this regular `expression`, and print the report")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "bench: unexpected argument %q: bench takes only flags\n", fs.Arg(0))
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

	sections, err := l.measure(chosen)
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	status := 0
	for _, s := range sections {
		for _, p := range s.promises {
			fmt.Fprintf(stderr, "%s: %s, measured %s: %s\n", p.what, p.bound(), p.measured(), strings.Trim(p.result(), "*"))
			if p.broken() {
				status = 1
			}
		}
		for _, what := range s.absent {
			fmt.Fprintf(stderr, "not measured: %s\n", what)
		}
	}
	r := report{machine(), strings.TrimSpace("go run -C bench . " + strings.Join(args, " ")), sections}
	switch {
	case *only != "":
		fmt.Print(r.String())
	case !l.short:
		if err := r.save("."); err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
			return 2
		}
	}
	l.note("done")
	return status
}

// measure runs the parts one after the other.
func (l *lab) measure(parts []part) ([]*section, error) {
	var sections []*section
	for _, p := range parts {
		l.note("%s", p.name)
		s := &section{title: p.title, command: "go run -C bench . -only " + p.name}
		if err := p.run(l, s); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// attempts is how often something is measured while a promise is missed.
const attempts = 3

// hold measures something that has promises. If one is missed, it measures again
// with an effort of 3, because the machine may have been busy with other work. It
// waits for the end of that work, but not longer than two minutes in all. Only the
// last measurement is added to s.
func (l *lab) hold(s *section, measure func(s *section, effort int) error) error {
	for attempt, effort := 1, 1; ; attempt, effort = attempt+1, 3 {
		if attempt > 1 {
			l.waitQuiet()
		}
		var m section
		if err := measure(&m, effort); err != nil {
			return err
		}
		missed := false
		for _, p := range m.promises {
			if p.missed() {
				missed = true
				l.note("attempt %d: %s: %s, measured %s", attempt, p.what, p.bound(), p.measured())
			}
		}
		if !missed || attempt == attempts {
			s.add(&m)
			return nil
		}
	}
}

// waitQuiet waits until the rest of the machine uses less than a tenth of a core.
func (l *lab) waitQuiet() {
	start := time.Now()
	for l.waited+time.Since(start) < 2*time.Minute {
		busy := busyCores(time.Second)
		if busy < 0.1 {
			break
		}
		l.note("waiting, because other work uses %.1f cores", busy)
	}
	l.waited += time.Since(start)
}

// machine describes the machine without naming it.
func machine() []string {
	return []string{
		cpuModel(), fmt.Sprintf("%d cores", runtime.NumCPU()), kernel() + " " + runtime.GOARCH,
		runtime.Version(), time.Now().UTC().Format(time.DateOnly),
	}
}
