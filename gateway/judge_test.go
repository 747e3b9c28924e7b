package gateway

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// testPolicy has one check of each class.
func testPolicy() *Policy {
	return &Policy{
		Version:    "test",
		Thresholds: Thresholds{Tag: 5, Quarantine: 7, Reject: 15},
		Checks: map[string]CheckPolicy{
			"opinion":  {Action: ActionReject, Unknown: ActionDefer, Intended: ActionReject},
			"points":   {Action: ActionScore, Unknown: ActionTag, Intended: ActionScore, Prices: map[string]float64{"spamd": 1, "bad": 2}, Ignore: []string{"DKIM_*"}, Total: "spamd"},
			"observed": {Action: ActionObserve, Unknown: ActionObserve, Intended: ActionReject},
			"access":   {Class: ClassList, Action: ActionReject, Intended: ActionReject},
			"grey":     {Class: ClassLimiting, Action: ActionDefer, Intended: ActionDefer},
			"virus": {Class: ClassMalware, Action: ActionReject, Unknown: ActionDefer, Intended: ActionReject, Cases: []Case{
				{Pattern: "Eicar*", Action: ActionReject, Key: "refuse"},
				{Reason: MalwareDoubtful, Action: ActionQuarantine, Key: "doubtful"}}},
			"macro": {Class: ClassContent, Action: ActionReject, Unknown: ActionDefer, Intended: ActionReject},
			"rcpt":  {Class: ClassRecipient, Action: ActionReject, Unknown: ActionDefer, Intended: ActionReject},
		},
		Domains: map[string]*Domain{
			"one.example": {Name: "one.example", Route: "r"},
			"strict.example": {Name: "strict.example", Route: "r", Subdomains: true,
				Thresholds: &Thresholds{Tag: 1, Quarantine: 2, Reject: 3}, Contact: "+1 555 0100"},
		},
		Where: map[string]string{"checks.opinion.action": "policy.toml:7"},
	}
}

func record(stage Stage, to []string, findings ...Finding) *Record {
	r := &Record{ID: 1 << 40, Stage: stage, Time: time.UnixMilli(1).UTC(), Client: netip.MustParseAddr("192.0.2.1"), Findings: findings}
	for _, t := range to {
		var a Address
		a.UnmarshalText([]byte(t))
		r.Rcpts = append(r.Rcpts, RecordRcpt{To: a, Code: 250})
	}
	return r
}

func fail(check string, stage Stage, reason Reason, m ...Measure) Finding {
	f := Failed(reason, "x").With(m...)
	f.Check, f.Stage, f.Rcpt = check, stage, -1
	return f
}

// atRcpt is a finding of the Rcpt stage about one recipient.
func atRcpt(i int, reason Reason) Finding {
	f := fail("rcpt", Rcpt, reason)
	f.Rcpt = i
	return f
}

// refused makes a record of which no recipient was accepted.
func refused(r *Record) *Record {
	for i := range r.Rcpts {
		r.Rcpts[i].Code = 550
	}
	return r
}

func unknown(check string) Finding {
	f := CouldNotTell(ScannerFailed)
	f.Check, f.Stage, f.Rcpt = check, Data, -1
	return f
}

func points(n float64, rules ...Measure) Finding {
	f := Passed(append([]Measure{{Name: "spamd", Value: n}}, rules...)...)
	f.Check, f.Stage, f.Rcpt = "points", Data, -1
	return f
}

