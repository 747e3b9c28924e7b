package console

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// Size of the plot of points, in units of its picture.
const (
	plotWidth  = 800.0
	plotHeight = 120.0
)

// How many changed messages the panel lists, and of how many days it is if nobody says so.
const (
	whatIfList = 30
	whatIfDays = 7
)

// whatIfView is what a draft would have done, as the panel shows it.
type whatIfView struct {
	*api.Simulation
	Head    string // in place of what was asked for
	Problem string // why there is no answer
	Drafted bool   // there is a draft; else it is what is in force
	// Enforced says that it is judged as if the mode were enforce.
	Enforced bool
	Days     int
	Tiles    []whatIfTile
	Rows     []whatIfRow
	Bars     []whatIfBar
	Then     string // the outline of the scores as they were, as a path
	Most     int    // messages that stand for the height of the plot
	Changes  []whatIfChange
}

// Time is how long it took.
func (v *whatIfView) Time() time.Duration { return time.Duration(v.Took) * time.Millisecond }

// whatIfTile is how many messages fare so under the draft, and how many more or fewer than then.
type whatIfTile struct {
	class
	N, More int
}

// Delta is how many more or fewer, as people write it.
func (t whatIfTile) Delta() string { return deltaText(t.More) }

func deltaText(n int) string {
	switch {
	case n > 0:
		return "+" + countText(n)
	case n < 0:
		return "−" + countText(-n)
	}
	return "no change"
}

// whatIfRow is a line of the matrix: those that fared so.
type whatIfRow struct {
	class
	Cells    []whatIfCell
	NotKnown int
}

// whatIfCell is those that would fare so.
type whatIfCell struct {
	N     int
	Class string // same, looser, stricter, with zero
}

// whatIfBar is a rectangle of the plot with its title.
type whatIfBar struct {
	bar
	Title string
}

// whatIfChange is a message that would fare otherwise.
type whatIfChange struct {
	*api.SimChange
}

// Was and Is are what became of it, and what would.
func (c whatIfChange) Was() class { return classOf(c.SimChange.Live.Outcome) }

// Is is what would become of it.
func (c whatIfChange) Is() class { return classOf(c.SimChange.Draft.Outcome) }

// To are its recipients, in a line.
func (c whatIfChange) To() string {
	var all []string
	for _, r := range c.Rcpts {
		all = append(all, r.To)
	}
	if c.More > 0 {
		all = append(all, countText(c.More)+" more")
	}
	return strings.Join(all, ", ")
}

// Why is what decides under the draft.
func (c whatIfChange) Why() string {
	t := &c.SimChange.Draft
	if t.Outcome == gateway.Accept {
		return "no longer: " + reasonText(c.SimChange.Live.Reason)
	}
	return reasonText(t.Reason)
}

// Marked is what people did with it.
func (c whatIfChange) Marked() string {
	switch {
	case c.Mark.Released:
		return "released"
	case c.Mark.Reported != "":
		return "reported as " + c.Mark.Reported
	}
	return ""
}

// Moved reports whether its points differ.
func (c whatIfChange) Moved() bool {
	return math.Abs(c.SimChange.Live.Score-c.SimChange.Draft.Score) > 0.005
}

// whatIf shows what the draft of whoever asks would have done to the mail of the last days: the panel of the policy page, or a
// page of its own for browsers without script.
func (c *Console) whatIf(w http.ResponseWriter, r *http.Request) {
	days, err := strconv.Atoi(r.URL.Query().Get("days"))
	if err != nil || days < 1 || days > 400 {
		days = whatIfDays
	}
	fields := url.Values{"days": {strconv.Itoa(days)}, "limit": {strconv.Itoa(whatIfList)}}
	drafted, enforced := false, r.URL.Query().Get("mode") == "enforce"
	if actor := access.Of(r.Context()); actor.May(access.PolicyDraft) && c.offers("policy draft") {
		d, err := ask[*api.Draft](c, r, "policy draft", nil)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		if drafted = d.Exists; drafted {
			fields.Set("text", d.Text)
		}
	}
	if enforced {
		if err := c.enforced(r, fields); err != nil {
			c.failed(w, r, err)
			return
		}
	}
	sim, err := ask[*api.Simulation](c, r, "policy simulate", fields)
	v := &whatIfView{Simulation: sim}
	switch f, told := errors.AsType[*control.Fault](err); {
	case err == nil:
		v = whatIfOf(sim)
	case told && (f.Status == http.StatusBadRequest || f.Status == http.StatusTooManyRequests):
		v.Simulation, v.Problem = new(api.Simulation), sentence(f.Message)
	default:
		c.failed(w, r, err)
		return
	}
	v.Drafted, v.Days, v.Enforced = drafted, days, enforced
	if r.Header.Get("X-Partial") == "part" {
		c.send(w, r, http.StatusOK, "whatif", "whatif", v)
		return
	}
	c.show(w, r, http.StatusOK, "whatif", "What if", v)
}

