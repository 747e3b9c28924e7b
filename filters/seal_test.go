package filters

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/internal/arc"
	"gatepost/internal/dkim"
	"gatepost/internal/lab/dnslab"
)

// sealHop takes a message and keeps it.
type sealHop struct{ content string }

func (h *sealHop) Carries(string) gateway.Carries { return gateway.Carries{} }
func (h *sealHop) Relay(_ context.Context, d *gateway.Delivery) gateway.Relayed {
	b, _ := io.ReadAll(io.MultiReader(d.Content.Parts...))
	h.content = string(b)
	return gateway.Relayed{Result: gateway.Delivered}
}

// TestSealing has messages checked, changed, sealed and handed on, and verifies what the next hop got.
func TestSealing(t *testing.T) {
	w := newArcWorld(t)
	w.add(t, "ours.example")
	plain := "From: anna@sender.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\n\r\ntext  \r\n\r\n"
	one := w.seal(t, plain, "lists.example", "lists.example; none", 0)
	broken := strings.Replace(one, "text", "other text", 1)
	ended := strings.ReplaceAll(one, "cv=none", "cv=fail")
	w.add(t, "dead.example")
	dead := w.seal(t, plain, "dead.example", "dead.example; none", 0)
	server := w.server(t)
	server.SetFault("s._domainkey.dead.example", dnslab.Fault{Kind: dnslab.ServFail})
	for name, tt := range map[string]struct {
		text    string
		always  bool
		outcome gateway.Outcome
		unasked bool // the check did not run
		edits   string
		result  arc.Result
		sets    int
		counts  [3]uint64 // sealed, left, failed
	}{
		"tagged":                 {text: plain, outcome: gateway.Tag, edits: "subject,sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
		"not changed":            {text: plain, edits: "", result: arc.None},
		"not changed, always":    {text: plain, always: true, edits: "sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
		"a field removed":        {text: "X-Spam-Flag: YES\r\n" + plain, edits: "sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
		"a chain":                {text: one, outcome: gateway.Tag, edits: "subject,sealed i=2", result: arc.Pass, sets: 2, counts: [3]uint64{1, 0, 0}},
		"a broken chain":         {text: broken, always: true, edits: "sealed i=2", result: arc.Fail, counts: [3]uint64{1, 0, 0}},
		"an ended chain":         {text: ended, always: true, edits: "not sealed: the chain was ended by cv=fail (RFC 8617 section 5.1 step 2)", result: arc.Fail, counts: [3]uint64{0, 1, 0}},
		"DNS cannot tell":        {text: dead, always: true, edits: "not sealed: DNS did not give all keys of the chain, so that nothing true can be said of it", result: arc.Unknown, sets: 1, counts: [3]uint64{0, 1, 0}},
		"not verified":           {text: one, always: true, unasked: true, edits: "not sealed: seal: the chain was not verified in time", result: arc.Pass, sets: 1, counts: [3]uint64{0, 0, 1}},
		"the first line is none": {text: " folded: into ours\r\n" + plain, always: true, edits: "sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
		"no line end":            {text: strings.TrimRight(plain, "\r\n"), always: true, edits: "sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
		"no body":                {text: "From: a@sender.example\r\nSubject: hello\r\n", outcome: gateway.Tag, edits: "subject,sealed i=1", result: arc.Pass, sets: 1, counts: [3]uint64{1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{Resolver: resolver(t, server), arc: &ARCOptions{}}
			var counts SealCounts
			s, err := NewSealer(d, SealOptions{Domain: "ours.example", Selector: "s", Key: w.key, Always: tt.always, Counts: &counts})
			if err != nil {
				t.Fatal(err)
			}
			hop := &sealHop{}
			e := dataOf(t, tt.text)
			session := from("192.0.2.1", "mail.example")
			session.Snapshot = &gateway.Snapshot{Hostname: "mx.served.example", Policy: servedPolicy(), NextHop: hop, Sealer: s,
				Tag: gateway.SubjectTag{Text: "[SPAM] ", Signed: true}}
			in := input(session, e)
			if !tt.unasked {
				f := run(t, d.runARC, in)
				f.Check, f.Stage = "arc", gateway.Data
				e.Findings = append(e.Findings, f)
			}
			r := (&accept.Acceptor{}).Deliver(t.Context(), e, &gateway.Verdict{Decision: gateway.Decision{Outcome: tt.outcome}})
			if r.Reply.Code != 250 || strings.Join(r.Edits, ",") != tt.edits {
				t.Errorf("%s, told as %q", r.Reply, r.Edits)
			}
			out := dataOf(t, hop.content)
			c := arc.Verify(t.Context(), &lookups{r: resolver(t, server)}, dkim.NewHeader(fieldsOf(out.Header)), gateway.Rest(out.Body, out.Header.BodyStart), arc.Options{Now: time.Now()})
			if c.Result != tt.result || len(c.Sets) != tt.sets || name == "a broken chain" && !c.Ended {
				t.Errorf("the chain that goes out is %s (%s), %d sets, in\n%s", c.Result, c.Reason, len(c.Sets), hop.content)
			}
			if n := len(c.Sets); n > 0 && counts.Sealed.Load() > 0 && !strings.HasPrefix(c.Sets[n-1].Results, "mx.served.example;") {
				t.Errorf("results %q", c.Sets[n-1].Results)
			}
			if got := [3]uint64{counts.Sealed.Load(), counts.Left.Load(), counts.Failed.Load()}; got != tt.counts {
				t.Errorf("counted %v, want %v", got, tt.counts)
			}
		})
	}
}

// TestSealNeedsTheCheck: cv= is what the check arc found, so that there is no seal without it.
func TestSealNeedsTheCheck(t *testing.T) {
	if s, err := NewSealer(&Deps{}, SealOptions{}); err == nil || s != nil || !strings.Contains(err.Error(), "checks.arc") {
		t.Errorf("%v, %v", s, err)
	}
}
