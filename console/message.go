package console

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// message is what the drawer shows.
type message struct {
	Event    *gateway.Event
	Row      Row
	Why      string
	Facts    []fact
	Findings []finding
	Ran      int
	Took     time.Duration
	Ladder   *ladder
	Without  []counter
	Reply    string
	Hop      *gateway.Relayed
	Spooled  string
	Fates    []gateway.Fate
	Rules    []gateway.Applied
	Refused  []string // commands that were refused in its connection
	JSON     string
	Similar  string
	Tell     string // what a help desk can write to the sender
	Gaps     []string
	Menu     *actMenu
	Form     string // the token of the session's forms, where whoever looks may release and report; else ""
}

// Later reports whether the spool has it.
func (m *message) Later() bool { return m.Spooled != "" }

// fact is a line about the message.
type fact struct{ Name, Value, Query, More string }

// finding is one check.
type finding struct {
	Check, State, Icon, Word string
	Reason                   string
	Points                   float64
	Decided, Largest         bool
	Took                     time.Duration
	Width                    float64 // of its bar, of 96
	Evidence                 []gateway.Evidence
	Measures                 []gateway.Measure
	Prices                   []gateway.Price
	Line                     string
	Open                     bool
}

// counter is what the score would have been without a check.
type counter struct {
	Check string
	Score float64
	class
}

// message gathers what whoever asks sees of a reference.
func (c *Console) message(r *http.Request, id gateway.ID) (*message, error) {
	s, err := ask[*api.LogStory](c, r, "trace", values("reference", id.String()))
	if err != nil {
		return nil, err
	}
	told := s.Event
	if told == nil && len(s.Within) > 0 { // a connection that lasts
		told = s.Within[0]
	}
	if told == nil {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "nothing is known of " + id.String(), Hint: "of mail that is older than the log only what became of it in the spool is kept"}
	}
	e, err := told.Event()
	if err != nil {
		return nil, err
	}
	m := c.tell(e, told.Node, s)
	m.Menu = menuOf(c.mayAct(r), "do-"+id.String(), e.Record.ID, e.Record.Client, e.Record.From.Text, e.Record.HeaderFrom)
	if token, ok := r.Context().Value(tokenKey{}).(string); ok && e.Outcome() == gateway.Quarantine && c.offers("quarantine release") {
		if actor := access.Of(r.Context()); actor.May(access.QuarantineChange) {
			m.Form = formToken(token)
		}
	}
	return m, nil
}

// tell makes a story ready to be shown: of its events the one whose page it is, and the node whose that is.
func (c *Console) tell(e *gateway.Event, node string, s *api.LogStory) *message {
	m := &message{Event: e, Row: rowOf(e), Fates: s.Fates, Gaps: s.Gaps, Hop: e.Relayed, Spooled: e.Spooled, Rules: e.Verdict.Rules, Reply: e.Reply.String()}
	if e.Reply.IsZero() {
		m.Reply = ""
	}
	var limits gateway.Thresholds
	var version string
	if c.Thresholds != nil {
		to := ""
		if len(e.Record.Rcpts) > 0 {
			to = e.Record.Rcpts[0].To.Domain
		}
		limits, version = c.Options.Thresholds(to)
	}
	m.findings()
	m.Why = why(e, limits)
	m.Ladder = newLadder(e, limits, version)
	m.without(limits)
	m.facts(node)
	m.Tell = tellSender(e)
	if s.Connection != nil && s.Connection.Session != nil {
		m.Refused = s.Connection.Session.Refused
	}
	if text, err := json.MarshalIndent(s, "", "  "); err == nil {
		m.JSON = string(text)
	}
	if e.Record.Client.IsValid() {
		m.Similar = searchFor("ip:" + e.Record.Client.String())
	}
	return m
}

// rowOf is the line of the list that belongs to an event.
func rowOf(e *gateway.Event) Row {
	r := Row{api.LogRow{ID: e.Record.ID, Session: e.Record.Session, Time: e.Record.Time, Kind: e.Kind, Class: api.ClassOf(e.Kind, e.Outcome(), e.Session.Transactions), Client: e.Record.Client,
		Helo: e.Record.Helo, From: e.Record.From.Text, Size: e.Record.Size, Subject: e.Subject, Verdict: e.Outcome(), Reason: e.Verdict.Reason, Check: e.Verdict.Check,
		Score: e.Verdict.Score, Policy: e.Policy, MessageID: e.MessageID}}
	if e.Relayed != nil {
		r.NextHop = e.Relayed.NextHop
	}
	if e.Spooled != "" {
		r.Later = gateway.FateQueued
	}
	for i := range e.Record.Rcpts {
		r.Rcpts = append(r.Rcpts, e.Record.Rcpts[i].To.Text)
	}
	return r
}