// enforced makes the document that is tried one whose mode is enforce: what modes that are milder let pass shows so.
func (c *Console) enforced(r *http.Request, fields url.Values) error {
	text := fields.Get("text")
	if text == "" {
		now, err := ask[*api.Policy](c, r, "policy show", nil)
		if err != nil {
			return err
		}
		text = now.Text
	}
	changed, err := config.Edit([]byte(text), []config.Change{{Key: "mode", Value: "enforce"}})
	if err != nil {
		return &control.Fault{Status: http.StatusConflict, Message: "the mode cannot be changed in the document: " + err.Error()}
	}
	fields.Set("text", string(changed))
	return nil
}

// whatIfOf lays a simulation out.
func whatIfOf(s *api.Simulation) *whatIfView {
	v := &whatIfView{Simulation: s}
	live, draft, cells := map[class]int{}, map[class]int{}, map[[2]class]int{}
	unknown := map[class]int{}
	for i := range s.Matrix {
		l := &s.Matrix[i]
		was := classOf(l.Live)
		unknown[was] += l.NotKnown
		for o := gateway.Accept; o <= gateway.Drop; o++ {
			n := *l.Of(o)
			live[was] += n
			draft[classOf(o)] += n
			cells[[2]class{was, classOf(o)}] += n
		}
	}
	for _, was := range classes() {
		v.Tiles = append(v.Tiles, whatIfTile{was, draft[was], draft[was] - live[was]})
		row := whatIfRow{class: was, NotKnown: unknown[was]}
		for _, is := range classes() {
			cell := whatIfCell{cells[[2]class{was, is}], "same"}
			if rank(is) < rank(was) {
				cell.Class = "looser"
			} else if rank(is) > rank(was) {
				cell.Class = "stricter"
			}
			if cell.N == 0 {
				cell.Class += " zero"
			}
			row.Cells = append(row.Cells, cell)
		}
		v.Rows = append(v.Rows, row)
	}
	for i := range s.List {
		v.Changes = append(v.Changes, whatIfChange{&s.List[i]})
	}
	v.plot()
	return v
}

// rank orders what becomes of mail by how far it comes.
func rank(c class) int {
	switch c {
	case classAccepted:
		return 0
	case classQuarantined:
		return 1
	case classDeferred:
		return 2
	}
	return 3
}

// plot draws how many messages have which score: bars for the draft, an outline for how it was. Heights are square roots, since
// most mail has hardly any points, and what matters is beside it.
func (v *whatIfView) plot() {
	s := &v.Scores
	n := min(len(s.Live), len(s.Draft))
	for i := range n {
		v.Most = max(v.Most, s.Live[i], s.Draft[i])
	}
	if v.Most == 0 {
		return
	}
	height := func(count int) float64 { return math.Sqrt(float64(count)/float64(v.Most)) * (plotHeight - 4) }
	w, path := plotWidth/float64(n), ""
	for i := range n {
		x, h, from := float64(i)*w, height(s.Draft[i]), s.Least+i
		span := fmt.Sprintf("%d to %d points", from, from+1)
		switch i {
		case 0:
			span = fmt.Sprintf("below %d points", from+1)
		case n - 1:
			span = fmt.Sprintf("%d points and more", from)
		}
		v.Bars = append(v.Bars, whatIfBar{bar{"z0", x, plotHeight - h, w * 0.86, h}, fmt.Sprintf("%s: %s messages, then %s", span, countText(s.Draft[i]), countText(s.Live[i]))})
		path += fmt.Sprintf("%s%.1f %.1fH%.1f", map[bool]string{true: "M", false: "L"}[i == 0], x, plotHeight-height(s.Live[i]), x+w)
	}
	v.Then = path
}

// Axis are the ends and the middle of the plot.
func (v *whatIfView) Axis() []int {
	n := len(v.Scores.Live) - 1
	return []int{v.Scores.Least, v.Scores.Least + n/4, v.Scores.Least + n/2, v.Scores.Least + 3*n/4, v.Scores.Least + n}
}