func TestJudge(t *testing.T) {
	one, both := []string{"a@one.example"}, []string{"a@one.example", "b@strict.example"}
	listed := fail("access", Connect, AccessBlocked)
	allowed := Passed(Measure{Name: AllowMeasure, Value: 1, Text: "192.0.2.0/24"})
	allowed.Check, allowed.Rcpt = "access", -1
	tests := []struct {
		name   string
		mode   Mode
		r      *Record
		want   Outcome
		check  string
		rcpts  string // outcomes, comma-separated; "" is not looked at
		would  Outcome
		line   string
		points float64
	}{
		{name: "nothing found", r: record(Data, one), want: Accept, rcpts: "accept"},
		{name: "a refusal", r: record(Data, one, fail("opinion", Data, ShapeFrom)), want: Reject, check: "opinion", line: `checks.opinion.action = "reject" (policy.toml:7)`},
		{name: "cannot tell is never a pass", r: record(Data, one, unknown("opinion")), want: Defer, check: "opinion", line: `checks.opinion.unknown = "defer" (default)`},
		{name: "cannot tell, let pass with a mark", r: record(Data, one, unknown("points")), want: Tag, check: "points"},
		{name: "points below all", r: record(Data, one, points(4.9)), want: Accept, points: 4.9},
		{name: "points for a tag", r: record(Data, one, points(5)), want: Tag, points: 5},
		{name: "points for quarantine", r: record(Data, one, points(3), fail("points", Mail, HeloInvalid, Yes("bad"), Yes("bad"))), want: Quarantine, points: 7},
		{name: "points to refuse", r: record(Data, one, points(15)), want: Reject, points: 15, line: "thresholds.reject = 15 (default)"},
		{name: "points do not refuse before the message", r: record(Rcpt, one, points(99)), want: Accept, points: 99},
		{name: "rules priced by another check do not count", r: record(Data, one, points(6, Measure{Name: "rule", Value: 2, Text: "DKIM_INVALID"}, Measure{Name: "rule", Value: 4, Text: "GTUBE"})), want: Accept, points: 4},
		{name: "the stricter recipient's copy is quarantined", r: record(Data, both, points(4)), want: Quarantine, rcpts: "accept,quarantine"},
		{name: "both refuse: one true reply", r: record(Data, both, points(16)), want: Reject, rcpts: "reject,reject"},
		{name: "malware is refused for all", r: record(Data, both, fail("virus", Data, MalwareFound)), want: Reject, check: "virus", rcpts: "reject,reject"},
		{name: "a pattern comes before the reason", r: record(Data, one, fail("virus", Data, MalwareDoubtful, Measure{Name: "signature", Value: 1, Text: "Eicar-X.UNOFFICIAL"})), want: Reject, check: "virus", line: `checks.virus.refuse = "reject" (default)`},
		{name: "a reason has its own action", r: record(Data, one, fail("virus", Data, MalwareDoubtful)), want: Quarantine, check: "virus"},
		{name: "a list refuses", r: record(Rcpt, one, listed), want: Reject, check: "access", rcpts: "reject"},
		{name: "postmaster passes a list", r: record(Rcpt, []string{"Postmaster@one.example", "a@one.example"}, listed), want: Reject, rcpts: "accept,reject"},
		{name: "nobody was accepted", r: refused(record(Rcpt, both, atRcpt(0, RcptUnknown), atRcpt(1, RcptUnknown))), want: Reject, check: "rcpt", rcpts: "reject,reject"},
		{name: "one was accepted", r: record(Rcpt, both, atRcpt(1, RcptUnknown)), want: Accept, rcpts: "accept,reject"},
		{name: "postmaster does not pass malware", r: record(Data, []string{"postmaster@one.example"}, fail("virus", Data, MalwareFound)), want: Reject},
		{name: "an allow entry waives opinions", r: record(Data, one, allowed, fail("opinion", Data, ShapeFrom), points(20)), want: Accept},
		{name: "an allow entry does not waive malware", r: record(Data, one, allowed, fail("virus", Data, MalwareFound)), want: Reject},
		{name: "an allow entry does not waive what a message holds", r: record(Data, one, allowed, fail("macro", Data, AttachmentMacro)), want: Reject, check: "macro"},
		{name: "postmaster does not pass it", r: record(Data, []string{"postmaster@one.example"}, fail("macro", Data, AttachmentMacro)), want: Reject, check: "macro"},
		{name: "nor what was found of it early", r: record(Data, []string{"postmaster@one.example"}, fail("macro", Mail, AttachmentMacro)), want: Reject, check: "macro"},
		{name: "soft: what a message holds becomes quarantine", mode: Soft, r: record(Data, one, fail("macro", Data, AttachmentMacro)), want: Quarantine, would: Reject},
		{name: "observe: what a message holds is only told", mode: ObserveOnly, r: record(Data, one, fail("macro", Data, AttachmentMacro)), want: Accept, would: Reject},
		{name: "observed decides nothing", r: record(Data, one, fail("observed", Data, ShapeFrom)), want: Accept, would: Reject},
		{name: "soft: a refusal becomes quarantine", mode: Soft, r: record(Data, one, fail("opinion", Data, ShapeFrom)), want: Quarantine, would: Reject},
		{name: "soft: limits only count", mode: Soft, r: record(Rcpt, one, fail("grey", Mail, CheckTimeout)), want: Accept, would: Defer},
		{name: "soft: malware is in force", mode: Soft, r: record(Data, one, fail("virus", Data, MalwareFound)), want: Reject},
		{name: "observe: nothing but malware and recipients", mode: ObserveOnly, r: record(Data, one, points(20)), want: Accept, would: Reject, points: 20},
		{name: "observe: unscanned mail is still deferred", mode: ObserveOnly, r: record(Data, one, unknown("virus")), want: Defer},
		{name: "the edge's own rules hold in every mode", mode: ObserveOnly, r: record(Data, one, fail(ProtocolCheck, Data, BareNewline)), want: Reject, check: "smtp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := testPolicy()
			p.Mode = tt.mode
			v := p.Judge(tt.r)
			if v.Outcome != tt.want || tt.check != "" && v.Check != tt.check {
				t.Errorf("got %s by %q, want %s by %q", v.Outcome, v.Check, tt.want, tt.check)
			}
			var outcomes []string
			for _, d := range v.Rcpts {
				outcomes = append(outcomes, d.Outcome.String())
			}
			if got := strings.Join(outcomes, ","); tt.rcpts != "" && got != tt.rcpts {
				t.Errorf("recipients: %s, want %s", got, tt.rcpts)
			}
			if tt.line != "" && v.Line != tt.line {
				t.Errorf("line: %s, want %s", v.Line, tt.line)
			}
			if tt.points != 0 && (v.Score < tt.points-1e-9 || v.Score > tt.points+1e-9) {
				t.Errorf("score %v, want %v", v.Score, tt.points)
			}
			if (v.Would != nil) != (tt.would != Accept) || v.Would != nil && v.Would.Outcome != tt.would {
				t.Errorf("would: %+v, want %s", v.Would, tt.would)
			}
			if v.Outcome.Refuses() != (v.Reply.Code >= 400) {
				t.Errorf("%s with reply %v", v.Outcome, v.Reply)
			}
			if v.Reply.Code >= 400 && !strings.Contains(v.Reply.Text, "Reference "+tt.r.ID.String()) {
				t.Errorf("no reference in %q", v.Reply.Text)
			}
		})
	}
}

