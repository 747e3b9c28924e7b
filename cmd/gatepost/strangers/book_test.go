package strangers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/greylist"
)

// greyEvent is the event of a transaction that greylisting looked at.
func greyEvent(n int, outcome, sender string, waited float64, delivered bool) *gateway.Event {
	key := greylist.Key{Pair: [9]byte{byte(n), byte(n >> 8)}}
	f := gateway.Finding{Check: "greylist", Stage: gateway.Rcpt, Result: gateway.Pass}
	told := []gateway.Evidence{{Name: filters.EvidenceGreylistSender, Text: sender}}
	switch outcome {
	case "":
		f.Result = gateway.NotRun
	default:
		told = append(told, gateway.Evidence{Name: filters.EvidenceGreylist, Text: outcome}, gateway.Evidence{Name: filters.EvidenceGreylistKey, Text: key.String()},
			gateway.Evidence{Name: filters.EvidenceGreylistIdentity, Text: "net:192.0.2.0/24"})
	}
	if waited > 0 {
		f.Measures = []gateway.Measure{{Name: "waited", Value: waited}}
	}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Evidence: [][]gateway.Evidence{told}, Record: &gateway.Record{ID: gateway.ID(n + 1),
		Client: netip.MustParseAddr("192.0.2.1"), From: gateway.Address{Text: "a@b.example"}, Findings: []gateway.Finding{f},
		Rcpts: []gateway.RecordRcpt{{To: gateway.Address{Text: fmt.Sprintf("r%d@served.example", n)}}}}}
	if delivered {
		e.Relayed = &gateway.Relayed{Result: gateway.Delivered}
	}
	return e
}

// TestBook: names by key, bounded; what came of tries; and how long known and new senders were held.
func TestBook(t *testing.T) {
	var g Book
	for n := range namesKept + 10 {
		g.Learn(greyEvent(n, "first", "new here", 0, false))
	}
	if len(g.names) != namesKept || len(g.order) != namesKept || g.outcomes[0] != namesKept+10 || g.delays[0].count != 0 {
		t.Errorf("%d names, %d keys, %v, %d", len(g.names), len(g.order), g.outcomes, g.delays[0].count)
	}
	name := func(n int) string { return greylist.Key{Pair: [9]byte{byte(n), byte(n >> 8)}}.String() }
	if _, ok := g.named(name(9)); ok {
		t.Error("the tenth is still named")
	}
	if x, ok := g.named(name(10)); !ok || x.From != "a@b.example" || x.To != "r10@served.example" || x.Identity != "net:192.0.2.0/24" || x.Reference != 11 {
		t.Errorf("%+v", x)
	}
	for _, c := range []struct {
		from, to string
		keys     int
	}{{"", "R11@Served.example", 1}, {"<a@b.example>", "r11@served.example", 1}, {"a@b.example", "", namesKept}, {"<>", "", 0}, {"x@b.example", "r11@served.example", 0}} {
		if keys := g.matching(c.from, c.to); len(keys) != c.keys {
			t.Errorf("%+v: %d", c, len(keys))
		}
	}
	// Of 100 messages of new senders ten waited; of known ones one.
	for n := range 100 {
		waited, known := 0.0, 0.0
		if n%10 == 0 {
			waited = 300
		}
		if n == 50 {
			known = 120
		}
		g.Learn(greyEvent(n, "passed", "new here", waited, true))
		g.Learn(greyEvent(n, []string{"", "passed"}[n/50], filters.GreylistKnownSender, known, true))
		g.Learn(greyEvent(n, "known", "new here", 9000, false)) // not delivered in the end
	}
	for _, c := range []struct{ kind, q, want float64 }{{0, 0.5, 0}, {0, 0.95, 300}, {1, 0.5, 0}, {1, 0.95, 0}, {1, 0.999, 120}} {
		if got := g.delays[int(c.kind)].quantile(c.q); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	// Only the last thousand or so count.
	for n := range 2000 {
		g.Learn(greyEvent(n, "known", "new here", 0, true))
	}
	if got := g.delays[0].quantile(0.999); got != 0 || g.delays[0].count != 2100 {
		t.Errorf("%v of %d", got, g.delays[0].count)
	}
	g.Learn(&gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}})
}

// TestPrintWaiting is what a person reads.
func TestPrintWaiting(t *testing.T) {
	now := time.Now()
	var b strings.Builder
	printList(&b, []Waiter{
		{Key: "AAAAAAAAAAAAAAAAAAAA", Since: now, Pass: now.Add(90 * time.Second), Named: true, Name: Name{From: "a@b.example", To: "c@d.example", Client: "192.0.2.1", Reference: 5}},
		{Key: "BBBBBBBBBBBBBBBBBBBB", Since: now, Pass: now.Add(-time.Second)},
	}, now)
	for _, want := range []string{"passes in 1m30s", "<a@b.example> -> c@d.example", "192.0.2.1", gateway.ID(5).String(), "passes at its next try", "not in the log any more"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
