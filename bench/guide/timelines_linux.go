package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
	"github.com/go-keepalive/keepalive/bench/internal/svg"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// timeline is a picture. All times are since the last segment from the peer, unless it is
// said otherwise.
type timeline struct {
	file, title string
	end         time.Duration // of the picture
	lanes       []*lane
}

// lane is a connection whose packets are drawn.
type lane struct {
	name  string // replaces the options
	o     keepalive.Options
	alive bool            // the peer answers
	dead  []time.Duration // when a living peer's path fails, and when it works again
	write time.Duration   // when the program writes a byte, if it is not 0
	nat   time.Duration   // the idle timeout of a NAT on the path, if it is not 0
	spans bool            // draw the times between segments

	drawn svg.Lane
}

// timelineSet has the pictures. The times are so short that the longest takes half a minute.
func timelineSet() []*timeline {
	set := func(text string) *lane { return &lane{o: mustOptions(text)} }
	spans := func(l *lane) *lane { l.spans = true; return l }
	const base = "idle=5s,interval=2s,count=3"
	answered, outage := set(base), set(base)
	answered.alive, outage.alive = true, true
	outage.name, outage.dead = base+", one probe is lost", []time.Duration{4 * time.Second, 6 * time.Second}
	limited, unlimited := set(base+",user-timeout=8s"), set(base)
	limited.write, unlimited.write = 2*time.Second, 2*time.Second
	const natTimeout = 10 * time.Second
	quiet, open := &lane{name: "keepalive off", o: keepalive.Options{Disabled: true}}, &lane{o: keepalive.KeepOpen(natTimeout)}
	open.name = fmt.Sprintf("KeepOpen(10s): idle=%v,interval=%v,count=%d", open.o.Idle, open.o.Interval, open.o.Count)
	for _, l := range []*lane{quiet, open} {
		l.alive, l.nat, l.write = true, natTimeout, 27*time.Second
	}
	return []*timeline{
		{"timeline-settings.svg", "Idle, Interval and Count: the peer is dead", 14 * time.Second,
			[]*lane{spans(set(base)), spans(set("idle=3s,interval=2s,count=3")), spans(set("idle=5s,interval=1s,count=3")), spans(set("idle=5s,interval=2s,count=1"))}},
		{"timeline-answers.svg", "The peer is alive: a probe after each Idle", 19 * time.Second, []*lane{spans(answered), spans(outage)}},
		{"timeline-data.svg", "Data in flight: no probes, but retransmissions", 20 * time.Second, []*lane{spans(unlimited), spans(limited)}},
		{"timeline-user-timeout.svg", "A user timeout replaces Count (Linux)", 18 * time.Second,
			[]*lane{set(base), set(base + ",user-timeout=3s"), set(base + ",user-timeout=8s"), set(base + ",user-timeout=14s")}},
		{"timeline-nat.svg", "A NAT that drops connections after 10 s of silence", 37 * time.Second, []*lane{quiet, open}},
	}
}