// TestUncheckedIsMarked shows that what goes on without having been checked says so, whatever its verdict.
func TestUncheckedIsMarked(t *testing.T) {
	for action, marked := range map[Action]bool{ActionObserve: false, ActionPass: true, ActionScore: true, ActionTag: true, ActionQuarantine: true, ActionDefer: false, ActionReject: false} {
		p := testPolicy()
		c := p.Checks["virus"]
		c.Unknown = action
		p.Checks["virus"] = c
		if v := p.Judge(record(Data, []string{"a@one.example"}, unknown("virus"))); (len(v.Marks) > 0) != marked {
			t.Errorf("unknown = %s: %s with marks %v", action, v.Outcome, v.Marks)
		}
	}
}

// TestJudgeAgain shows that a Record that went through the journal's JSON is judged the same.
func TestJudgeAgain(t *testing.T) {
	r := record(Data, []string{"a@one.example", `"odd name"@strict.example`, "postmaster"}, points(4, Measure{Name: "rule", Value: 1, Text: "DKIM_X"}), fail("observed", Data, ShapeFrom))
	r.From.UnmarshalText([]byte("x@sender.example"))
	r.Rcpts = append(r.Rcpts, RecordRcpt{Code: 250, To: Address{Text: "ü@bücher.example", Local: "ü", Domain: "xn--bcher-kva.example", UTF8: true}},
		RecordRcpt{Code: 250, To: Address{Text: `"a @b"@[192.0.2.1]`, Local: "a @b", Domain: "[192.0.2.1]"}})
	stored, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Record
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, r) {
		t.Errorf("record changed in JSON:\n%+v\n%+v", back, *r)
	}
	if a, b := testPolicy().Judge(r), testPolicy().Judge(&back); !reflect.DeepEqual(a, b) {
		t.Errorf("judged differently:\n%+v\n%+v", a, b)
	}
}

// TestReferenceCannotBeSuppressed: words of strangers in a reply do not pass for the reference.
func TestReferenceCannotBeSuppressed(t *testing.T) {
	r := Word(Reject, RcptUnknown, []string{`"Reference "@x.example`}).WithReference(7 << 20)
	if again := r.WithReference(7 << 20); !strings.HasSuffix(r.Text, "Reference "+ID(7<<20).String()) || again != r {
		t.Errorf("%q, and again %q", r.Text, again.Text)
	}
}

func TestContactIsShown(t *testing.T) {
	v := testPolicy().Judge(record(Data, []string{"b@sub.strict.example"}, fail("opinion", Data, ShapeFrom)))
	if !strings.Contains(v.Reply.Text, ". Contact +1 555 0100. Reference ") {
		t.Errorf("reply %q", v.Reply.Text)
	}
	v = testPolicy().Judge(refused(record(Rcpt, []string{"x@one.example", "b@strict.example"}, atRcpt(0, RcptUnknown), atRcpt(1, RcptUnknown))))
	for i, want := range []bool{false, true} {
		if _, r := v.Rcpt(i, 7<<20); strings.Contains(r.Text, "Contact +1 555 0100") != want || !strings.HasSuffix(r.Text, "Reference "+ID(7<<20).String()) {
			t.Errorf("recipient %d is told %q", i, r.Text)
		}
	}
}

