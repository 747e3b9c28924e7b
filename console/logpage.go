package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// logView is what the page of the log shows.
type logView struct {
	Filter  *filter
	Problem string // of what was asked for
	Found   *api.LogPage
	Took    time.Duration
	Quick   []quick
	Chart   []stack
	First   time.Time // of the chart
	Last    time.Time
	Ticks   thresholds
	Older   string // address of the next page
	Clear   string
	Now     time.Time
	Message *message // in the drawer
	may     bool     // list what is seen
}

// quick is one of the quick filters.
type quick struct {
	Value, Word string
	N           int
	On          bool
}

// thresholds are where the tick of a bar stands, of 64.
type thresholds struct {
	Reject float64
	Any    bool
}

func (c *Console) ticks() thresholds {
	if c.Thresholds == nil {
		return thresholds{}
	}
	t, _ := c.Options.Thresholds("")
	return thresholds{min(t.Reject/20*64, 62), t.Reject > 0}
}

// logView searches for a request.
func (c *Console) logView(r *http.Request) (*logView, error) {
	v := &logView{Now: time.Now(), may: c.mayAct(r), Ticks: c.ticks(), Clear: "/log", Filter: readFilter(r.URL.Query())}
	f := v.Filter
	var err error
	v.Found, err = ask[*api.LogPage](c, r, "log search", values("q", visible(r.URL.Query().Get("q")), "verdict", f.Verdict, "range", f.Range, "cursor", f.Cursor, "limit", strconv.Itoa(pageRows), "hurry", "true"))
	if v.Took = time.Since(v.Now); v.Found == nil {
		v.Found = &api.LogPage{Complete: true, Since: v.Now.Add(-api.LogRanges()[f.Range]), Until: v.Now}
	}
	if fault, ok := errors.AsType[*control.Fault](err); ok && fault.Field == "q" {
		v.Problem = sentence(fault.Error())
	} else if err != nil {
		return nil, err
	}
	n := &v.Found.Counts
	v.Quick = []quick{{"", "All", n.Total(), f.Verdict == ""}, {"stopped", "Not accepted", n.Stopped(), f.Verdict == "stopped"}}
	for _, k := range classes() {
		v.Quick = append(v.Quick, quick{k.Class(), k.Word(), k.of(n), f.Verdict == k.Class()})
	}
	v.Chart, v.First, v.Last = histogram(v.Found.Columns, chartHeight), v.Found.Since, v.Found.Until
	if v.Found.Next != "" {
		v.Older = f.link("before", v.Found.Next)
	}
	return v, nil
}

func (c *Console) logPage(w http.ResponseWriter, r *http.Request) {
	v, err := c.logView(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	status := http.StatusOK
	if v.Problem != "" {
		status = http.StatusBadRequest
	}
	if r.Header.Get("X-Partial") == "results" {
		c.send(w, r, status, "log", "results", v)
		return
	}
	c.show(w, r, status, "log", "Message log", v)
}

// messagePage shows one message: as the drawer of the log for the script, and beside the list without it.
func (c *Console) messagePage(w http.ResponseWriter, r *http.Request) {
	id, err := gateway.ParseID(r.PathValue("id"))
	if err != nil {
		c.nowhere(w, r)
		return
	}
	m, err := c.message(r, id)
	fault, _ := errors.AsType[*control.Fault](err)
	switch {
	case fault != nil && fault.Status == http.StatusNotFound:
		c.show(w, r, http.StatusNotFound, "problem", "Not found", problem{Head: "Nothing is known of " + id.String(),
			Text: "It was given on " + id.Time().Local().Format("2 January 2006 at 15:04:05") + ". " + sentence(fault.Hint), Next: "gatepost trace " + id.String()})
		return
	case err != nil:
		c.failed(w, r, err)
		return
	}
	if r.Header.Get("X-Partial") == "drawer" {
		c.send(w, r, http.StatusOK, "log", "drawer", m)
		return
	}
	v, err := c.logView(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Message = m
	c.show(w, r, http.StatusOK, "log", "Message log", v)
}

// searchFor is the page of the log that a query finds.
func searchFor(query string) string { return "/log?" + url.Values{"q": {query}}.Encode() }
