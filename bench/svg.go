package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-keepalive/keepalive/bench/internal/svg"
)

// The floor is grey.
var colors = map[string]string{
	array: svg.Grey, monitor: svg.Blue, afterFunc: svg.Purple, ticker: svg.Green,
	bareTCP: svg.Grey, framed: svg.Blue, stream: svg.Vermilion,
	byCount: svg.Blue, byTimeout: svg.Orange, inFlight: svg.Green, goal: svg.Vermilion,
}

// chart is a picture of curves or points.
type chart struct {
	title, desc string
	x, y        axis
	curves      []curve
}

// axis goes from the first tick to the last.
type axis struct {
	label string
	log   bool
	ticks []float64
}

// curve has a spread at each x.
type curve struct {
	name, color string
	dash        string // of the line
	noLine      bool
	noPoints    bool
	x           []float64
	y           []spread
}

// steps are about six round numbers that include lo and hi.
func steps(lo, hi float64) []float64 {
	by := math.Pow(10, math.Floor(math.Log10((hi-lo)/6)))
	for _, m := range []float64{2, 5, 10} {
		if (hi-lo)/by > 7 {
			by = m * math.Pow(10, math.Floor(math.Log10((hi-lo)/6)))
		}
	}
	ticks := []float64{math.Floor(lo/by) * by}
	for ticks[len(ticks)-1] < hi {
		ticks = append(ticks, ticks[0]+float64(len(ticks))*by)
	}
	return ticks
}

// decades are 1, 2 and 5 times the powers of ten that include all values.
func decades(curves []curve) []float64 {
	lo, hi := math.Inf(1), 0.0
	for _, c := range curves {
		for _, v := range c.y {
			lo, hi = min(lo, v.low), max(hi, v.high)
		}
	}
	var ticks []float64
	for unit := math.Pow(10, math.Floor(math.Log10(lo))); len(ticks) == 0 || ticks[len(ticks)-1] < hi; unit *= 10 {
		for _, m := range []float64{1, 2, 5} {
			ticks = append(ticks, m*unit)
		}
	}
	for len(ticks) > 2 && ticks[1] <= lo {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2] >= hi {
		ticks = ticks[:len(ticks)-1]
	}
	return ticks
}

// position is where v lies on the axis, from 0 to 1.
func (a axis) position(v float64) float64 {
	lo, hi := a.ticks[0], a.ticks[len(a.ticks)-1]
	if a.log {
		return (math.Log(v) - math.Log(lo)) / (math.Log(hi) - math.Log(lo))
	}
	return (v - lo) / (hi - lo)
}

func tickLabel(v float64) string {
	if v >= 1000 {
		return grouped(int(v + 0.5))
	}
	return num(v)
}

// svg draws the chart.
func (c *chart) svg() []byte { return c.picture().Bytes(c.title, c.desc) }

func (c *chart) picture() *svg.Picture {
	const width, left, top, right, bottom, rowHeight = 640, 76.0, 40.0, 600.0, 320.0, 20
	legend := slices.DeleteFunc(slices.Clone(c.curves), func(c curve) bool { return len(c.x) == 0 })
	p := &svg.Picture{Width: width, Height: int(bottom) + 60 + (len(legend)+1)/2*rowHeight}
	px := func(v float64) float64 { return left + c.x.position(v)*(right-left) }
	py := func(v float64) float64 { return bottom - c.y.position(v)*(bottom-top) }
	text := func(x, y float64, anchor string, size float64, s string) {
		p.Text(svg.Text{X: x, Y: y, Anchor: anchor, Size: size, S: s})
	}

	text(width/2, 24, "middle", 16, c.title)
	for _, v := range c.x.ticks {
		p.Draw(`<path d="M%.1f %gV%g" stroke="%s"/>`, px(v), top, bottom, svg.Line)
		text(px(v), bottom+18, "middle", 12, tickLabel(v))
	}
	for _, v := range c.y.ticks {
		p.Draw(`<path d="M%g %.1fH%g" stroke="%s"/>`, left, py(v), right, svg.Line)
		text(left-8, py(v)+4, "end", 12, tickLabel(v))
	}
	text((left+right)/2, bottom+38, "middle", 13, c.x.label)
	p.Text(svg.Text{X: 18, Y: (top + bottom) / 2, Anchor: "middle", Size: 13, Up: true, S: c.y.label})
	for i, cu := range legend {
		drawCurve(p, cu, px, py)
		x, y := left+float64(i%2)*(right-left)/2, bottom+60+float64(i/2*rowHeight)
		same := func(v float64) float64 { return v }
		line, point := cu, cu
		line.x, line.y, line.noPoints = []float64{x, x + 24}, []spread{exact(y), exact(y)}, true
		point.x, point.y, point.noLine = []float64{x + 12}, []spread{exact(y)}, true
		drawCurve(p, line, same, same)
		drawCurve(p, point, same, same)
		text(x+32, y+4, "start", 12, cu.name)
	}
	return p
}

// drawCurve draws a line, its points, and bars for the uncertainty.
func drawCurve(p *svg.Picture, c curve, px, py func(float64) float64) {
	var path []string
	for i, x := range c.x {
		path = append(path, fmt.Sprintf("%.1f %.1f", px(x), py(c.y[i].median)))
	}
	if !c.noLine && len(path) > 1 {
		p.Draw(`<path d="M%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, strings.Join(path, "L"), c.color, cmp.Or(c.dash, "none"))
	}
	if c.noPoints {
		return
	}
	for i, x := range c.x {
		if y := c.y[i]; y.low < y.high {
			p.Draw(`<path d="M%.1f %.1fV%.1f" stroke="%s"/>`, px(x), py(y.low), py(y.high), c.color)
		}
		p.Draw(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, px(x), py(c.y[i].median), c.color)
	}
}
