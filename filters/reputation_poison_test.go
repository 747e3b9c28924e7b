package filters

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/limit"
	"gatepost/internal/reputation"
)

// stream is a message that comes again and again.
type stream struct {
	visit  visit
	letter letter
	times  int
}

// teach learns of one stream; see between.
func (s *street) teach(v visit, l letter, n int, since time.Duration, trusted ...gateway.Path) {
	s.t.Helper()
	s.between(since, 0, []stream{{v, l, n}}, trusted...)
}

// between learns of messages that came between two times, each stream spread over all of it.
func (s *street) between(since, until time.Duration, streams []stream, trusted ...gateway.Path) {
	s.t.Helper()
	type moment struct {
		at      time.Duration
		lessons []reputation.Lesson
	}
	var all []moment
	for _, x := range streams {
		if x.visit.to == nil {
			x.visit.to = []string{"anna@served.example"}
		}
		_, _, e := x.visit.arrive(s.t, s.d, s.pl, "reputation")
		lessons := ReputationLessons(s.event(e, x.letter), s.d.Policy, func(p gateway.Path) bool { return len(trusted) > 0 && p == trusted[0] })
		for i := range x.times {
			all = append(all, moment{-since + time.Duration(i)*(since-until)/time.Duration(x.times), lessons})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	now := time.Now()
	for _, m := range all {
		if _, err := s.store.Learn(s.t.Context(), m.lessons, now.Add(m.at)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// standing is what the street thinks of a subject now.
func (s *street) standing(subject string) reputation.Standing {
	s.t.Helper()
	of, err := reputation.Parse(subject)
	if err != nil || len(of) != 1 {
		s.t.Fatal(subject, err)
	}
	return s.d.Reputation.Own(of[0]).At(time.Now()).Standing
}

// finds is what the check finds of a visit, and how limits see its client.
func (s *street) finds(v visit) (string, limit.Reputation) {
	s.t.Helper()
	f, _, e := v.arrive(s.t, s.d, s.pl, "reputation")
	return strings.Join(measured(f), ","), s.d.standing(e.Session)
}

const aDay = 24 * time.Hour

// TestPoison are the rows of docs/decisions/024-reputation.md: what an attacker can do to somebody else's reputation, what he
// can make of his own, and what one of many does to all.
func TestPoison(t *testing.T) {
	names := village(t)
	victim := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>"}
	attacker := visit{client: "198.51.100.66", helo: "evil.example", from: "<a@evil.example>"}
	good, spam := letter{dmarc: "pass"}, letter{dmarc: "pass", spamd: 9}
	exists := answers{"anna@served.example": {Kind: recipients.Known}, "nobody@served.example": {Kind: recipients.Unknown}}
	as := func(v visit, from string) visit { v.from = from; return v }
	at := func(v visit, client string) visit { v.client = client; return v }
	to := func(v visit, rcpts ...string) visit { v.to = rcpts; return v }
	all := func(s *street, want reputation.Standing, subjects ...string) {
		t.Helper()
		for _, subject := range subjects {
			if got := s.standing(subject); got != want {
				s.t.Errorf("%s is %s, not %s", subject, got, want)
			}
		}
	}
	thinks := func(s *street, v visit, measure string, limits limit.Reputation) {
		t.Helper()
		if got, how := s.finds(v); got != measure || how != limits {
			s.t.Errorf("finds %q and the limits of %s, not %q and %s", got, how, measure, limits)
		}
	}
	decision, err := os.ReadFile("../docs/decisions/024-reputation.md")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(s *street){
		"forges MAIL FROM and From": func(s *street) {
			s.teach(victim, good, 12, 6*aDay)
			s.teach(as(attacker, "<a@good.example>"), letter{dmarc: "fail", spamd: 9}, 200, aDay)
			all(s, reputation.Known, "client:192.0.2.1", "organisation:good.example", "domain:good.example")
			all(s, reputation.Bad, "client:198.51.100.66")
			thinks(s, victim, "good", limit.Known)
		},
		"sends a signed message of somebody again, to everybody and to nobody": func(s *street) {
			s.teach(victim, good, 12, 6*aDay)
			s.teach(as(attacker, "<a@good.example>"), letter{dmarc: "pass", byDKIM: true, spamd: 9}, 200, aDay)
			s.teach(to(as(attacker, "<a@good.example>"), "nobody@served.example"), letter{}, 200, aDay)
			all(s, reputation.Known, "domain:good.example")
			all(s, reputation.Bad, "client:198.51.100.66")
		},
		"sends from the network of somebody": func(s *street) {
			s.teach(victim, good, 12, 6*aDay)
			s.teach(at(attacker, "192.0.2.9"), letter{dmarc: "none", spamd: 9}, 200, aDay)
			all(s, reputation.Bad, "network:192.0.2.0/24", "client:192.0.2.9")
			thinks(s, victim, "good", limit.Known)
			thinks(s, at(as(victim, "<a@two.example>"), "192.0.2.8"), "near", limit.Unknown)
		},
		"names his host as somebody's": func(s *street) {
			s.teach(victim, good, 12, 6*aDay)
			s.teach(at(attacker, "192.0.2.5"), letter{dmarc: "none", spamd: 9}, 200, aDay) // its PTR says mail.good.example
			all(s, reputation.Known, "organisation:good.example")
			thinks(s, at(as(victim, "<a@two.example>"), "192.0.2.5"), "bad", limit.Bad)
		},
		"rents a host beside somebody's": func(s *street) {
			s.teach(at(attacker, "192.0.2.4"), letter{dmarc: "none", spamd: 9}, 200, aDay)
			all(s, reputation.Unknown, "organisation:host.example")
		},
		"shares the host of somebody": func(s *street) {
			s.teach(victim, good, 12, 6*aDay)
			s.teach(as(victim, "<a@two.example>"), spam, 200, aDay)
			all(s, reputation.Known, "domain:good.example")
			thinks(s, victim, "", limit.Bad)
			thinks(s, as(victim, "<a@two.example>"), "bad", limit.Bad)
		},
		"has taken over a forgotten subdomain of somebody": func(s *street) {
			s.between(6*aDay, 0, []stream{{victim, good, 12}, {as(attacker, "<a@old.good.example>"), spam, 600}})
			all(s, reputation.Bad, "domain:good.example", "client:198.51.100.66")
			thinks(s, victim, "", limit.Known) // whose own host is known
			thinks(s, as(attacker, "<a@old.good.example>"), "bad", limit.Bad)
		},
		"sends for somebody whose record lets many pass": func(s *street) {
			s.teach(as(at(attacker, "192.0.2.9"), "<a@many.example>"), spam, 200, aDay)
			all(s, reputation.Bad, "domain:many.example")
			thinks(s, as(victim, "<a@many.example>"), "near", limit.Unknown) // for the network, not for the domain
		},
		"sends for somebody whose record lets all pass": func(s *street) {
			s.teach(as(attacker, "<a@all.example>"), spam, 200, aDay)
			all(s, reputation.Unknown, "domain:all.example")
		},
		"has bounces sent to whom he forged": func(s *street) {
			s.between(6*aDay, 0, []stream{{victim, good, 12}, {to(as(victim, "<>"), "nobody@served.example"), letter{}, 500},
				{as(victim, "<>"), letter{dmarc: "none", spamd: 9}, 12}})
			if got := s.standing("client:192.0.2.1"); got == reputation.Bad {
				s.t.Errorf("is %s", got)
			}
		},
		"has a forwarder hand on his spam": func(s *street) {
			way := gateway.Path{Host: "good.example", Told: "list:dev"}
			s.between(6*aDay, 0, []stream{{victim, letter{dmarc: "pass", path: way}, 60}, {victim, letter{dmarc: "fail", path: way, spamd: 9}, 60}}, way)
			all(s, reputation.Unknown, "client:192.0.2.1", "organisation:good.example")
		},
		"claims a way that nobody trusts": func(s *street) {
			s.teach(attacker, letter{dmarc: "fail", path: gateway.Path{Host: "evil.example", Told: "list:x"}, spamd: 9}, 10, aDay)
			all(s, reputation.Bad, "client:198.51.100.66")
		},
		"subscribes addresses that do not exist to a letter": func(s *street) {
			s.between(6*aDay, 0, []stream{{victim, good, 60}, {to(victim, "nobody@served.example"), letter{}, 120}})
			if got := s.standing("client:192.0.2.1"); got == reputation.Bad {
				s.t.Errorf("is %s", got)
			}
		},
		"is good for a day, a lot": func(s *street) {
			s.teach(attacker, good, 1000, 12*time.Hour)
			all(s, reputation.Unknown, "client:198.51.100.66", "domain:evil.example")
		},
		"is good for a week, and spends it": func(s *street) {
			s.teach(attacker, good, 42, 7*aDay)
			thinks(s, attacker, "good", limit.Known)
			sent := 0
			for ; s.standing("client:198.51.100.66") == reputation.Known; sent++ {
				s.teach(attacker, spam, 1, 0)
			}
			if sent > 3 {
				s.t.Errorf("%d of spam before it is no longer known", sent)
			}
			thinks(s, attacker, "", limit.Unknown)
			for ; s.standing("client:198.51.100.66") != reputation.Bad; sent++ {
				s.teach(attacker, spam, 1, 0)
			}
			if sent > 12 { // what it sent of good mail in the last days
				s.t.Errorf("%d of spam before it is bad", sent)
			}
			thinks(s, attacker, "bad", limit.Bad)
			s.teach(attacker, good, 1, 0)
			thinks(s, attacker, "bad", limit.Bad) // one good one does not buy it back
		},
		"is good while nothing is scanned, or next to spam": func(s *street) {
			s.teach(attacker, letter{dmarc: "pass", unscaned: true}, 100, 7*aDay)
			s.teach(attacker, letter{dmarc: "pass", spamd: 2}, 100, 7*aDay)
			s.teach(attacker, letter{dmarc: "pass", again: true}, 100, 7*aDay)
			all(s, reputation.Unknown, "client:198.51.100.66", "domain:evil.example")
		},
		"takes another address for each message": func(s *street) {
			for i := range 12 {
				s.teach(at(attacker, fmt.Sprintf("2001:db8:5:%x::1", i)), letter{dmarc: "none", spamd: 9}, 1, 0)
			}
			all(s, reputation.Bad, "network:2001:db8:5::/48")
			thinks(s, at(attacker, "2001:db8:5:99::1"), "near", limit.Unknown)
		},
		"takes another host for each message, for his own domain": func(s *street) {
			for i := range 12 {
				s.teach(as(at(attacker, fmt.Sprintf("192.0.2.%d", 100+i)), "<a@good.example>"), spam, 1, 0)
			}
			all(s, reputation.Bad, "domain:good.example")
			thinks(s, at(victim, "192.0.2.200"), "bad", limit.Unknown)
		},
		"has one account of a provider's thousands": func(s *street) {
			s.between(5*aDay, aDay, []stream{{victim, good, 4000}, {victim, spam, 40}})
			all(s, reputation.Known, "client:192.0.2.1", "organisation:good.example", "domain:good.example")
			s.between(aDay, 0, []stream{{victim, good, 1000}, {victim, spam, 400}})
			all(s, reputation.Unknown, "client:192.0.2.1", "organisation:good.example", "domain:good.example")
			thinks(s, victim, "", limit.Unknown)
		},
		"is bad, and what is said of it feeds itself": func(s *street) {
			s.teach(attacker, spam, 10, aDay)
			thinks(s, attacker, "bad", limit.Bad)
			before := s.d.Reputation.Own(reputation.ClientOf(netipOf(attacker.client)))
			s.teach(attacker, letter{dmarc: "pass", spamd: 2}, 50, 0) // with two points for its past, and two for no reverse name, it is tagged
			if now := s.d.Reputation.Own(reputation.ClientOf(netipOf(attacker.client))); now != before {
				s.t.Errorf("%s", now.Tell(time.Now()))
			}
		},
	}
	_, table, _ := strings.Cut(string(decision), "\n| He | So |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if rows := strings.Count(table, "\n|"); rows != len(cases) {
		t.Errorf("the decision has %d rows, of %d cases", rows, len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(table, "\n| "+name+" | ") {
				t.Error("the decision does not tell of it")
			}
			s := newStreet(t, "[checks.greylist]\naction = \"off\"\n", &Deps{Resolver: patient(t, names), Recipients: exists})
			c(s)
		})
	}
}
