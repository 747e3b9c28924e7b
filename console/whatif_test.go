package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// whatIfSite is a site whose operations answer as the daemon's do: a draft, and what it would have done.
func whatIfSite(t *testing.T, draft *api.Draft, sim *api.Simulation, err error) (*site, *api.SimulateAsk) {
	t.Helper()
	s, asked := newSite(t), new(api.SimulateAsk)
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Operation{Name: "policy draft", Method: "GET", Path: "/policy/draft", Doc: "Show it", Right: access.PolicyRead},
			func(context.Context, *struct{}) (*api.Draft, error) { return draft, nil }),
		control.Define(control.Operation{Name: "policy simulate", Method: "POST", Path: "/policy/simulate", Doc: "Try it", Right: access.PolicyRead},
			func(_ context.Context, in *api.SimulateAsk) (*api.Simulation, error) {
				*asked = *in
				return sim, err
			}))
	return s, asked
}

// simulation has ten messages: six as before, three that a draft stops, one that is not known.
func simulation() *api.Simulation {
	s := &api.Simulation{Messages: 10, Changed: 3, Harder: 3, NotKnown: 1, Against: 1, Released: 1, More: 1, Took: 12,
		Missing: []api.SimCount{{What: "content", N: 1}}, Stale: []string{"checks.rbl.<b>client"},
		Scores: api.SimScores{Least: -1, Live: []int{0, 9, 0, 0, 0}, Draft: []int{0, 6, 0, 3, 0}}}
	for o := gateway.Accept; o <= gateway.Drop; o++ {
		s.Matrix = append(s.Matrix, api.SimLine{Live: o})
	}
	s.Matrix[gateway.Accept].Accept, s.Matrix[gateway.Tag].Tag, s.Matrix[gateway.Tag].Reject = 4, 1, 2
	s.Matrix[gateway.Quarantine].Reject, s.Matrix[gateway.Reject].Reject, s.Matrix[gateway.Reject].NotKnown = 1, 1, 1
	s.List = []api.SimChange{
		{ID: 1 << 40, Time: time.Now(), From: "<script>@evil.test", Live: api.SimTold{Outcome: gateway.Quarantine, Score: 7}, Draft: api.SimTold{Outcome: gateway.Reject, Reason: gateway.SpamScore, Score: 9},
			Rcpts: []api.SimRcpt{{To: "one@served.test"}}, More: 2, Mark: api.SimMark{Released: true}, Against: true},
		{ID: 2 << 40, Time: time.Now(), Live: api.SimTold{Outcome: gateway.Tag, Score: 5}, Draft: api.SimTold{Outcome: gateway.Reject, Check: "rdns", Reason: gateway.RDNSNone, Score: 5}},
	}
	return s
}

// TestWhatIf shows that the panel's numbers fit each other, that the plot is a picture without a style, that text of strangers is
// text, and that the draft that is asked about is that of whoever looks.
func TestWhatIf(t *testing.T) {
	s, asked := whatIfSite(t, &api.Draft{Exists: true, Text: "mode = \"soft\"\n"}, simulation(), nil)
	w := s.ask("anna", "GET", "/policy/whatif?days=3", nil, "X-Partial", "part")
	has(t, w, http.StatusOK, "If the draft had been in force for 3 days", "10 messages judged again", "<b>3</b> would have fared otherwise, 0 milder and 3 harder",
		"Of <b>1</b> it is not known: 1 never came", "1 of them contradict what people said", `<td class="stricter">2</td>`, `<td class="looser zero">0</td>`, `<td class="same">5</td>`,
		"&lt;script&gt;@evil.test", "one@served.test, 2 more", "no sender", "7.0 → 9.0", ">5.0<", "checks.rbl.&lt;b&gt;client", "1 more: <code>", "!<html", "!style=", "!<script>")
	if asked.Text != "mode = \"soft\"\n" || asked.Days != 3 {
		t.Errorf("%+v", asked)
	}
	v := whatIfOf(simulation())
	sum := v.NotKnown
	for i, tile := range v.Tiles {
		row := v.Rows[i].NotKnown
		for _, cell := range v.Rows[i].Cells {
			row += cell.N
		}
		if sum += tile.N; row != tile.N-tile.More+v.Rows[i].NotKnown {
			t.Errorf("%s: %d in its row, %+v", tile.Word(), row, tile)
		}
	}
	if sum != v.Messages || len(v.Bars) != 5 || strings.Count(v.Then, "L") != 4 || v.Most != 9 {
		t.Errorf("%d of %d in the tiles, %d bars, %q", sum, v.Messages, len(v.Bars), v.Then)
	}
	has(t, s.ask("anna", "GET", "/policy/whatif", nil), http.StatusOK, "<html", `name="days"`, "for 7 days")
	has(t, s.ask("helper", "GET", "/policy/whatif", nil), http.StatusForbidden)
	has(t, s.ask("code", "GET", "/policy/whatif", nil, "X-Partial", "part"), http.StatusOK, "If what is in force had been")
}

// TestWhatIfStates shows the panel where no mail came, where nothing changes, where names are kept from the reader, and where a
// draft cannot be used.
func TestWhatIfStates(t *testing.T) {
	s, _ := whatIfSite(t, &api.Draft{}, &api.Simulation{}, nil)
	has(t, s.ask("anna", "GET", "/policy/whatif", nil, "X-Partial", "part"), http.StatusOK, "No mail of that time", "If what is in force had been", "!<svg class=\"dist")
	quiet := simulation()
	quiet.Changed, quiet.List, quiet.Against = 0, nil, 0
	s, _ = whatIfSite(t, &api.Draft{}, quiet, nil)
	has(t, s.ask("anna", "GET", "/policy/whatif", nil, "X-Partial", "part"), http.StatusOK, "None would have fared otherwise", "!contradict", "!id=\"changed\"")
	kept := simulation()
	kept.List = nil
	s, _ = whatIfSite(t, &api.Draft{}, kept, nil)
	has(t, s.ask("anna", "GET", "/policy/whatif", nil, "X-Partial", "part"), http.StatusOK, "Who may not read the log is not told which")
	s, _ = whatIfSite(t, &api.Draft{Exists: true, Text: "x"}, nil, &control.Fault{Status: http.StatusBadRequest, Message: "the draft cannot be used: draft:1: x"})
	has(t, s.ask("anna", "GET", "/policy/whatif", nil, "X-Partial", "part"), http.StatusOK, `role="alert"`, "The draft cannot be used: draft:1: x")
}
