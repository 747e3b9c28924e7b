package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// wellFormed reads the drawing as XML and returns how often each element is there.
func wellFormed(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	dec := xml.NewDecoder(bytes.NewReader(svg))
	dec.Strict = true
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[e.Name.Local]++
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height":
				v, err := strconv.ParseFloat(a.Value, 64)
				if err != nil || v < 0 || v > 2000 {
					t.Errorf("%s %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s %s=%q", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
}

// TestSVG shows that what is drawn is well-formed whatever the figures are, and that nothing is outside of the frame.
func TestSVG(t *testing.T) {
	nan := math.NaN()
	for _, log := range []bool{false, true} {
		for name, values := range map[string][]float64{
			"usual": {0.5, 0.7, 0.2}, "gaps": {nan, 3, nan}, "none": {nan, nan, nan}, "no values": nil, "more": {1, 2, 3, 4, 5},
			"zero": {0, 0, 0}, "below": {-1, -2, 3}, "wide": {1e-6, 1, 1e9}, "infinite": {math.Inf(1), 1, 2}, "one": {1, 1, 1},
		} {
			c := Chart{Title: `<"rate" & ratio>`, Unit: "a < b", X: []string{"1K", "10K", "1M"}, Log: log, Panels: []Panel{
				{"10 connections", []Series{{Name: "gatepost", Values: values, Shown: true}, {Name: "target", Values: values, Marks: true}}},
				{"50 connections", []Series{{Name: "gatepost", Values: values}, {Name: "<pipe>", Values: values}}},
			}}
			svg := c.SVG()
			if strings.Contains(string(svg), "NaN") {
				t.Errorf("%s: NaN in it", name)
			}
			if name == "below" && !log {
				continue // below a scale that begins at 0
			}
			wellFormed(t, svg)
		}
	}
	wellFormed(t, Chart{}.SVG())
}

// TestPoints shows that each figure has its place: a line through three points, no point for what is missing.
func TestPoints(t *testing.T) {
	c := Chart{X: []string{"a", "b", "c"}, Top: 1, Panels: []Panel{{"p", []Series{{Name: "s", Values: []float64{0, math.NaN(), 1}}}}}}
	svg := string(c.SVG())
	if n := wellFormed(t, []byte(svg)); n["circle"] != 3 { // and one in the legend
		t.Errorf("%d points", n["circle"])
	}
	// 0 is at the bottom of the frame, 1 at its top; a third of its width for each place.
	for _, want := range []string{`cx="90.7" cy="310.0"`, `cx="245.3" cy="78.0"`, `d="M90.7 310.0L245.3 78.0"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
}

// TestNumber shows figures as they are written.
func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.1234: "0.12", 0.5: "0.5", 1: "1", 7.26: "7.3", 12.34: "12.3", 100: "100", 1234: "1234", 12345: "12.3k",
		100000: "100k", 2.5e6: "2.5M"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestScale shows the lines of a scale.
func TestScale(t *testing.T) {
	of := func(log bool, top float64, values ...float64) []float64 {
		return Chart{Log: log, Top: top, Panels: []Panel{{"", []Series{{Values: values}}}}}.scale().lines
	}
	for _, c := range []struct {
		got  []float64
		want int
		last float64
	}{{of(false, 1, 0.3), 5, 1}, {of(false, 1, 1.1), 6, 1.25}, {of(false, 0, 437), 6, 500}, {of(true, 0, 30, 4000), 4, 10000}, {of(true, 0, 5), 2, 10}, {of(true, 0), 2, 10}} {
		if len(c.got) != c.want || math.Abs(c.got[len(c.got)-1]-c.last) > 1e-9 {
			t.Errorf("lines %v, want %d up to %v", c.got, c.want, c.last)
		}
	}
}
