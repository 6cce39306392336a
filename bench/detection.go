package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/internal/svg"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// trial is one setting whose detection time is measured.
type trial struct {
	kind     string
	o        keepalive.Options
	unacked  bool // data is sent after the peer has fallen silent
	promised time.Duration
	atMost   bool // the promise is an upper bound

	measured []float64 // s, one value for each connection
}

// The kinds of trials, in the order of the chart.
const (
	byCount   = "idle, by Count"
	byTimeout = "idle, by UserTimeout"
	inFlight  = "unacknowledged data, by UserTimeout"
	goal      = "DetectWithin (an upper bound)"
)

var kinds = []string{byCount, byTimeout, inFlight, goal}

// trials are the settings. The longest takes 18 s.
func trials() []*trial {
	var all []*trial
	idle := func(kind, text string) {
		var o keepalive.Options
		if err := o.UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
		all = append(all, &trial{kind: kind, o: o, promised: o.DetectionTime()})
	}
	for _, text := range []string{
		"idle=1s,interval=1s,count=1", "idle=1s,interval=1s,count=3", "idle=2s,interval=1s,count=3", "idle=3s,interval=2s,count=2",
		"idle=5s,interval=1s,count=4", "idle=6s,interval=2s,count=3", "idle=10s,interval=1s,count=5", "idle=9s,interval=3s,count=3",
	} {
		idle(byCount, text)
	}
	for _, text := range []string{
		"idle=1s,interval=1s,count=9,user-timeout=2500ms", "idle=2s,interval=2s,count=9,user-timeout=5s",
		"idle=4s,interval=1s,count=2,user-timeout=9500ms", "idle=2s,interval=4s,count=3,user-timeout=12s",
	} {
		idle(byTimeout, text)
	}
	for _, u := range []time.Duration{2, 4, 8, 12} {
		o := keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3, UserTimeout: u * time.Second}
		all = append(all, &trial{kind: inFlight, o: o, unacked: true, promised: o.UserTimeout})
	}
	for _, d := range []time.Duration{5, 10, 15} {
		for _, unacked := range []bool{false, true} {
			all = append(all, &trial{kind: goal, o: keepalive.DetectWithin(d * time.Second), unacked: unacked, promised: d * time.Second, atMost: true})
		}
	}
	return all
}

func (t *trial) name() string {
	name := "`" + t.o.String() + "`"
	if t.atMost {
		name = fmt.Sprintf("`DetectWithin(%v)`", t.promised)
	}
	if t.unacked {
		name += ", unacknowledged data"
	}
	return name
}

// allowed is the latest time. The kernel's timers may be late by an eighth
// (kernel/time/timer.c), which DetectWithin has in it already. Linux adds two
// retransmission timeouts to the user timeout, 0.4 s here.
func (t *trial) allowed() time.Duration {
	if t.atMost {
		return t.promised + time.Second/2
	}
	return t.promised + t.promised/8 + time.Second/2
}

// detection makes many peers silent at once and measures when Read fails.
func detection(l *lab, s *section) error {
	return l.hold(s, func(s *section, _ int) error { return detectAll(l.short, s) })
}

