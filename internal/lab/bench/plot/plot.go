// Package plot draws line charts as SVG, by hand and without a script in them: a
// row of panels with one scale, which can be read on a light and on a dark page.
//
// It draws what measurements show, sizes along the bottom and one figure upwards,
// and nothing else.
package plot

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart is a row of panels.
type Chart struct {
	Title  string
	Unit   string   // what the figures are; stands above the scale
	X      []string // what the places along the bottom are, in all panels
	Under  string   // what stands below them
	Log    bool     // a logarithmic scale; figures of 0 and less are left out
	Top    float64  // of a linear scale; more where a figure is larger
	Panels []Panel
}

// Panel is one frame.
type Panel struct {
	Title  string
	Series []Series
}

// Series is a line through a figure for each place along the bottom. Series of the
// same name look alike in all panels.
type Series struct {
	Name   string
	Values []float64 // NaN: none
	Marks  bool      // short bars in place of a line: a bound that others are held against
	Shown  bool      // write the figures beside the points
}

// Measures of the drawing, in pixels.
const (
	width, height = 232, 232 // of a panel with the room around it
	left, right   = 52, 12   // beside all panels
	top, bottom   = 78, 44   // above and below them
	gap           = 20       // between two panels
)

// style has the colours of light pages, and those of dark ones.
const style = `text{font:12px -apple-system,"Segoe UI","DejaVu Sans",Helvetica,Arial,sans-serif;fill:#1f2328}
.page{fill:#ffffff}.frame{fill:none;stroke:#8c959f}.grid{stroke:#d1d9e0;stroke-width:1}.soft{fill:#59636e}.title{font-size:15px;font-weight:600}
.small{font-size:10px;paint-order:stroke;stroke:#ffffff;stroke-width:3px}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:#0969da}.p0{fill:#0969da}.s1{stroke:#bc4c00}.p1{fill:#bc4c00}.s2{stroke:#1a7f37}.p2{fill:#1a7f37}.s3{stroke:#6e7781}.p3{fill:#6e7781}
.s4{stroke:#8250df}.p4{fill:#8250df}.s5{stroke:#bf3989}.p5{fill:#bf3989}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{stroke:#0d1117}.page{fill:#0d1117}.frame{stroke:#6e7681}.grid{stroke:#30363d}.soft{fill:#9198a1}
.s0{stroke:#58a6ff}.p0{fill:#58a6ff}.s1{stroke:#f0883e}.p1{fill:#f0883e}.s2{stroke:#3fb950}.p2{fill:#3fb950}.s3{stroke:#9198a1}.p3{fill:#9198a1}
.s4{stroke:#bc8cff}.p4{fill:#bc8cff}.s5{stroke:#f778ba}.p5{fill:#f778ba}}
`

// looks is how many different series style has colours for.
const looks = 6

// SVG draws the chart.
func (c Chart) SVG() []byte {
	d := &drawing{Chart: c, scale: c.scale(), look: map[string]int{}}
	n := max(len(c.Panels), 1)
	w, h := left+n*width+(n-1)*gap+right, top+height+bottom
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, w, h, w, h, html.EscapeString(c.Title))
	d.add("<style>%s</style>", style)
	d.add(`<rect class="page" width="%d" height="%d"/>`, w, h)
	d.text(left, 22, "title", "start", c.Title)
	d.legend()
	d.text(left, top-8, "soft", "start", c.Unit)
	for i, p := range c.Panels {
		d.panel(p, left+i*(width+gap), i == 0)
	}
	d.add("</svg>")
	return []byte(d.b.String())
}

// scale is what figures lie between, and where its lines are.
type scale struct {
	low, high float64 // logarithms on a logarithmic scale
	log       bool
	lines     []float64
}

// scale finds one that holds all figures.
func (c Chart) scale() scale {
	least, most := math.Inf(1), math.Inf(-1)
	for _, p := range c.Panels {
		for _, s := range p.Series {
			for _, v := range s.Values {
				if !math.IsNaN(v) && !math.IsInf(v, 0) && (!c.Log || v > 0) {
					least, most = min(least, v), max(most, v)
				}
			}
		}
	}
	if math.IsInf(least, 1) {
		least, most = 1, 1
	}
	s := scale{log: c.Log}
	if c.Log {
		s.low, s.high = math.Floor(math.Log10(least)), math.Ceil(math.Log10(most*1.01))
		for e := s.low; e <= s.high; e++ {
			s.lines = append(s.lines, math.Pow(10, e))
		}
		return s
	}
	s.high = max(c.Top, most, 0)
	if s.high == 0 {
		s.high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(s.high)))
	for s.high/step < 4 {
		step /= 2
	}
	s.high = math.Ceil(s.high/step-1e-9) * step
	for v := 0.0; v <= s.high+step/1e6; v += step {
		s.lines = append(s.lines, v)
	}
	return s
}

