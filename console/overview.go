package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"gatepost/internal/access"
)

// overviewRange is the time that the overview is about.
const overviewRange = "24h"

// overviewHeight is that of its chart.
const overviewHeight = 200.0

// overviewView is what the start page shows.
type overviewView struct {
	Found    *found
	Tiles    []tile
	Chart    []stack
	First    time.Time
	Last     time.Time
	Reasons  []reasonCount
	Status   *Status // nil for whoever may not see it
	Problems []Service
	Now      time.Time
}

// tile is a number with its share.
type tile struct {
	class
	N     int
	Share string
	Href  string
}

// reasonCount is why mail was stopped.
type reasonCount struct {
	Word, Href string
	N          int
	Width      float64 // of its bar, of 100
}

// maxReasons is how many of them are shown.
const maxReasons = 6

func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	f, err := readFilter(url.Values{"range": {overviewRange}}, now)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	actor := access.Of(r.Context())
	found, err := find(r.Context(), c.Log, &actor, f, scanRows)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := &overviewView{Found: found, Now: now, Chart: histogram(found.Columns, overviewHeight), First: f.since, Last: f.until, Reasons: reasonsOf(found.Rows)}
	total := max(found.Total(), 1)
	for k := classAccepted; k <= classRejected; k++ {
		n := found.Counts[k]
		v.Tiles = append(v.Tiles, tile{k, n, number(float64(n)*100/float64(total)) + "%", f.link("verdict", k.Class())})
	}
	if actor.May(access.StatusRead) && c.Status != nil {
		ctx, cancel := context.WithTimeout(r.Context(), searchTime)
		s := c.Options.Status(ctx)
		cancel()
		v.Status = &s
		v.Problems = slices.DeleteFunc(slices.Clone(s.Services), func(x Service) bool { return x.OK })
	}
	c.show(w, r, http.StatusOK, "overview", "Overview", v)
}

// reasonsOf counts why mail was not accepted, the most frequent first.
func reasonsOf(rows []Row) []reasonCount {
	n := map[string]int{}
	for i := range rows {
		if c := rows[i].ClassOf(); c != classAccepted && c != classNone && rows[i].Reason != "" {
			n[string(rows[i].Reason)]++
		}
	}
	var out []reasonCount
	for reason, k := range n {
		out = append(out, reasonCount{Word: reason, Href: "/log?" + url.Values{"q": {"check:" + reason}, "verdict": {"stopped"}}.Encode(), N: k})
	}
	slices.SortFunc(out, func(a, b reasonCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Word, b.Word)) })
	out = out[:min(len(out), maxReasons)]
	for i := range out {
		out[i].Width = float64(out[i].N) * 100 / float64(out[0].N)
	}
	return out
}
