package console

import (
	"net/http"
	"net/url"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// overviewHeight is that of the chart of the start page.
const overviewHeight = 200.0

// maxReasons is how many of them are shown.
const maxReasons = 8

// overviewView is what the start page shows.
type overviewView struct {
	*api.Summary
	Tiles  []tile
	Chart  []stack
	Most   int // that stands for the height of the chart
	Why    []reasonCount
	Status *api.Status // nil for whoever may not see it
	Away   string      // why it is not shown
	Now    time.Time
	Begin  bool // nothing is accepted yet, and who looks may set it up
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
	Word, Code, Href string
	N                int
	Width            float64 // of its bar, of 100
}

// Mail is how much there was.
func (v *overviewView) Mail() int { return v.Counts.Total() - v.Counts.Connections }

func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	sum, err := ask[*api.Summary](c, r, "log summary", values("hurry", "true"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := &overviewView{Summary: sum, Now: time.Now(), Chart: histogram(sum.Columns, overviewHeight), Why: reasonsOf(sum.Reasons)}
	for i := range sum.Columns {
		v.Most = max(v.Most, sum.Columns[i].Total()-sum.Columns[i].Connections)
	}
	f := &filter{Range: "24h"}
	for _, k := range classes() {
		n := k.of(&sum.Counts)
		v.Tiles = append(v.Tiles, tile{k, n, number(float64(n)*100/float64(max(v.Mail(), 1))) + "%", f.link("verdict", k.Class())})
	}
	actor := access.Of(r.Context())
	if actor.May(access.StatusRead) && c.offers("status") {
		if v.Status, err = ask[*api.Status](c, r, "status", nil); err != nil {
			v.Away = "The state of servers and parts cannot be asked now. The log of the daemon tells why under " + c.logged(r, err) + "."
		}
	}
	v.Begin = !c.setUp() && actor.May(access.PolicyPublish)
	c.show(w, r, http.StatusOK, "overview", "Overview", v)
}

// reasonsOf are the most frequent, in words.
func reasonsOf(all []api.ReasonCount) (out []reasonCount) {
	all = all[:min(len(all), maxReasons)]
	for _, x := range all {
		out = append(out, reasonCount{Word: reasonText(x.Reason), Code: string(x.Reason), Href: "/log?" + url.Values{"q": {"check:" + string(x.Reason)}, "verdict": {"stopped"}}.Encode(),
			N: x.N, Width: float64(x.N) * 100 / float64(max(all[0].N, 1))})
	}
	return out
}
