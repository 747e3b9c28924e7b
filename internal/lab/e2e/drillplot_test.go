package e2e

import (
	"fmt"
	"slices"
	"time"

	"gatepost/internal/lab/bench/plot"
)

// drillModes are the values of when_down that are drilled.
var drillModes = []string{"defer", "spool"}

// drillPoints is how many points the lines of the plot have.
const drillPoints = 40

// drillChart draws what came, what was delivered and what waits, over the time of the longest run.
func drillChart(runs map[string]*drill) []byte {
	var end time.Duration
	for _, d := range runs {
		end = max(end, slices.Max(d.taken))
	}
	c := plot.Chart{
		Title: fmt.Sprintf("%d mails, a next hop away for %v", *drillMails, *drillOutage), Unit: "mails", Under: "minutes since the first mail",
	}
	for i := range drillPoints + 1 {
		label := ""
		if i%10 == 0 && i < drillPoints { // the last one would stand in the next panel
			at := (end * time.Duration(i) / drillPoints).Round(time.Second)
			label = fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
		}
		c.X = append(c.X, label)
	}
	for _, mode := range drillModes {
		d := runs[mode]
		count := func(name string, at []time.Duration) plot.Series {
			return plot.Series{Name: name, Values: cumulated(at, end)}
		}
		arrived, taken := count("arrived", d.arrived), count("delivered", d.taken)
		waiting := plot.Series{Name: "waiting"}
		for i := range arrived.Values {
			waiting.Values = append(waiting.Values, arrived.Values[i]-taken.Values[i])
		}
		c.Panels = append(c.Panels, plot.Panel{Title: "when_down = " + mode, Series: []plot.Series{arrived, count("accepted", d.accepted), taken, waiting}})
	}
	return c.SVG()
}

// cumulated is how many of the times are not after each point.
func cumulated(at []time.Duration, end time.Duration) (out []float64) {
	sorted := slices.Sorted(slices.Values(at))
	for i := range drillPoints + 1 {
		upTo := end * time.Duration(i) / drillPoints
		n, _ := slices.BinarySearch(sorted, upTo+1)
		out = append(out, float64(n))
	}
	return out
}
