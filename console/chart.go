package console

import (
	"fmt"
	"strings"

	"gatepost/internal/api"
)

// Size of the histogram, in units of its picture.
const (
	chartWidth  = 480.0
	chartHeight = 44.0
)

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
func histogram(all []api.LogSpan, height float64) (out []stack) {
	most := 1
	for i := range all {
		most = max(most, all[i].Total()-all[i].Connections)
	}
	w := chartWidth / float64(max(len(all), 1))
	for i := range all {
		s := stack{X: float64(i) * w, W: w}
		var words []string
		y := height
		for _, c := range classes() {
			n := c.of(&all[i].LogCounts)
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