// at is where a figure is: 0 at the bottom, 1 at the top. ok is false for one that cannot be shown.
func (s scale) at(v float64) (place float64, ok bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) || s.log && v <= 0 {
		return 0, false
	}
	if s.log {
		v = math.Log10(v)
	}
	return (v - s.low) / (s.high - s.low), true
}

// drawing is a chart that is being drawn.
type drawing struct {
	Chart
	scale scale
	look  map[string]int // of series, by their names
	b     strings.Builder
}

func (d *drawing) add(format string, args ...any) {
	fmt.Fprintf(&d.b, format+"\n", args...)
}

func (d *drawing) text(x, y int, class, anchor, text string) {
	if text != "" {
		d.add(`<text x="%d" y="%d" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(text))
	}
}

// legend names each series once, and gives it its look.
func (d *drawing) legend() {
	x := left
	for _, p := range d.Panels {
		for _, s := range p.Series {
			if _, known := d.look[s.Name]; known {
				continue
			}
			look := len(d.look) % looks
			d.look[s.Name] = look
			if s.Marks {
				d.add(`<line class="line s%d" x1="%d" y1="42" x2="%d" y2="42"/>`, look, x+4, x+16)
			} else {
				d.add(`<line class="line s%d" x1="%d" y1="42" x2="%d" y2="42"/>`, look, x, x+20)
				d.point(look, float64(x+10), 42)
			}
			d.text(x+26, 46, "name", "start", s.Name)
			x += 26 + 7*len(s.Name) + 22
		}
	}
}

// point draws a mark whose shape tells series apart without their colours.
func (d *drawing) point(look int, x, y float64) {
	switch look {
	case 0:
		d.add(`<circle class="p%d" cx="%.1f" cy="%.1f" r="3.5"/>`, look, x, y)
	case 1:
		d.add(`<rect class="p%d" x="%.1f" y="%.1f" width="6.4" height="6.4"/>`, look, x-3.2, y-3.2)
	case 2:
		d.add(`<path class="p%d" d="M%.1f %.1fl4 7h-8z"/>`, look, x, y-4.5)
	default:
		d.add(`<path class="p%d" d="M%.1f %.1fl4 4l-4 4l-4 -4z"/>`, look, x, y-4)
	}
}

// panel draws one frame whose left edge is at x.
func (d *drawing) panel(p Panel, x int, scaled bool) {
	for _, v := range d.scale.lines {
		place, _ := d.scale.at(v)
		y := float64(top+height) - place*height
		d.add(`<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, x, y, x+width, y)
		if scaled {
			d.text(x-6, int(y)+4, "soft", "end", number(v))
		}
	}
	d.add(`<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>`, x, top, width, height)
	d.text(x+width-6, top-8, "head", "end", p.Title)
	for i, name := range d.X {
		d.text(int(d.across(x, i)), top+height+16, "soft", "middle", name)
	}
	d.text(x+width/2, top+height+34, "soft", "middle", d.Under)
	for _, s := range p.Series {
		d.series(s, x)
	}
	for _, s := range p.Series { // over all lines, so that they can be read
		d.figures(s, x)
	}
}

// across is where place i along the bottom is.
func (d *drawing) across(x, i int) float64 {
	return float64(x) + (float64(i)+0.5)*width/float64(len(d.X))
}

// spot is a figure and where it stands.
type spot struct{ x, y, v float64 }

// spots are the figures of a series that can be shown.
func (d *drawing) spots(s Series, x int) (out []spot) {
	for i, v := range s.Values[:min(len(s.Values), len(d.X))] {
		if place, ok := d.scale.at(v); ok {
			out = append(out, spot{d.across(x, i), float64(top+height) - place*height, v})
		}
	}
	return out
}

func (d *drawing) series(s Series, x int) {
	look := d.look[s.Name]
	var path strings.Builder
	spots := d.spots(s, x)
	for i, at := range spots {
		if s.Marks {
			d.add(`<line class="line s%d" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, look, at.x-9, at.y, at.x+9, at.y)
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], at.x, at.y)
	}
	if s.Marks {
		return
	}
	if len(spots) > 1 {
		d.add(`<path class="line s%d" d="%s"/>`, look, path.String())
	}
	for _, at := range spots {
		d.point(look, at.x, at.y)
	}
}

// figures writes them beside the points.
func (d *drawing) figures(s Series, x int) {
	if !s.Shown {
		return
	}
	for _, at := range d.spots(s, x) {
		d.text(int(at.x), int(at.y)-8, "small", "middle", number(at.v))
	}
}

// number is a figure in few digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0"
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(math.Round(v/100)/10, 'g', 4, 64) + "k"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(math.Round(v*10)/10, 'g', 3, 64)
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'g', 2, 64)
}
