package filters

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// lists are policies' lists of the site, as the decoder makes them.
func lists(clients []ClientEntry, senders []SenderEntry, authors []AuthorEntry) map[string]Configured {
	return map[string]Configured{"access.client": {Options: &ClientEntries{clients}}, "access.sender": {Options: &SenderEntries{senders}}, "access.author": {Options: &AuthorEntries{authors}}}
}

// TestListsAgain: a record tells what a list that has become another would have found of its message, and where it does not tell, that
// it does not; what did not change is not asked for.
func TestListsAgain(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	over := Note{Expires: EntryDate{at.AddDate(0, 0, -2)}}
	year := EntryDate{at.AddDate(1, 0, 0)}
	was := []SenderEntry{{Reverse: ".dyn.example"}}
	before := lists(nil, was, nil)
	after := lists([]ClientEntry{{Network: netip.MustParsePrefix("192.0.2.0/24")}, {Network: netip.MustParsePrefix("192.0.2.128/25"), List: "allow"}, {Network: netip.MustParsePrefix("198.51.100.0/24"), Note: over}},
		append([]SenderEntry{{Helo: "bad.example"}, {Address: "@Spam.Example"}}, was...),
		[]AuthorEntry{{Address: "@partner.example", Expires: year}, {Address: "@old.example", Expires: over.Expires}})
	record := func(client, helo, from, author string, findings ...gateway.Finding) *gateway.Record {
		local, domain, _ := strings.Cut(from, "@")
		return &gateway.Record{Time: at, Stage: gateway.Data, Client: netip.MustParseAddr(client), Helo: helo, From: gateway.Address{Local: local, Domain: domain}, HeaderFrom: author, Findings: findings}
	}
	reverse := gateway.Finding{Check: "access.sender", Result: gateway.Fail, Measures: []gateway.Measure{{Name: "block", Value: 1, Text: "reverse .dyn.example"}}}
	dmarc := func(proves string, result gateway.Result, why gateway.Reason) gateway.Finding {
		return gateway.Finding{Check: "dmarc", Result: result, Reason: why, Proves: proves}
	}
	for _, c := range []struct {
		record               *gateway.Record
		client, sender, from string
	}{
		{record("192.0.2.1", "x", "", "a@b.example", dmarc("", gateway.Pass, "")), "block 192.0.2.0/24", "-", "-"},
		{record("::ffff:192.0.2.129", "BAD.example.", "", "a@b.example", dmarc("", gateway.Pass, "")), "allow 192.0.2.128/25", "block helo bad.example", "-"},
		{record("198.51.100.1", "x", "a@spam.example", "Ann <a@partner.example>", dmarc("a@partner.example", gateway.Pass, "")), "-", "block address @Spam.Example", "allow @partner.example"},
		{record("203.0.113.1", "x", "a@b.example", "a@partner.example", dmarc("", gateway.Fail, ""), reverse), "-", "block reverse .dyn.example", "unproven"},
		{record("203.0.113.1", "x", "a@b.example", "a@partner.example", dmarc("", gateway.Unknown, "")), "-", "-", "?"},
		{record("203.0.113.1", "x", "a@b.example", "a@partner.example", dmarc("", gateway.NotRun, gateway.LeftDecided)), "-", "-", "?"},
		{record("203.0.113.1", "x", "a@b.example", "a@partner.example", dmarc("", gateway.NotRun, gateway.LeftOff)), "-", "-", "unproven"},
		{record("203.0.113.1", "x", "a@b.example", "a@old.example", dmarc("a@old.example", gateway.Pass, "")), "-", "-", "-"},
	} {
		again := ListsAgain(before, after)
		for check, want := range map[string]string{"access.client": c.client, "access.sender": c.sender, "access.author": c.from} {
			f, ok := again[check](c.record)
			got := "?"
			if ok {
				got = "-"
				for _, m := range f.Measures {
					got = strings.TrimSpace(m.Name + " " + m.Text)
				}
			}
			if got != want {
				t.Errorf("%s of %+v: %s, want %s", check, c.record, got, want)
			}
		}
	}
	if again := ListsAgain(after, after); len(again) != 0 {
		t.Errorf("nothing changed, and %v", again)
	}
	if again := ListsAgain(before, lists(nil, nil, nil)); len(again) != 0 {
		t.Error("a record does not tell reverse names, and an entry for one went")
	}
	if ListedAgain(after, Listed{Check: "access.sender", Kind: "block", Value: "reverse .dyn.example"}) != nil || ListedAgain(after, Listed{Check: "access.client", Kind: "allow", Value: "192.0.2.0/24"}) != nil {
		t.Error("told of what no record tells, or of no entry")
	}
	alone := ListedAgain(after, Listed{Check: "access.client", Kind: "block", Value: "192.0.2.0/24"})
	if f, ok := alone(record("192.0.2.129", "x", "", "")); !ok || f.Result != gateway.Fail {
		t.Error("an entry alone is not asked alone")
	}
	var all []string
	for _, l := range ListedIn(after) {
		all = append(all, l.Check+" "+l.Kind+" "+l.Value)
	}
	if got := fmt.Sprint(all); got != "[access.client block 192.0.2.0/24 access.client allow 192.0.2.128/25 access.client block 198.51.100.0/24 access.sender block helo bad.example access.sender block address @Spam.Example access.sender block reverse .dyn.example access.author allow @partner.example access.author allow @old.example]" {
		t.Error(got)
	}
}