func (m *message) facts(node string) {
	e := m.Event
	add := func(name, value, query, more string) {
		if value != "" || more != "" {
			m.Facts = append(m.Facts, fact{name, value, query, more})
		}
	}
	from := e.Record.From.Text
	if from == "" && e.Kind == gateway.TransactionEvent {
		from = "<>"
	}
	find := func(key, value string) string {
		if value == "" || strings.ContainsAny(value, "\"\n") || len(value) > 200 {
			return ""
		}
		return searchFor(key + `:"` + value + `"`)
	}
	add("From", from, find("from", e.Record.From.Text), "")
	if h := e.Record.HeaderFrom; h != "" && !strings.Contains(strings.ToLower(h), strings.ToLower(from)) {
		add("Shown as", h, "", "")
	}
	for i := range e.Record.Rcpts {
		to := e.Record.Rcpts[i].To.Text
		more := ""
		if i < len(e.Verdict.Rcpts) && e.Verdict.Rcpts[i].Outcome != e.Verdict.Outcome {
			more = classOf(e.Verdict.Rcpts[i].Outcome).Class()
		}
		add("To", to, find("to", to), more)
	}
	if e.Record.Client.IsValid() {
		add("Client", e.Record.Client.String(), find("ip", e.Record.Client.String()), e.Session.Reverse)
	}
	add("HELO", e.Record.Helo, find("helo", e.Record.Helo), e.Record.TLS)
	size := ""
	if e.Record.Size > 0 {
		size = gateway.ShowSize(e.Record.Size)
	}
	add("Subject", e.Subject, "", size)
	add("Message-ID", e.MessageID, "", "")
	add("Policy", e.Policy, "", e.Verdict.Line)
	add("Allowed by", e.Verdict.Waived, "", "")
	add("Listener", e.Record.Listener, "", "")
	add("Node", node, "", "")
	add("Reference", e.Record.ID.String(), "", "")
}

// findings puts together what each check saw, cost and took.
func (m *message) findings() {
	e := m.Event
	var longest time.Duration
	for i := range e.Record.Findings {
		longest = max(longest, e.Record.Findings[i].Took)
	}
	left := slices.Clone(e.Verdict.Priced)
	for i := range e.Record.Findings {
		f := &e.Record.Findings[i]
		x := finding{Check: f.Check, Took: f.Took, Measures: f.Measures, Decided: e.Verdict.Check == f.Check && e.Verdict.Outcome != gateway.Accept && f.Result != gateway.Pass}
		x.State, x.Icon, x.Word = stateOf(f.Result)
		if f.Reason != "" {
			x.Reason = unaddressed(gateway.Word(gateway.Reject, f.Reason, f.Args).Text)
		}
		if f.Result == gateway.NotRun {
			x.Reason = leftText(f.Reason)
		}
		if i < len(e.Evidence) {
			x.Evidence = e.Evidence[i]
		}
		left = slices.DeleteFunc(left, func(p gateway.Price) bool {
			mine := p.Check == f.Check
			if mine {
				x.Prices = append(x.Prices, p)
				x.Points += p.Points
			}
			return mine
		})
		if x.Decided {
			x.Line = e.Verdict.Line
		}
		if longest > 0 {
			x.Width = max(1.5, float64(f.Took)/float64(longest)*96)
		}
		if f.Result != gateway.NotRun {
			m.Ran++
			m.Took += f.Took
		}
		m.Findings = append(m.Findings, x)
	}
	most := -1
	for i := range m.Findings {
		if p := m.Findings[i].Points; p > 0 && (most < 0 || p > m.Findings[most].Points) {
			most = i
		}
	}
	if most >= 0 {
		m.Findings[most].Largest = true
	}
	for i := range m.Findings {
		m.Findings[i].Open = m.Findings[i].Decided || e.Verdict.Check == "" && m.Findings[i].Largest && classOf(e.Verdict.Outcome) != classAccepted
	}
}

