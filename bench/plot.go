package main

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours are Okabe and Ito's, which the colour-blind can tell apart, and
// grey for the floor.
var (
	blue      = color.RGBA{0, 114, 178, 255}
	orange    = color.RGBA{230, 159, 0, 255}
	green     = color.RGBA{0, 158, 115, 255}
	vermilion = color.RGBA{213, 94, 0, 255}
	purple    = color.RGBA{204, 121, 167, 255}
	grey      = color.RGBA{120, 120, 120, 255}
)

// look is how one way is drawn, the same in all pictures.
type look struct {
	color color.Color
	shape draw.GlyphDrawer
}

var looks = map[string]look{
	ours:    {blue, draw.CircleGlyph{}},
	nets:    {orange, draw.SquareGlyph{}},
	mikiohs: {green, draw.TriangleGlyph{}},
	floor:   {grey, draw.RingGlyph{}},
	none:    {grey, draw.RingGlyph{}},

	monitor: {blue, draw.CircleGlyph{}},
	wrapped: {orange, draw.PyramidGlyph{}},
	array:   {grey, draw.RingGlyph{}},
	timer:   {purple, draw.BoxGlyph{}},
	ticker:  {green, draw.TriangleGlyph{}},
	session: {vermilion, draw.SquareGlyph{}},

	framed:  {blue, draw.CircleGlyph{}},
	bareTCP: {grey, draw.RingGlyph{}},
	stream:  {vermilion, draw.SquareGlyph{}},

	byCount:   {blue, draw.CircleGlyph{}},
	byTimeout: {orange, draw.BoxGlyph{}},
	unacked:   {green, draw.PyramidGlyph{}},
	goal:      {vermilion, draw.CrossGlyph{}},
}

// newPlot is an empty plot with the look that all have.
func newPlot(title, x, y string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = nil // savePlot's
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Font.Size = vg.Points(14)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size = vg.Points(11)
		a.Label.Padding = vg.Points(4)
		a.Tick.Label.Font.Size = vg.Points(10)
	}
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.Legend.Padding = vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(22)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	return p
}

// steps puts labelled ticks at all multiples of one number.
func steps(by float64) plot.TickerFunc {
	return func(lo, hi float64) []plot.Tick {
		var ticks []plot.Tick
		for v := math.Ceil(lo/by) * by; v <= hi*1.001; v += by {
			ticks = append(ticks, plot.Tick{Value: v, Label: num(v)})
		}
		return ticks
	}
}

// nice is a number of the kind 1, 2, 5, 10, of which about six make v.
func nice(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v/6)))
	for _, m := range []float64{1, 2, 5} {
		if v/(m*unit) <= 7 {
			return m * unit
		}
	}
	return 10 * unit
}

// logAxis makes an axis logarithmic, with a tick at each of the digits. There are
// labels at the powers of ten, and, where those are few, at two and five.
func logAxis(a *plot.Axis) {
	a.Scale = plot.LogScale{}
	a.Tick.Marker = plot.TickerFunc(func(lo, hi float64) []plot.Tick {
		var ticks []plot.Tick
		few := hi/lo < 1000
		for unit := math.Pow(10, math.Floor(math.Log10(lo))); unit <= hi; unit *= 10 {
			for m := 1.0; m < 10; m++ {
				t := plot.Tick{Value: m * unit}
				if t.Value < lo*0.999 || t.Value > hi*1.001 {
					continue
				}
				if m == 1 || few && (m == 2 || m == 5) {
					t.Label = axisLabel(t.Value)
				}
				ticks = append(ticks, t)
			}
		}
		return ticks
	})
}

// logAxisAt makes an axis logarithmic, with ticks at some values alone.
func logAxisAt(a *plot.Axis, at []int) {
	var ticks plot.ConstantTicks
	for _, v := range at {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: grouped(v)})
	}
	a.Scale, a.Tick.Marker = plot.LogScale{}, ticks
}

func axisLabel(v float64) string {
	if v >= 1 {
		return grouped(int(math.Round(v)))
	}
	return num(v)
}

// curve is one series of a line plot: a spread at each x.
type curve struct {
	name string
	x    []float64
	y    []spread
}

