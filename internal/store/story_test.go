package store

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestEventSurvives shows that what was written reads back the same, and that its Record is judged the same.
func TestEventSurvives(t *testing.T) { states(t, testEventSurvives) }

func testEventSurvives(t *testing.T, o Options, settle func(*Log, bool)) {
	var g ids
	now := time.Now()
	l, node := openLog(t, o), ""
	if o.Shared != nil {
		node = o.Shared.Node
	}
	events := []*gateway.Event{transaction(&g, now, "ann@sender.example", "bob@one.example"), transaction(&g, now, "", "postmaster"),
		connection(&g, now, "2001:db8::7", gateway.Drop)}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		events = append(events, random(rng, &g, now))
	}
	write(t, l, events...)
	settle(l, true)
	for _, want := range events {
		s, err := l.Reader().Trace(bounded30(t), want.Record.ID)
		if err != nil || s.Event == nil || s.Node != node {
			t.Fatalf("%s: %v, gaps %v", want.Record.ID, err, s.Gaps)
		}
		got := s.Event
		if a, b := plain(t, got.Record), plain(t, want.Record); a != b {
			t.Errorf("record changed:\n%s\n%s", a, b)
		}
		if a, b := policy().Judge(got.Record), policy().Judge(want.Record); !reflect.DeepEqual(a, b) {
			t.Errorf("judged differently:\n%+v\n%+v", a, b)
		}
		if a, b := plain(t, &got.Verdict), plain(t, &want.Verdict); a != b {
			t.Errorf("verdict changed:\n%s\n%s", a, b)
		}
		a, b := *got, *want
		a.Record, b.Record, a.Verdict, b.Verdict = nil, nil, gateway.Verdict{}, gateway.Verdict{}
		if len(a.Evidence) == 0 && len(bounded(b.Evidence)) == 0 {
			a.Evidence, b.Evidence = nil, nil
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("event changed:\n%+v\n%+v", a, b)
		}
	}
}

func plain(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// random makes an event with findings of every kind, judged by the test policy.
func random(rng *rand.Rand, g *ids, now time.Time) *gateway.Event {
	e := transaction(g, now, "r@sender.example", `"odd name"@one.example`)
	r := e.Record
	r.Stage = gateway.Stage(rng.IntN(5))
	r.Client = netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(256))})
	checks := []string{"rdns", "helo", "sender", "rcpt", "clamav", "spamassassin", gateway.ProtocolCheck}
	reasons := gateway.Reasons()
	r.Findings, e.Evidence = nil, nil
	for range rng.IntN(8) {
		f := gateway.Finding{Check: checks[rng.IntN(len(checks))], Stage: gateway.Stage(rng.IntN(5)), Rcpt: rng.IntN(2) - 1,
			Result: gateway.Result(rng.IntN(4)), Took: time.Duration(rng.IntN(1e9)), RetryAfter: time.Duration(rng.IntN(3)) * time.Second}
		if f.Result != gateway.Pass {
			f.Reason, f.Args = reasons[rng.IntN(len(reasons))], []string{"ä€", "\"<>&"}[:rng.IntN(3)]
		}
		for range rng.IntN(3) {
			f.Measures = append(f.Measures, gateway.Measure{Name: []string{"spamd", "no_ptr", "rule"}[rng.IntN(3)],
				Value: rng.NormFloat64() * 10, Text: []string{"", "DKIM_X", "SPF_Y"}[rng.IntN(3)]})
		}
		if len(f.Args) == 0 {
			f.Args = nil
		}
		r.Findings = append(r.Findings, f)
		e.Evidence = append(e.Evidence, nil)
	}
	e.Verdict = policy().Judge(r)
	return e
}

// TestOddNumbersAndOctets shows that no event is lost for what JSON cannot say.
func TestOddNumbersAndOctets(t *testing.T) {
	var g ids
	e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	e.Record.Findings[7].Measures = []gateway.Measure{{Name: "spamd", Value: math.NaN()}, {Name: "x", Value: math.Inf(1)}, {Name: "y", Value: math.Inf(-1)}}
	e.Verdict.Score, e.Verdict.Priced = math.NaN(), []gateway.Price{{Points: math.Inf(1)}}
	e.Record.HeaderFrom, e.Subject, e.Record.Helo = "\xff\xfe <a@b>", "\x00\x1b[2J\xff", "\xc3\x28"
	l := openLog(t, Options{})
	write(t, l, e)
	s, err := l.Reader().Trace(bounded30(t), e.Record.ID)
	if err != nil || s.Event == nil {
		t.Fatal(err)
	}
	if m := s.Event.Record.Findings[7].Measures; m[0].Value != 0 || m[1].Value != math.MaxFloat64 || m[2].Value != -math.MaxFloat64 {
		t.Errorf("measures %v", m)
	}
	if !math.IsNaN(e.Record.Findings[7].Measures[0].Value) {
		t.Error("the event that was written has changed")
	}
	if st := l.Stats(); st.Failed != 0 || st.Written != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	var g ids
	e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	e.Evidence[0] = []gateway.Evidence{{Name: "big", Text: strings.Repeat("ä", maxEvidence)}, {Name: "gone", Text: "x"}}
	n, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > maxEvidence+4000 || !bytes.Contains(b, []byte("[cut]")) || bytes.Contains(b, []byte("gone")) {
		t.Errorf("%d octets", len(b))
	}
	if len(e.Evidence[0][0].Text) != 2*maxEvidence {
		t.Error("the event that was written has changed")
	}
}

func TestFromHeader(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"a@b.example":                       "a@b.example",
		"Ann <Ann@B.example>":               "ann@b.example",
		"=?utf-8?q?=C3=84?= <x@y.z>":        "x@y.z",
		"broken \" quote <x@y.z>":           "x@y.z",
		"a@b.example, Second <c@d>":         "a@b.example",
		"nobody":                            "",
		strings.Repeat("x", 3000) + "<a@b>": "",
	} {
		if got := fromHeader(in); got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}