// stateOf is how a result looks.
func stateOf(r gateway.Result) (state, icon, word string) {
	switch r {
	case gateway.Pass:
		return "pass", "ok", "passed"
	case gateway.Fail:
		return "fail", "no", "failed"
	case gateway.NotRun:
		return "skip", "menu", "not run"
	}
	return "warn", "warn", "no answer, counted as nothing"
}

// without says what the sum would have come to without each check that added to it.
func (m *message) without(t gateway.Thresholds) {
	if m.Event.Verdict.Check != "" || t.Reject == 0 && t.Quarantine == 0 {
		return
	}
	seen := map[string]bool{}
	for _, f := range m.Findings {
		if f.Points <= 0 || seen[f.Check] {
			continue
		}
		seen[f.Check] = true
		s := m.Event.Verdict.Score - f.Points
		m.Without = append(m.Without, counter{f.Check, s, classOf(byScore(s, t))})
	}
	slices.SortStableFunc(m.Without, func(a, b counter) int { return cmp.Compare(a.Score, b.Score) })
}

// byScore is what a sum alone leads to.
func byScore(s float64, t gateway.Thresholds) gateway.Outcome {
	switch {
	case t.Reject > 0 && s >= t.Reject:
		return gateway.Reject
	case t.Quarantine > 0 && s >= t.Quarantine:
		return gateway.Quarantine
	case t.Tag > 0 && s >= t.Tag:
		return gateway.Tag
	}
	return gateway.Accept
}

// ladder is the picture of a score.
type ladder struct {
	Zones   []bar
	Gates   []gate
	Parts   []segment
	Pointer float64
	Score   float64
	Label   string
	Old     string // the version of the policy that judged, where another is in force
}

type gate struct {
	X      float64
	Word   string
	Score  float64
	Anchor string // of the word
}

type segment struct {
	bar
	Check  string
	Points float64
	Dark   bool
	Fits   bool
}

const (
	ladderWidth = 460.0
	gateWidth   = 90.0 // of the word of a gate
)

// newLadder draws the thresholds, what each check added, and where the sum came to.
func newLadder(e *gateway.Event, t gateway.Thresholds, version string) *ladder {
	if t.Tag == 0 && t.Quarantine == 0 && t.Reject == 0 || math.IsNaN(e.Verdict.Score) || math.IsInf(e.Verdict.Score, 0) {
		return nil
	}
	l := &ladder{Score: e.Verdict.Score, Label: "Score " + number(e.Verdict.Score) + "."}
	if version != e.Policy {
		l.Old = e.Policy
	}
	top := max(t.Reject*1.3, t.Quarantine*1.5, t.Tag*2, e.Verdict.Score*1.15, 1)
	at := func(s float64) float64 { return max(0, min(ladderWidth, s/top*ladderWidth)) }
	from, zone := 0.0, 0
	for i, g := range []gate{{Word: "tag", Score: t.Tag}, {Word: "quarantine", Score: t.Quarantine}, {Word: "reject", Score: t.Reject}} {
		if g.Score <= 0 {
			continue
		}
		g.X, g.Anchor = at(g.Score), "middle"
		if n := len(l.Gates); n > 0 && g.X-l.Gates[n-1].X < gateWidth { // their words would lie over each other
			l.Gates[n-1].Anchor, g.Anchor = "end", "start"
		}
		l.Gates = append(l.Gates, g)
		l.Zones = append(l.Zones, bar{"zb" + string(rune('0'+zone)), from, 16, g.X - from, 32})
		l.Label += " " + g.Word + " from " + number(g.Score) + "."
		from, zone = g.X, i+1
	}
	l.Zones = append(l.Zones, bar{"zb" + string(rune('0'+zone)), from, 16, ladderWidth - from, 32})
	x, sums, order := 0.0, map[string]float64{}, []string{}
	for _, p := range e.Verdict.Priced {
		if _, seen := sums[p.Check]; !seen {
			order = append(order, p.Check)
		}
		sums[p.Check] += p.Points
	}
	for i, check := range order {
		if sums[check] <= 0 {
			continue
		}
		w := at(x+sums[check]) - at(x)
		l.Parts = append(l.Parts, segment{bar{"", at(x) + 0.8, 20, max(w-1.5, 0), 21}, check, sums[check], i%2 == 1, w > 9*float64(len(check))})
		x += sums[check]
	}
	l.Pointer = at(l.Score)
	return l
}
