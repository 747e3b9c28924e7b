package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/limit"
)

// nearLimit is one line of limits top.
type nearLimit struct {
	Limit   string        `json:"limit"` // "connections/client/unknown"
	Subject string        `json:"subject"`
	Used    int64         `json:"used"` // units that are not given back yet
	Most    int64         `json:"most"`
	Rate    string        `json:"rate"` // "30 per minute"
	Over    bool          `json:"over"` // one more would not pass now
	Observe bool          `json:"observe"`
	Rest    time.Duration `json:"rest"` // until all of it is given back, nanoseconds
}

// limitsVerb answers gatepost limits top.
func (d *daemon) limitsVerb(_ context.Context, in *api.Top) ([]nearLimit, error) {
	return nearest(d.parts.shaper.Limits().Top(in.N), d.now.Load().rates), nil
}

// nearest words who is close to a limit. What strangers named is made safe for a terminal.
func nearest(top []limit.Standing, rates limit.Limits) []nearLimit {
	out := make([]nearLimit, 0, len(top))
	for i := range top {
		s := &top[i]
		row := rates.Of(s.Key.Dimension, s.Key.Unit)
		out = append(out, nearLimit{Limit: s.Key.Limit(), Subject: gateway.CleanText(s.Key.Subject, limit.MostSubject), Used: s.Used,
			Most: s.Rate.Burst, Rate: s.Rate.String(), Over: s.Over, Observe: row == nil || row.Observed, Rest: s.Rest})
	}
	return out
}

// limitsTop shows who is close to which limit now.
func limitsTop(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "limits top")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	n := api.TopLines
	if len(rest) > 0 {
		var err error
		if n, err = strconv.Atoi(rest[0]); err != nil || n < 1 || n > api.TopMost {
			fmt.Fprintf(e.Err, "gatepost limits top: %q is not 1 to %d\n", rest[0], api.TopMost)
			return cli.Usage
		}
	}
	list, err := cli.List[nearLimit](ctx, e, f, limitsQuestion(), &api.Top{N: n})
	if err != nil {
		return cli.Complain(e, "limits top", err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		l := &list[i]
		fmt.Fprintf(t, "%d%%\t%s\t%s\t%d of %s\tat rest in %s\t%s\n", l.share(), l.Limit, l.Subject, l.Used, l.Rate, l.Rest.Round(time.Second), l.state())
	}
	t.Flush()
	if len(list) == 0 {
		fmt.Fprintln(e.Err, "nobody came lately whom a limit counts")
	}
	return cli.Done
}

// share is how much of the limit is used, in percent.
func (l *nearLimit) share() int64 {
	return int64(math.Floor(100 * float64(l.Used) / float64(max(l.Most, 1))))
}

func (l *nearLimit) state() string {
	switch {
	case l.Over && l.Observe:
		return "over, only observed"
	case l.Over:
		return "over"
	case l.Observe:
		return "only observed"
	}
	return ""
}
