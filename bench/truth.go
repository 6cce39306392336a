package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// trial is one setting whose promise is put to the test.
type trial struct {
	kind     string
	o        keepalive.Options
	inFlight bool // data is written after the peer has died
	promised time.Duration
	atMost   bool // the promise is an upper bound: what comes earlier keeps it

	measured []float64 // s, one for each connection
}

// The kinds of trials, in the order of the plot.
const (
	byCount   = "idle, by the count"
	byTimeout = "idle, by the user timeout"
	unacked   = "data in flight, by the user timeout"
	goal      = "DetectWithin: this at most"
)

var kinds = []string{byCount, byTimeout, unacked, goal}

// trials are the settings; the longest takes 18 s.
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
		all = append(all, &trial{kind: unacked, o: o, inFlight: true, promised: o.UserTimeout})
	}
	for _, d := range []time.Duration{5, 10, 15} {
		for _, inFlight := range []bool{false, true} {
			all = append(all, &trial{kind: goal, o: keepalive.DetectWithin(d * time.Second), inFlight: inFlight, promised: d * time.Second, atMost: true})
		}
	}
	return all
}

// allowed is when a promise is broken: the kernel's timers may be late by an
// eighth (kernel/time/timer.c), and a busy machine by half a second. What
// DetectWithin promises has the eighth in it.
func (t *trial) allowed() time.Duration {
	if t.atMost {
		return t.promised + time.Second/2
	}
	return t.promised + t.promised/8 + time.Second/2
}

// truth lets many peers die at once, and sees when that is noticed.
func truth(l *lab, s *section) error {
	const connections, shortest = 5, 5 * time.Second
	var all []*trial
	for _, t := range trials() {
		if !l.short || t.promised <= shortest {
			all = append(all, t)
		}
	}
	var mu sync.Mutex
	var errs []error
	var group sync.WaitGroup
	for _, t := range all {
		for range connections {
			group.Go(func() {
				took, err := t.die()
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
	if err := errors.Join(errs...); errors.Is(err, errors.ErrUnsupported) {
		s.lacks("peers that play dead", firstLine(err))
		return nil
	} else if err != nil {
		return err
	}

	s.say("The promise is what `DetectionTime` says, for data in flight the user timeout (Linux adds two retransmission timeouts, 0.4 s here), for "+
		"DetectWithin its argument. The peers of %d connections for each setting fall silent: their sockets drop every segment. Measured is from the last "+
		"byte heard, or the first one written into the silence, until Read fails: median, and the earliest and latest. The kernel's timers may be late "+
		"by an eighth; half a second more is allowed to a busy machine.", connections)
	var rows [][]string
	worst, early := 0.0, 0.0
	for _, t := range all {
		name := t.o.String()
		if t.atMost {
			name = fmt.Sprintf("`DetectWithin(%v)`", t.promised)
		} else {
			name = "`" + name + "`"
		}
		if t.inFlight {
			name += ", data in flight"
		}
		m := quantile(t.measured, 0.5)
		rows = append(rows, []string{name, fmt.Sprintf("%g s", t.promised.Seconds()), fmt.Sprintf("%.2f s", m),
			fmt.Sprintf("%.2f to %.2f s", quantile(t.measured, 0), quantile(t.measured, 1)),
			fmt.Sprintf("%+.1f %%", 100*(m/t.promised.Seconds()-1))})
		worst = max(worst, m/t.allowed().Seconds())
		if !t.atMost {
			early = max(early, t.promised.Seconds()-quantile(t.measured, 0))
		}
	}
	s.table([]string{"settings", "promised", "measured", "from, to", "against the promise"}, rows)
	s.promise(promise{what: "A dead peer is noticed in time: the latest setting, as a part of the time allowed", seen: spread{median: worst}, limit: 1})
	s.promise(promise{what: "Nothing is reported dead early: the earliest, before its time", seen: spread{median: early}, limit: 0.01, unit: "s"})

	p := newPlot("A dead peer is noticed: promised and measured", "promised (s)", "measured (s)")
	var far float64
	for _, t := range all {
		far = max(far, t.promised.Seconds())
	}
	far++
	for i, limit := range []func(float64) float64{func(x float64) float64 { return x }, func(x float64) float64 { return x*1.125 + 0.5 }} {
		line := plotter.NewFunction(limit)
		line.Color, line.Width = color.Gray{90}, vg.Points(1)
		if i > 0 {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add([]string{"measured = promised", "latest allowed: an eighth and 0.5 s more"}[i], line)
	}
	for _, kind := range kinds {
		var points plotter.XYs
		for _, t := range all {
			for _, m := range t.measured {
				if t.kind == kind {
					points = append(points, plotter.XY{X: t.promised.Seconds(), Y: m})
				}
			}
		}
		if len(points) == 0 {
			continue
		}
		scatter := must(plotter.NewScatter(points))
		scatter.Color, scatter.Shape, scatter.Radius = looks[kind].color, looks[kind].shape, vg.Points(3.5)
		p.Add(scatter)
		p.Legend.Add(kind, scatter)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, far, 0, far*1.125+0.5
	p.X.Tick.Marker, p.Y.Tick.Marker = steps(nice(p.X.Max)), steps(nice(p.Y.Max))
	p.Legend.Top, p.Legend.Left = true, true
	s.picture("truth.svg", "Points along a diagonal: how soon a dead peer is noticed, promised and measured", p)
	return nil
}

// die is one connection's story.
func (t *trial) die() (time.Duration, error) {
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
	if err := exchangeByte(conn, far); err != nil {
		return 0, err
	}
	if err := far.Deaf(); err != nil {
		return 0, err
	}
	if t.inFlight {
		start = time.Now()
		if _, err := conn.Write([]byte{1}); err != nil {
			return 0, err
		}
	}
	conn.SetReadDeadline(start.Add(2 * t.allowed()))
	_, err = conn.Read(make([]byte, 1))
	took := time.Since(start)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("nobody noticed within %v", 2*t.allowed())
	}
	if err == nil || errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("the dead peer spoke: %v", err)
	}
	return took, nil
}

// exchangeByte sends a byte there and back.
func exchangeByte(conn net.Conn, far *testpeer.Far) error {
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	if err := far.Echo(); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}
