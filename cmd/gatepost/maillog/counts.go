package maillog

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// What is counted is kept by the hour, in pieces of five minutes. An hour is counted for good when it has been over for a while:
// an event is written when it ends, and named by when it began.
const (
	piece     = 5 * time.Minute
	pieces    = int(time.Hour / piece)
	settled   = time.Hour
	maxHours  = 4096 // kept, of all actors together: some 8 MB
	maxFresh  = 10 * time.Second
	costs     = 20 // an hour that is not over is counted again after so many times what that takes
	maxWhys   = 200
	hourRun   = 2 // hours that are read at once: what does not fit into the time of a question is read again by the next
	stepRatio = 1.15
)

// cell is what came in an hour.
type cell struct {
	api.LogCounts
	pieces  [pieces]api.LogCounts
	whys    map[why]int
	latency latencies
	at      time.Time // when it was counted
	good    time.Time // until when that is good enough; zero: for ever
	gaps    []string
	mark    store.Mark // how far the log was read
}

// why is what mail is stopped for.
type why struct{ reason, check string }

// latencies are counts by how long it took, in steps of a seventh more each.
type latencies [128]int32

func (l *latencies) add(took time.Duration) {
	l[latencyStep(took)]++
}

func latencyStep(took time.Duration) int {
	ms := max(float64(took)/float64(time.Millisecond), 1)
	return min(int(math.Ceil(math.Log(ms)/math.Log(stepRatio)-1e-9)), len(latencies{})-1)
}

// quantile is what so many of a thousand took at most.
func (l *latencies) quantile(perMille int) (time.Duration, int) {
	n := 0
	for _, k := range l {
		n += int(k)
	}
	want, sum := (n*perMille+999)/1000, 0
	for i, k := range l {
		if sum += int(k); k > 0 && sum >= want {
			return time.Duration(math.Pow(stepRatio, float64(i)) * float64(time.Millisecond)), n
		}
	}
	return 0, n
}

// hourKey is an hour as some domains see it.
type hourKey struct {
	domains string
	hour    int64 // since 1970
}

// tally is what came in a time.
type tally struct {
	total    cell
	hours    map[int64]*cell
	since    time.Time
	until    time.Time
	complete bool // else it is less, or older, than it should be
	counting bool // and will be more
	reached  time.Time
	gaps     []string
}

// add counts one event.
func (x *cell) add(b *store.Brief, at time.Time) {
	class := api.ClassOf(b.Kind, b.Verdict, b.Transactions)
	*x.Of(class)++
	*x.pieces[at.Unix()%3600/int64(piece/time.Second)].Of(class)++
	switch class {
	case api.Accepted:
		x.latency.add(b.Took)
	case api.Deferred, api.Quarantined, api.Rejected:
		k := why{b.Reason, b.Check}
		if _, known := x.whys[k]; !known {
			if len(x.whys) >= maxWhys {
				return
			}
			k = why{strings.Clone(b.Reason), strings.Clone(b.Check)}
		}
		x.whys[k]++
	}
}

// sum adds the hours up, and of those at the ends only the pieces that begin within the time.
func (t *tally) sum() {
	t.total.whys = map[why]int{}
	for hour, x := range t.hours {
		for i := range x.pieces {
			if at := time.Unix(hour*3600, 0).Add(time.Duration(i) * piece); t.holds(at) {
				t.total.Add(&x.pieces[i])
			}
		}
		for k, n := range x.whys {
			t.total.whys[k] += n
		}
		for i, n := range x.latency {
			t.total.latency[i] += n
		}
		for _, g := range x.gaps {
			if !slices.Contains(t.gaps, g) {
				t.gaps = append(t.gaps, g)
			}
		}
	}
	slices.Sort(t.gaps)
}

// holds reports whether a piece counts: the one in which the time begins does.
func (t *tally) holds(at time.Time) bool {
	return at.After(t.since.Add(-piece)) && !at.After(t.until)
}

// into puts the pieces into spans of time.
func (t *tally) into(all []api.LogSpan) {
	for hour, x := range t.hours {
		for i := range x.pieces {
			at := time.Unix(hour*3600, 0).Add(time.Duration(i) * piece)
			if !t.holds(at) {
				continue
			}
			if at.Before(t.since) {
				at = t.since
			}
			if span := spanOf(all, at); span != nil {
				span.Add(&x.pieces[i])
			}
		}
	}
}

// maxReasons is how many reasons a summary names.
const maxReasons = 10

// step is how long the pieces of a summary are.
func step(r string) time.Duration {
	switch r {
	case "1h":
		return piece
	case "24h":
		return 15 * time.Minute
	case "7d":
		return 2 * time.Hour
	}
	return 12 * time.Hour
}

func (l *Log) summary(ctx context.Context, in *api.SummaryAsk) (*api.Summary, error) {
	actor, now := access.Of(ctx), time.Now().UTC()
	length, long := step(in.Range), api.LogRanges()[in.Range]
	until := now.Truncate(length).Add(length)
	since := until.Add(-long)
	t, err := l.counts.of(ctx, actor.Domains, since, min2(now, until), in.Hurry)
	if err != nil {
		return nil, err
	}
	out := &api.Summary{Since: since, Until: until, Counts: t.total.LogCounts, Columns: spans(since, until, int(long/length)), Complete: t.complete, Counting: t.counting, Gaps: t.gaps}
	t.into(out.Columns)
	for k, n := range t.total.whys {
		out.Reasons = append(out.Reasons, api.ReasonCount{Reason: gateway.Reason(k.reason), Check: k.check, N: n})
	}
	slices.SortFunc(out.Reasons, func(a, b api.ReasonCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Check, b.Check))
	})
	out.Reasons = out.Reasons[:min(len(out.Reasons), maxReasons)]
	out.Latency.P50, out.Latency.N = t.total.latency.quantile(500)
	out.Latency.P95, _ = t.total.latency.quantile(950)
	out.Latency.P99, _ = t.total.latency.quantile(990)
	if actor.Everywhere() {
		if a, err := l.Reader.Activity(ctx, store.Window{Since: since, Until: until}); err == nil {
			out.Early = int(a.Total().Early)
		}
	}
	return out, nil
}

func min2(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
