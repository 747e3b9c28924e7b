package filters

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	learned "gatepost/internal/memory"
)

// days lets mail come over days, each message judged with what was learned of those before, and learned in its turn.
type days struct {
	t     *testing.T
	zones instant
	known *learned.Known
}

// arrive judges one message and returns reason and outcome.
func (d *days) arrive(client, path, header string) string {
	d.t.Helper()
	deps := &Deps{Resolver: d.zones, Known: d.known, Only: []string{"dmarc"}}
	if d.zones == nil {
		deps.Resolver = silent{}
	}
	pl := build(d.t, "", deps)
	e := dataOf(d.t, header+"\r\ntext\r\n")
	e.From = mailFrom(d.t, path)
	s := from(client, "mx.example")
	s.Snapshot = &gateway.Snapshot{Policy: deps.Policy, Pipeline: pl}
	v := pl.Run(d.t.Context(), gateway.Data, input(s, e))
	record := gateway.NewRecord(gateway.Data, s, e)
	reply := gateway.Reply{Code: 250}
	if v.Outcome.Refuses() {
		reply = v.Reply
	}
	d.known.Learn(&gateway.Event{Kind: gateway.TransactionEvent, Record: record, Verdict: v, Reply: reply})
	return fmt.Sprint(e.Findings[len(e.Findings)-1].Reason, " ", v.Outcome)
}

// TestHintIsNoWayForEver: a spammer with a domain and a host of his own writes List-Id into forged mail of a bank, a new one
// each day. For 30 days it is kept in quarantine; after that it is refused. What comes without a hint is refused at once.
func TestHintIsNoWayForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &days{t: t, known: learned.NewKnown(learned.KnownOptions{}), zones: instant{"evil.example": "v=spf1 ip4:192.0.2.1 -all", "m0.evil.example": "v=spf1 ip4:192.0.2.1 -all", "_dmarc.bank.example": "v=DMARC1; p=reject"}}
		for day := range 60 {
			if got := d.arrive("192.0.2.1", "<x@evil.example>", "From: info@bank.example\r\n"); got != "dmarc.reject reject" {
				t.Fatalf("day %d, no hint: %s", day, got)
			}
			want := "dmarc.indirect quarantine"
			if day >= 30 {
				want = "dmarc.reject reject"
			}
			header := fmt.Sprintf("From: info@bank.example\r\nList-Id: <list%d.evil.example>\r\n", day)
			if got := d.arrive("192.0.2.1", fmt.Sprintf("<x@m%d.evil.example>", day), header); got != want {
				t.Fatalf("day %d: %s, want %s", day, got, want)
			}
			d.zones[fmt.Sprintf("m%d.evil.example", day+1)] = "v=spf1 ip4:192.0.2.1 -all"
			time.Sleep(24 * time.Hour)
		}
	})
}

// TestOutage: while DNS is silent the mail of a bank that was known for a week waits for four hours, and then passes marked;
// that of a domain that asked for nothing never waits; nor does the bank's before a week has gone.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones := instant{"_dmarc.bank.example": "v=DMARC1; p=reject", "_dmarc.shop.example": "v=DMARC1; p=none"}
		d := &days{t: t, known: learned.NewKnown(learned.KnownOptions{}), zones: maps.Clone(zones)}
		bank, shop := "From: info@bank.example\r\n", "From: info@shop.example\r\n"
		out := func(want string) {
			t.Helper()
			d.zones = nil
			if got := d.arrive("192.0.2.1", "<>", bank); got != want {
				t.Errorf("bank: %s, want %s", got, want)
			}
			if got := d.arrive("192.0.2.1", "<>", shop); got != "dns.failed accept" {
				t.Errorf("shop: %s", got)
			}
			d.zones = maps.Clone(zones)
		}
		d.arrive("192.0.2.1", "<>", bank)
		d.arrive("192.0.2.1", "<>", shop)
		out("dns.failed accept")
		time.Sleep(8 * 24 * time.Hour)
		d.arrive("192.0.2.1", "<>", bank)
		out("dmarc.held defer")
		time.Sleep(3 * time.Hour)
		out("dmarc.held defer")
		time.Sleep(2 * time.Hour)
		out("dns.failed accept")
		d.arrive("192.0.2.1", "<>", bank) // DNS is back
		time.Sleep(time.Hour)
		out("dmarc.held defer")
		time.Sleep(time.Hour)
		d.zones["_dmarc.bank.example"] = "v=DMARC1; p=none"
		d.arrive("192.0.2.1", "<>", bank) // it asks for nothing any more
		out("dns.failed accept")
	})
}