// TestWaits: a wait has its unit, also in events of a version that kept the number only; no other argument gets one.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		reason Reason
		args   []string
		want   string
	}{
		{GreylistWait, []string{"1 second"}, "again in 1 second, as it would"},
		{GreylistWait, []string{"120 seconds"}, "again in 120 seconds, as it would"},
		{GreylistWait, []string{"120"}, "again in 120 seconds, as it would"},
		{GreylistWait, []string{"1"}, "again in 1 second, as it would"},
		{GreylistWait, nil, "again in ?, as it would"},
		{RateConnections, []string{"from your address", "30 per minute", "1 second"}, "at most 30 per minute; try again in 1 second"},
		{RateErrors, []string{"from your address", "30 per minute", "60"}, "at most 30 per minute; try again in 60 seconds"},
		{RateUnknown, []string{"from 7", "30 per minute"}, "in a short time from 7; at most 30 per minute;"},
		{TooBigToScan, []string{"1000"}, "at most 1000 octets"},
	} {
		kept := slices.Clone(c.args)
		if got := Word(Defer, c.reason, c.args).Text; !strings.Contains(got, c.want) {
			t.Errorf("%s %q: %q", c.reason, c.args, got)
		}
		if !slices.Equal(kept, c.args) {
			t.Errorf("%s: %q became %q", c.reason, kept, c.args)
		}
	}
}

// TestWords shows that every reason has a reply in its class and no placeholder is left open.
func TestWords(t *testing.T) {
	for _, r := range Reasons() {
		for o, class := range map[Outcome]int{Defer: 4, Reject: 5} {
			reply := Word(o, r, []string{"550", "5.2.1", "three"})
			if reply.Code/100 != class || reply.Enhanced[0] != byte('0'+class) || strings.Contains(reply.Text, "%!") || len(reply.Text) < 5 {
				t.Errorf("%s %s: %v", r, o, reply)
			}
			if strings.Contains(Word(o, r, nil).Text, "%!") {
				t.Errorf("%s: %v", r, Word(o, r, nil))
			}
		}
		if got := Word(Drop, r, nil).Code; got != 421 && got != 554 {
			t.Errorf("%s drops with %d", r, got)
		}
	}
	for _, args := range [][]string{{"250", "2.0.0", "fine"}, {"999", "", ""}, {"x", "y", "z"}, {"451", "5.1.1", "later"}} {
		if got := Word(Reject, RcptRefused, args); got.Code/100 != 5 || got.Enhanced[0] != '5' {
			t.Errorf("%v: %v", args, got)
		}
		if got := Word(Defer, RcptRefused, args); got.Code/100 != 4 || got.Enhanced[0] != '4' {
			t.Errorf("%v: %v", args, got)
		}
	}
}

func TestRepliesHoldNothingOfStrangers(t *testing.T) {
	r := Word(Reject, RelayDenied, []string{"evil\r\n250 ok\x00\xff"})
	for _, c := range []byte(r.Text) {
		if c < ' ' || c > 126 {
			t.Fatalf("octet %q in %q", c, r.Text)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	p := testPolicy()
	r := record(Data, []string{"a@one.example"}, points(4), fail("points", Mail, HeloInvalid, Yes("bad")), fail("observed", Data, ShapeFrom))
	b.ReportAllocs()
	for b.Loop() {
		p.Judge(r)
	}
}

// TestOutcomeOfAnEvent: what the next hop did not take was not accepted, whatever the verdict.
func TestOutcomeOfAnEvent(t *testing.T) {
	for r, want := range map[RelayResult]Outcome{Delivered: Tag, RefusedByHop: Reject, DeferredByHop: Defer, MixedByHop: Defer, NotDelivered: Defer, OutcomeUnknown: Defer} {
		e := Event{Verdict: Verdict{Decision: Decision{Outcome: Tag}}, Relayed: &Relayed{Result: r}}
		if got := e.Outcome(); got != want {
			t.Errorf("%s: %s, want %s", r, got, want)
		}
	}
	if got := (&Event{Verdict: Verdict{Decision: Decision{Outcome: Reject}}, Relayed: &Relayed{}}).Outcome(); got != Reject {
		t.Errorf("a refusal reads %s", got)
	}
	if got := (&Event{}).Outcome(); got != Accept {
		t.Errorf("nothing relayed: %s", got)
	}
}
