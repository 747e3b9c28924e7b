package filters

import (
	"net/netip"
	"slices"

	"gatepost/gateway"
	"gatepost/internal/author"
)

// Again is what a list of the site would have found of a message, told by what is recorded of it alone: what-if asks it. ok is false
// where the record does not tell.
type Again func(r *gateway.Record) (f gateway.Finding, ok bool)

// ListsAgain are those checks, by name, whose options differ between two policies and whose findings a record tells under the
// second. Whoever judges by it finds what the check would have found.
func ListsAgain(now, next map[string]Configured) map[string]Again {
	out := map[string]Again{}
	if a, b := clientEntries(now), clientEntries(next); !slices.Equal(a.Entries, b.Entries) {
		out["access.client"] = b.again
	}
	if a, b := senderEntries(now), senderEntries(next); !slices.Equal(a.Entries, b.Entries) && slices.Equal(a.reverse(), b.reverse()) {
		out["access.sender"] = b.compile().again
	}
	if a, b := authorEntries(now), authorEntries(next); !slices.Equal(a.Entries, b.Entries) {
		out["access.author"] = b.compile().again
	}
	return out
}

// ListedAgain is what the list of a check finds that has no other entry than one, as ListedIn names it; nil where a policy has no
// such entry, or a record never tells: verified reverse names are in none.
func ListedAgain(configured map[string]Configured, x Listed) Again {
	has := func(only any) bool {
		return slices.ContainsFunc(ListedIn(map[string]Configured{x.Check: {Options: only}}), x.same)
	}
	switch x.Check {
	case "access.client":
		for _, e := range clientEntries(configured).Entries {
			if only := (&ClientEntries{Entries: []ClientEntry{e}}); has(only) {
				return only.again
			}
		}
	case "access.sender":
		for _, e := range senderEntries(configured).Entries {
			if only := (&SenderEntries{Entries: []SenderEntry{e}}); e.Reverse == "" && has(only) {
				return only.compile().again
			}
		}
	case "access.author":
		for _, e := range authorEntries(configured).Entries {
			if only := (&AuthorEntries{Entries: []AuthorEntry{e}}); has(only) {
				return only.compile().again
			}
		}
	}
	return nil
}

func (l Listed) same(o Listed) bool {
	return l.Check == o.Check && l.Kind == o.Kind && l.Value == o.Value
}

// again is what is found of the client of a record.
func (o *ClientEntries) again(r *gateway.Record) (gateway.Finding, bool) {
	return o.find(&gateway.Session{Client: netip.AddrPortFrom(r.Client, 0), Started: r.Time}), r.Client.IsValid()
}

// reverse are the entries about verified reverse names.
func (o *SenderEntries) reverse() (out []SenderEntry) {
	for _, e := range o.Entries {
		if e.Reverse != "" {
			out = append(out, e)
		}
	}
	return out
}

// again is what is found of the names in a record. What an entry for a verified reverse name found is taken for what it would find.
func (rules senderRules) again(r *gateway.Record) (gateway.Finding, bool) {
	found := ""
	for _, f := range r.Find("access.sender") {
		for _, m := range f.Measures {
			found = m.Text
		}
	}
	for i := range rules {
		rule := &rules[i]
		if rule.entry.over(r.Time) {
			continue
		}
		what := ""
		switch {
		case rule.helo != "" && nameMatches(rule.helo, r.Helo):
			what = "your HELO name"
		case rule.isAddress && rule.matches(r.From):
			what = "the sender address"
		case rule.reverse != "" && rule.shown == found:
			what = "your host name"
		}
		if what != "" {
			return rule.blocks(what), true
		}
	}
	return gateway.Passed(), true
}

// again is what is found of the author in a record: what DMARC proved then is in it.
func (rules authorRules) again(r *gateway.Record) (gateway.Finding, bool) {
	from := author.Of([]byte("From: "+r.HeaderFrom+"\r\n"), true)
	hit, over := rules.hit(&from, r.Time)
	if hit == nil || over {
		return gateway.Passed(), r.HeaderFrom != "" || r.Stage == gateway.Data
	}
	for _, f := range r.Find(gateway.DMARCCheck) {
		switch {
		case f.Proves != "":
			return hit.allows(), true
		case f.Result == gateway.Pass, f.Result == gateway.Fail, f.Result == gateway.NotRun && f.Reason == gateway.LeftOff:
			return hit.unproven(), true
		}
	}
	return gateway.Passed(), false
}
