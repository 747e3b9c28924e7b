package console

import (
	"errors"
	"net/http"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// logView is what the page of the log shows.
type logView struct {
	Filter  *filter
	Problem string // of what was asked for
	Found   *found
	Quick   []quick
	Chart   []stack
	First   time.Time // of the chart
	Last    time.Time
	Ticks   thresholds
	Older   string // address of the next page
	Clear   string
	Now     time.Time
	Message *message // in the drawer
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
	v := &logView{Now: time.Now(), Ticks: c.ticks(), Clear: "/log"}
	f, err := readFilter(r.URL.Query(), v.Now)
	v.Filter = f
	if err == nil {
		actor := access.Of(r.Context())
		v.Found, err = find(r.Context(), c.Log, &actor, f, pageRows)
	}
	if fault, ok := errors.AsType[*control.Fault](err); ok {
		v.Problem, v.Found = sentence(fault.Error()), &found{Columns: columnsOf(f), Complete: true}
	} else if err != nil {
		return nil, err
	}
	n := v.Found.Counts
	for _, q := range []quick{{"", "All", v.Found.All(), false}, {"stopped", "Not accepted", v.Found.Stopped(), false}, {"accepted", "Accepted", n[0], false},
		{"deferred", "Deferred", n[1], false}, {"quarantined", "Quarantined", n[2], false}, {"rejected", "Rejected", n[3], false}} {
		q.On = q.Value == f.Verdict
		v.Quick = append(v.Quick, q)
	}
	v.Chart, v.First, v.Last = histogram(v.Found.Columns, chartHeight), f.since, f.until
	if v.Found.Next != 0 {
		v.Older = f.link("before", v.Found.Next.String())
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
		c.part(w, r, status, "log", "results", v)
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
	actor := access.Of(r.Context())
	m, err := c.message(r.Context(), &actor, id)
	switch {
	case errors.Is(err, ErrNotFound):
		c.show(w, r, http.StatusNotFound, "problem", "Not found", problem{Head: "Nothing is known of " + id.String(),
			Text: "It was given on " + id.Time().Local().Format("2 January 2006 at 15:04:05") + ". The log may not reach back so far, it may not be written yet, or it is of a domain that you do not see.", Next: "gatepost trace " + id.String()})
		return
	case err != nil:
		c.failed(w, r, err)
		return
	}
	if r.Header.Get("X-Partial") == "drawer" {
		c.part(w, r, http.StatusOK, "log", "drawer", m)
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