func detectAll(short bool, s *section) error {
	const connections, shortest = 5, 5 * time.Second
	var all []*trial
	for _, t := range trials() {
		if !short || t.promised <= shortest {
			all = append(all, t)
		}
	}
	late := measureLateness()
	var mu sync.Mutex
	var errs []error
	var group sync.WaitGroup
	for _, t := range all {
		for range connections {
			group.Go(func() {
				took, err := t.measure()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, fmt.Errorf("%v: %w", t.o, err))
					return
				}
				t.measured = append(t.measured, took.Seconds())
			})
		}
	}
	group.Wait()
	lateness := late().Seconds()
	if err := errors.Join(errs...); errors.Is(err, errors.ErrUnsupported) {
		line, _, _ := strings.Cut(err.Error(), "\n")
		s.lacks("silent peers", errors.New(line))
		return nil
	} else if err != nil {
		return err
	}
	s.say("%d connections for each setting. A socket filter at the peer drops every segment, so the peer falls silent. "+
		"The time is measured from the last byte received until Read fails. With unacknowledged data it is measured from the first byte sent into the silence. "+
		"The promise is `Options.DetectionTime`, UserTimeout, or DetectWithin's argument. "+
		"Up to 1/8 more is allowed, because kernel timers may be that late, and another 0.5 s. The timers of this machine were late by up to %.0f ms.", connections, 1000*lateness)
	var rows [][]string
	worst, early := 0.0, 0.0
	for _, t := range all {
		m := spreadOf(t.measured)
		rows = append(rows, []string{t.name(), fmt.Sprintf("%g s", t.promised.Seconds()), fmt.Sprintf("%.2f s", m.median),
			fmt.Sprintf("%.2f to %.2f s", m.low, m.high), fmt.Sprintf("%+.1f %%", 100*(m.median/t.promised.Seconds()-1))})
		worst = max(worst, (m.median-lateness)/t.allowed().Seconds())
		if !t.atMost {
			early = max(early, t.promised.Seconds()-m.low)
		}
	}
	s.table([]string{"settings", "promised", "median", "earliest and latest", "difference"}, rows)
	s.promise(promise{what: "Detection time / the time allowed, for the latest setting", seen: exact(worst), limit: 1, unit: "times"})
	s.promise(promise{what: "Earliest error before its time", seen: exact(early), limit: 0.01, unit: "s"})
	s.picture("detection.svg", detectionChart(all))
	return nil
}

func detectionChart(all []*trial) *chart {
	c := &chart{
		title: "Detection time: promised and measured",
		desc:  "Points: the measured detection times lie on the line of the promised ones, and below it for DetectWithin",
		x:     axis{label: "promised (s)"}, y: axis{label: "measured (s)"},
	}
	var far float64
	for _, t := range all {
		far = max(far, t.promised.Seconds())
	}
	c.x.ticks, c.y.ticks = steps(0, far+1), steps(0, far*1.125+1)
	line := func(name, dash string, factor, plus float64) {
		c.curves = append(c.curves, curve{name: name, color: svg.Grey, dash: dash, noPoints: true, x: []float64{0, far}, y: []spread{exact(plus), exact(far*factor + plus)}})
	}
	line("measured = promised", "", 1, 0)
	line("the latest time allowed", "5 4", 1.125, 0.5)
	for _, kind := range kinds {
		cu := curve{name: kind, color: colors[kind], noLine: true}
		for _, t := range all {
			for _, m := range t.measured {
				if t.kind == kind {
					cu.x, cu.y = append(cu.x, t.promised.Seconds()), append(cu.y, exact(m))
				}
			}
		}
		c.curves = append(c.curves, cu)
	}
	return c
}

// measure runs one connection.
func (t *trial) measure() (time.Duration, error) {
	conn, far, err := testpeer.Dial("tcp")
	if err != nil {
		return 0, err
	}
	defer far.Close()
	defer conn.Close()
	if err := keepalive.Enable(conn, t.o); err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := conn.Write([]byte{1}); err != nil {
		return 0, err
	}
	if err := far.Echo(); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return 0, err
	}
	if err := far.Deaf(); err != nil {
		return 0, err
	}
	if t.unacked {
		start = time.Now()
		if _, err := conn.Write([]byte{1}); err != nil {
			return 0, err
		}
	}
	return readError(conn, start, 2*t.allowed())
}

// readError returns the time from start until Read fails.
func readError(conn net.Conn, start time.Time, limit time.Duration) (time.Duration, error) {
	conn.SetReadDeadline(start.Add(limit))
	_, err := conn.Read(make([]byte, 1))
	took := time.Since(start)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("no error within %v", limit)
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("the silent peer sent something: %v", err)
	}
	return took, nil
}

// measureLateness measures how late timers are until the function that it
// returns is called, which returns the greatest lateness.
func measureLateness() func() time.Duration {
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		const pause = 10 * time.Millisecond
		var worst time.Duration
		for {
			start := time.Now()
			select {
			case <-stop:
				result <- worst
				return
			case <-time.After(pause):
				worst = max(worst, time.Since(start)-pause)
			}
		}
	}()
	return func() time.Duration { close(stop); return <-result }
}