// addCurves draws lines through the medians, with bars for the noise.
func addCurves(p *plot.Plot, curves []curve) {
	for _, c := range curves {
		if len(c.x) == 0 {
			continue
		}
		points := make(plotter.XYs, len(c.x))
		noise := make(plotter.YErrors, len(c.x))
		for k := range c.x {
			points[k] = plotter.XY{X: c.x[k], Y: c.y[k].median}
			// On a logarithmic axis the bar must not reach zero.
			noise[k].Low, noise[k].High = min(c.y[k].noise, 0.9*c.y[k].median), c.y[k].noise
		}
		line, scatter := must2(plotter.NewLinePoints(points))
		line.Color, line.Width = looks[c.name].color, vg.Points(1.5)
		scatter.Color, scatter.Shape, scatter.Radius = looks[c.name].color, looks[c.name].shape, vg.Points(3.5)
		bars := must(plotter.NewYErrorBars(struct {
			plotter.XYer
			plotter.YErrorer
		}{points, noise}))
		bars.Color = looks[c.name].color
		p.Add(line, bars, scatter)
		p.Legend.Add(c.name, line, scatter)
	}
}

// group is one cluster of bars.
type group struct {
	name string
	all  []series
}

// bars draws the times of each way, in clusters, with the noise and the number.
func bars(title, unit string, groups ...group) *plot.Plot {
	p := newPlot(title, "", unit)
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
		for _, s := range g.all {
			m := spreadOf(s.ns)
			p.Y.Max = max(p.Y.Max, 1.1*(m.median+m.noise)) // room for the number
		}
	}
	p.Y.Min = 0
	p.Add(clusters(groups))
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(groups)) // room for the legend
	p.Y.Tick.Marker = steps(nice(p.Y.Max))
	p.Legend.Top = true
	var known []string
	for _, g := range groups {
		for _, s := range g.all {
			if !slices.Contains(known, s.way) {
				known = append(known, s.way)
				p.Legend.Add(s.way, swatch{looks[s.way].color})
			}
		}
	}
	return p
}

// clusters is the bars themselves: package plotter's leave gaps for ways that a
// group has not.
type clusters []group

func (groups clusters) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign, style.Font.Size = draw.XCenter, draw.YBottom, vg.Points(8)
	ink := draw.LineStyle{Color: color.Black, Width: vg.Points(0.8)}
	most := 0
	for _, g := range groups {
		most = max(most, len(g.all))
	}
	width := min(vg.Points(30), (tx(0.9)-tx(0))/vg.Length(most))
	for k, g := range groups {
		left := tx(float64(k)) - width*vg.Length(len(g.all))/2
		for i, s := range g.all {
			m := spreadOf(s.ns)
			x, gap := left+width*vg.Length(i), width/12
			c.FillPolygon(looks[s.way].color, []vg.Point{
				{X: x + gap, Y: ty(0)}, {X: x + width - gap, Y: ty(0)}, {X: x + width - gap, Y: ty(m.median)}, {X: x + gap, Y: ty(m.median)},
			})
			x += width / 2
			c.StrokeLine2(ink, x, ty(m.median-m.noise), x, ty(m.median+m.noise))
			c.FillText(style, vg.Point{X: x, Y: ty(m.median+m.noise) + vg.Points(2)}, num(m.median))
		}
	}
}

// swatch is a colour in a legend.
type swatch struct{ color.Color }

func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.Color, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// savePlot writes an SVG. Its fonts are not in it, so it names one that every
// system has.
func savePlot(p *plot.Plot, file string) error {
	const width, height = 6.5 * vg.Inch, 4 * vg.Inch
	svg := vgsvg.New(width, height)
	c := draw.New(svg)
	c.SetColor(color.White) // the margins, too: the page behind may be dark
	c.Fill(c.Rectangle.Path())
	p.Draw(draw.Crop(c, vg.Points(6), -vg.Points(14), vg.Points(6), -vg.Points(8)))
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	text := strings.ReplaceAll(b.String(), "font-family:Liberation Sans", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif")
	return os.WriteFile(file, []byte(text), 0o644)
}

// must is for errors that only a mistake in this program can cause.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[T, U any](v T, u U, err error) (T, U) {
	if err != nil {
		panic(err)
	}
	return v, u
}
