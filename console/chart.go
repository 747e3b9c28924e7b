package console

import (
	"fmt"
	"strings"
	"time"
)

// Size of the histogram, in units of its picture.
const (
	chartColumns = 48
	chartWidth   = 480.0
	chartHeight  = 44.0
)

// column is what came in one piece of the time.
type column struct {
	From, To time.Time
	N        [4]int
}

func columnsOf(f *filter) []column {
	out := make([]column, chartColumns)
	step := f.until.Sub(f.since) / chartColumns
	for i := range out {
		out[i].From = f.since.Add(time.Duration(i) * step)
		out[i].To = out[i].From.Add(step)
	}
	return out
}

// count adds one row.
func count(all []column, t time.Time, c class) {
	if len(all) == 0 || c == classNone || t.Before(all[0].From) {
		return
	}
	step := all[0].To.Sub(all[0].From)
	if i := int(t.Sub(all[0].From) / max(step, 1)); i < len(all) {
		all[i].N[c]++
	}
}

// bar is a rectangle of a picture.
type bar struct {
	Class      string
	X, Y, W, H float64
}

// stack is one column of the picture.
type stack struct {
	X, W  float64
	Title string
	Bars  []bar
}

// histogram places the columns.
func histogram(all []column, height float64) (out []stack) {
	most := 1
	for i := range all {
		most = max(most, all[i].N[0]+all[i].N[1]+all[i].N[2]+all[i].N[3])
	}
	w := chartWidth / float64(max(len(all), 1))
	for i := range all {
		s := stack{X: float64(i) * w, W: w}
		var words []string
		y := height
		for c := classAccepted; c <= classRejected; c++ {
			n := all[i].N[c]
			if n == 0 {
				continue
			}
			h := float64(n) / float64(most) * height
			y -= h
			s.Bars = append(s.Bars, bar{"v-" + c.Class(), s.X, y, w * 0.84, h})
			words = append(words, countText(n)+" "+c.Class())
		}
		s.Title = fmt.Sprintf("%s to %s: nothing", all[i].From.Local().Format("2 Jan 15:04"), all[i].To.Local().Format("15:04"))
		if words != nil {
			s.Title = strings.Replace(s.Title, "nothing", strings.Join(words, ", "), 1)
		}
		out = append(out, s)
	}
	return out
}
