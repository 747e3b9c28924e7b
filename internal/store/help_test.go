package store

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gatepost/gateway"
)

// ids gives out ids at a chosen time.
type ids struct{ n uint64 }

func (g *ids) at(t time.Time) gateway.ID {
	g.n++
	return gateway.ID(uint64(t.UnixMilli())<<20 | g.n&0xfffff)
}

func addr(text string) gateway.Address {
	var a gateway.Address
	_ = a.UnmarshalText([]byte(text)) // never fails
	return a
}

func policy() *gateway.Policy {
	return &gateway.Policy{
		Version:    "4f2a91",
		Thresholds: gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 15},
		Checks: map[string]gateway.CheckPolicy{
			"rdns":   {Action: gateway.ActionScore, Unknown: gateway.ActionPass, Prices: map[string]float64{"no_ptr": 2}},
			"helo":   {Action: gateway.ActionScore, Prices: map[string]float64{"mismatch": 1}},
			"sender": {Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
			"rcpt":   {Class: gateway.ClassRecipient, Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
			"clamav": {Class: gateway.ClassMalware, Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
			"spamassassin": {Action: gateway.ActionScore, Unknown: gateway.ActionTag, Total: "spamd",
				Ignore: []string{"DKIM_*", "SPF_*"}, Prices: map[string]float64{"spamd": 1}},
		},
		Domains: map[string]*gateway.Domain{"one.example": {Name: "one.example", Route: "main"}},
	}
}

// transaction makes an event as a real message leads to it.
func transaction(g *ids, t time.Time, from, to string) *gateway.Event {
	session := g.at(t)
	r := &gateway.Record{ID: g.at(t), Session: session, Time: t.UTC().Truncate(time.Millisecond), Stage: gateway.Data, Listener: "mx",
		Client: netip.MustParseAddr("192.0.2.25"), TLS: "TLS1.3", Helo: "mail.sender.example", From: addr(from), Size: 10240,
		HeaderFrom: "Ann Sender <" + from + ">", Rcpts: []gateway.RecordRcpt{{To: addr(to), Route: "main", Code: 250}}}
	add := func(check string, stage gateway.Stage, f gateway.Finding) {
		f.Check, f.Stage, f.Rcpt, f.Took = check, stage, -1, 1234*time.Microsecond
		r.Findings = append(r.Findings, f)
	}
	add("access", gateway.Connect, gateway.Passed())
	add("rdns", gateway.Connect, gateway.Failed(gateway.RDNSNone, "192.0.2.25").With(gateway.Yes("no_ptr")).Show("dns", "25.2.0.192.in-addr.arpa PTR: NXDOMAIN"))
	add("helo", gateway.Helo, gateway.Passed())
	add("sender", gateway.Mail, gateway.Passed().Show("dns", "sender.example MX: 10 mail.sender.example"))
	add("rcpt", gateway.Rcpt, gateway.Passed().Show("reply", "250 2.1.5 Ok"))
	r.Findings[4].Rcpt = 0
	add("shape", gateway.Data, gateway.Passed())
	add("clamav", gateway.Data, gateway.Passed().Show("scanner", "ClamAV 1.4.3/27600"))
	add("spamassassin", gateway.Data, gateway.Passed(gateway.Measure{Name: "spamd", Value: 3.2},
		gateway.Measure{Name: "rule", Value: 1.1, Text: "DKIM_ADSP_NXDOMAIN"}, gateway.Measure{Name: "rule", Value: 0.5, Text: "HTML_MESSAGE"},
		gateway.Measure{Name: "rule", Value: 1.6, Text: "MISSING_MID"}).Show("rules", "DKIM_ADSP_NXDOMAIN,HTML_MESSAGE,MISSING_MID"))
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Verdict: policy().Judge(r), Policy: "4f2a91",
		Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 4ABC. Reference " + r.ID.String()}, Took: 420 * time.Millisecond,
		Session: gateway.Summary{Client: netip.MustParseAddrPort("192.0.2.25:41000"), Transactions: 1, Commands: 5},
		Subject: "Invoice 4711", MessageID: fmt.Sprintf("<%d@sender.example>", r.ID),
		Relayed: &gateway.Relayed{Result: gateway.Delivered, Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 4ABC"},
			NextHop: "192.0.2.10:25", Said: "250 2.0.0 Ok: queued as 4ABC", At: "dot", Took: 80 * time.Millisecond},
		Replies: []gateway.Reply{{Code: 250, Enhanced: "2.1.5", Text: "Recipient noted"}},
		Removed: []string{"X-Spam-Status: No"}, ScannedBy: []string{"ClamAV 1.4.3/27600", "SpamAssassin 4.0.0"}}
	for _, f := range r.Findings {
		e.Evidence = append(e.Evidence, f.Evidence)
	}
	return e
}

// connection makes the event of a connection that began no transaction.
func connection(g *ids, t time.Time, client string, o gateway.Outcome) *gateway.Event {
	id := g.at(t)
	r := &gateway.Record{ID: id, Session: id, Time: t.UTC().Truncate(time.Millisecond), Client: netip.MustParseAddr(client),
		Listener: "mx", Helo: "x"}
	return &gateway.Event{Kind: gateway.ConnectionEvent, Record: r, Verdict: gateway.Verdict{Decision: gateway.Decision{Outcome: o}},
		Session: gateway.Summary{Client: netip.AddrPortFrom(r.Client, 4000), End: gateway.EndQuit, Commands: 2}}
}

func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

func flush(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute) // tens of thousands of events, maybe on a busy machine
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func bounded30(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func write(t testing.TB, l *Log, events ...*gateway.Event) {
	t.Helper()
	for _, e := range events {
		if !l.Write(e) {
			t.Fatalf("event %s found no room", e.Record.ID)
		}
	}
	flush(t, l)
}

// idle makes a Log that nobody writes, and its writer.
func idle(t testing.TB, o Options) (*Log, *writer) {
	t.Helper()
	o.Dir = t.TempDir()
	l, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{l: l, open: map[day]*dayFile{}}
	t.Cleanup(func() {
		for d := range w.open {
			w.close(d)
		}
	})
	return l, w
}

// put writes events at once.
func put(t testing.TB, w *writer, events ...*gateway.Event) {
	t.Helper()
	for _, e := range events {
		if !w.l.Write(e) {
			t.Fatalf("event %s found no room", e.Record.ID)
		}
	}
	w.drain(true)
}

// closeDays makes the index of all that is in the files.
func closeDays(t testing.TB, l *Log) (n int) {
	t.Helper()
	files, err := list(l.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		did, err := (&closer{l: l}).close(bounded30(t), f.path)
		if err != nil {
			t.Fatal(err)
		}
		n += did
	}
	return n
}