func timelines(out io.Writer, args []string) error {
	fs := flag.NewFlagSet("timelines", flag.ContinueOnError)
	folder := fs.String("o", "", "write the pictures into this `folder`, for example ../docs/pictures")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *folder != "" {
		if info, err := os.Stat(*folder); err != nil {
			return usageError(fmt.Sprintf("-o: %v", err))
		} else if !info.IsDir() {
			return usageError(fmt.Sprintf("-o %s: must be a folder", *folder))
		}
	}
	all := timelineSet()
	if err := record(all); err != nil {
		return err
	}
	for i, t := range all {
		p := t.picture()
		drawn := p.Picture()
		if err := drawn.Check(); err != nil {
			return fmt.Errorf("%s: %w", t.file, err)
		}
		if *folder != "" {
			if err := os.WriteFile(filepath.Join(*folder, t.file), drawn.Bytes(p.Title, p.Describe()), 0o644); err != nil {
				return err
			}
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s\n\n", t.title)
		for _, l := range p.Lanes {
			fmt.Fprintf(out, "  %s\n%s", l.Name, wrap(l.Describe(), "      "))
		}
		fmt.Fprintf(out, "\n%s", wrap(fmt.Sprintf("![%s. %s](pictures/%s)", p.Title, p.Describe(), t.file), ""))
	}
	return nil
}

// wrap breaks text into lines of at most 80 columns.
func wrap(text, indent string) string {
	var w strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 80 && line != indent {
			w.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return w.String() + line + "\n"
}

func (t *timeline) picture() *svg.Timeline {
	p := &svg.Timeline{Title: t.title, Axis: "seconds since the last segment from the peer", End: t.end.Seconds()}
	if t.lanes[0].alive {
		p.Axis = "seconds"
	}
	for _, l := range t.lanes {
		p.Lanes = append(p.Lanes, l.drawn)
	}
	return p
}

// record makes the connections of all lanes at once.
func record(all []*timeline) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.close()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var group sync.WaitGroup
	run := func(f func() error) {
		group.Go(func() {
			if err := f(); err != nil {
				cancel(err)
			}
		})
	}
	var c *capture.Capture
	if err := n.do(func() (err error) { c, err = capture.Start("lo"); return err }); err != nil {
		return err
	}
	for _, t := range all {
		for _, l := range t.lanes {
			if l.nat == 0 {
				run(func() error { return l.overLoopback(ctx, n, c, t.end) })
			} else {
				run(func() error { return l.throughNAT(ctx, t.end) })
			}
		}
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_, err = c.Stop()
	return err
}

// overLoopback makes a connection whose peer is in the same namespace.
func (l *lane) overLoopback(ctx context.Context, n *namespace, c *capture.Capture, end time.Duration) error {
	var conn *net.TCPConn
	var far *testpeer.Far
	err := n.do(func() (err error) {
		if conn, far, err = testpeer.Dial("tcp4"); err != nil {
			return err
		}
		return keepalive.Enable(conn, l.o)
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer far.Close()
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	start := time.Now() // times can be a bit too long, but not too short
	if err := far.Echo(); err != nil {
		return err
	}
	if !l.alive {
		l.dead = []time.Duration{0}
	}
	for i, at := range l.dead {
		change := far.Deaf
		if i%2 == 1 {
			change = far.Hear
		}
		if at == 0 {
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				return err
			}
			if err := change(); err != nil {
				return err
			}
			continue
		}
		defer time.AfterFunc(at, func() { change() }).Stop()
	}
	return l.observe(ctx, conn, c, start, end)
}

// throughNAT makes a connection with a NAT on its path.
func (l *lane) throughNAT(ctx context.Context, end time.Duration) error {
	lab, err := newLab(labConfig{natTimeout: l.nat})
	if err != nil {
		return err
	}
	defer lab.close()
	if err := lab.startServer(time.Second); err != nil {
		return err
	}
	var c *capture.Capture
	if err := lab.client.do(func() (err error) { c, err = capture.Start("c0"); return err }); err != nil {
		return err
	}
	conn, err := lab.client.dial(l.o, serverAddr, echoPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return err
	}
	port := int(conn.LocalAddr().(*net.TCPAddr).AddrPort().Port())
	watching, stop := context.WithTimeout(ctx, end)
	defer stop()
	var group sync.WaitGroup
	var gone time.Duration
	var natErr error
	group.Go(func() {
		for watching.Err() == nil {
			entries, err := lab.natEntries()
			if err != nil {
				natErr = err
				return
			}
			if _, ok := entries[port]; !ok {
				gone = time.Since(start)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	if err := l.observe(ctx, conn, c, start, end); err != nil {
		return err
	}
	group.Wait()
	if natErr != nil {
		return natErr
	}
	l.drawn.Band = svg.Band{To: math.Inf(1)}
	if gone > 0 {
		l.drawn.Band = svg.Band{To: gone.Seconds(), Label: "the NAT drops the connection"}
	}
	_, err = c.Stop()
	return err
}

// observe waits for an error and draws what was captured.
func (l *lane) observe(ctx context.Context, conn net.Conn, c *capture.Capture, start time.Time, end time.Duration) error {
	if l.write > 0 {
		defer time.AfterFunc(time.Until(start.Add(l.write)), func() { conn.Write([]byte{1}) }).Stop()
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	conn.SetReadDeadline(start.Add(end))
	var err error
	for err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	now := time.Now()
	if ctx.Err() != nil {
		return nil
	}
	cause := keepalive.Diagnose(err)
	if cause != keepalive.Dead && cause != keepalive.Deadline {
		return fmt.Errorf("%v: the connection ended: %w", l.o, err)
	}
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	l.drawn = svg.Lane{Name: l.name}
	if l.name == "" {
		l.drawn.Name = l.o.String()
	}
	l.draw(c.Packets(), own, start)
	if cause == keepalive.Dead {
		after := now.Sub(start).Seconds()
		switch {
		case l.spans && l.write > 0: // only this one
			l.drawn.Spans = []svg.Span{{From: l.drawn.Marks[0].At, To: after, Name: "since the data"}}
		case l.spans:
			l.span(after)
		}
		l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Error, At: after, Label: fmt.Sprintf("%s after %s s", errorName(err), svg.Seconds(after))})
		if l.write == 0 && l.o.UserTimeout > 0 {
			l.drawn.Spans = []svg.Span{{To: l.o.UserTimeout.Seconds(), Name: "user timeout"}}
		}
	} else if !l.answered() {
		l.drawn.Note = "no error yet"
	}
	return nil
}

// draw adds marks for the packets that were sent after the first data from the peer. The
// times of the packets before can be wrong, because Linux turns timestamps on in the
// background.
func (l *lane) draw(packets []capture.Packet, own netip.AddrPort, start time.Time) {
	next := uint32(0) // the number of the next new byte of this side
	begun := false
	probes := 0
	for _, p := range packets {
		at := p.Time.Sub(start).Seconds()
		sent := p.Src == own && p.Out
		end := p.Seq + uint32(p.Payload)
		switch {
		case !begun:
			if sent {
				next = end
			}
			begun = p.Dst == own && p.Payload > 0
		case sent && p.Payload > 0:
			label := "again"
			if int32(end-next) > 0 {
				next, label = end, "data"
			} else if l.spans {
				l.span(at)
			}
			l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Data, At: at, Label: label})
		case sent && p.IsProbe(next):
			probes++
			label := "probe"
			if !l.alive {
				label = fmt.Sprintf("probe %d", probes)
			}
			if l.spans {
				l.span(at)
			}
			if l.alive && !l.answered() {
				l.drawn.Marks[len(l.drawn.Marks)-1].Label = "lost"
			}
			l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Probe, At: at, Label: label})
		case p.Dst == own && l.alive && !l.answered():
			l.drawn.Marks = append(l.drawn.Marks, svg.Mark{Kind: svg.Answer, At: at, Label: "answer"})
		}
	}
}

// answered reports whether the last mark is an answer, or there is nothing to answer.
func (l *lane) answered() bool {
	n := len(l.drawn.Marks)
	return n == 0 || l.drawn.Marks[n-1].Kind == svg.Answer
}

// span adds the time from the last mark until at.
func (l *lane) span(at float64) {
	var from float64
	if n := len(l.drawn.Marks); n > 0 {
		from = l.drawn.Marks[n-1].At
	}
	name := ""
	// The setting that this time is due to. Timers can be late by up to 1/8.
	for _, s := range []struct {
		name string
		d    time.Duration
	}{{"Idle", l.o.Idle}, {"Interval", l.o.Interval}} {
		if d := (at - from) / s.d.Seconds(); l.write == 0 && d > 0.95 && d < 1.2 {
			name = s.name
		}
	}
	l.drawn.Spans = append(l.drawn.Spans, svg.Span{From: from, To: at, Name: name})
}
