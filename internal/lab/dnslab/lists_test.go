package dnslab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// TestListStates asks a list in each of its states for its test points, for somebody who is listed and for somebody who is not.
func TestListStates(t *testing.T) {
	s := New(t, Text("bl.example. TXT \"the zone itself\"\n"))
	list := List{Zone: "BL.example.", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("2001:db8::/32")},
		Domains: []string{"bad.test"}, Answer: netip.MustParseAddr("127.0.0.4")}
	nibbles := "9" + strings.Repeat(".0", 23) + ".8.b.d.0.1.0.0.2"
	listed := []string{"2.0.0.127", mappedPoint('2'), "TEST", "9.2.0.192", nibbles, "bad.test", "www.bad.test"}
	free := []string{"1.0.0.127", mappedPoint('1'), "invalid", "9.100.51.198", "129.2.0.192", "good.test", "notbad.test", "1.2.3.4.5", "x" + nibbles[1:]}
	for _, state := range ListStates() {
		list.State = state
		s.SetList(list)
		for _, subject := range append(listed, free...) {
			want := ""
			is, yes := point(strings.ToLower(subject))
			switch on := yes || !is && slices.Contains(listed, subject); {
			case state == ListErrors:
				want = "127.255.255.254"
			case state == ListParked:
				want = "203.0.113.80"
			case state == ListUndocumented:
				want = "127.0.0.77"
			case state == ListWorld, state == ListWorldButPoints && !is, on && state != ListGone:
				want = "127.0.0.4"
			}
			network := "udp"
			if state == ListHuge {
				network = "tcp"
			}
			if state == ListDead || state == ListGarbage || state == ListFlaps {
				continue // below
			}
			m, err := ask(t, s, network, subject+".bl.Example.", wire.TypeA)
			if err != nil {
				t.Fatalf("%v, %s: %v", state, subject, err)
			}
			switch {
			case state == ListFails || state == ListRefuses:
				if m.Rcode != wire.RcodeServerFailure && m.Rcode != wire.RcodeRefused || len(m.Answer) > 0 {
					t.Errorf("%v, %s: %v", state, subject, m)
				}
			case state == ListHuge:
				if len(m.Answer) != 2000 {
					t.Errorf("%v, %s: %d answers", state, subject, len(m.Answer))
				}
			case want == "":
				if m.Rcode != wire.RcodeNameError || len(m.Answer) > 0 || len(m.Ns) != 1 {
					t.Errorf("%v, %s: %v", state, subject, m)
				}
			case len(m.Answer) != 1 || !strings.HasSuffix(m.Answer[0].String(), "\t"+want):
				t.Errorf("%v, %s: %v, want %s", state, subject, m, want)
			}
		}
	}
	for _, state := range []ListState{ListDead, ListGarbage} {
		list.State = state
		s.SetList(list)
		if err := briefly(s, "9.2.0.192.bl.example."); err == nil {
			t.Errorf("%v: there is an answer", state)
		}
	}
	if m, err := ask(t, s, "udp", "bl.example.", wire.TypeTXT); err != nil || len(m.Answer) != 1 {
		t.Errorf("the zone's own name: %v, %v", m, err)
	}
}

// briefly asks with little patience.
func briefly(s *Server, name string) error {
	c := wire.Client{Timeout: 50 * time.Millisecond}
	_, _, err := c.Exchange(new(wire.Msg).SetQuestion(name, wire.TypeA), s.Addr())
	return err
}

// TestListFlaps shows the turns of a list that comes and goes, the text of a listing, and what is counted.
func TestListFlaps(t *testing.T) {
	s := New(t, nil)
	list := List{Zone: "bl.test", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, State: ListFlaps}
	s.SetList(list)
	var turns strings.Builder
	for range 20 {
		c := "x"
		if briefly(s, "9.2.0.192.bl.test.") == nil {
			c = "."
		}
		turns.WriteString(c)
	}
	if got := turns.String(); got != "........xxxxxxxx...." {
		t.Errorf("turns %s", got)
	}
	list.State = ListWell
	s.SetList(list)
	for subject, want := range map[string]int{"8.2.0.192": 1, "8.100.51.198": 0} {
		m, err := ask(t, s, "udp", subject+".bl.test.", wire.TypeTXT)
		if err != nil || len(m.Answer) != want {
			t.Errorf("text of %s: %v, %v", subject, m, err)
		}
	}
	if m, err := ask(t, s, "udp", "8.2.0.192.bl.test.", wire.TypeAAAA); err != nil || len(m.Answer) != 0 || m.Rcode != 0 {
		t.Errorf("another type: %v, %v", m, err)
	}
	if queries, names := s.ListQueries("bl.test"); queries != 23 || names != 3 {
		t.Errorf("%d queries for %d names", queries, names)
	}
	if queries, _ := s.ListQueries("other.test"); queries != 0 {
		t.Errorf("another list has %d queries", queries)
	}
}

// TestListLate shows that the test points of a list may be prompt where all else is late, but for what was asked before.
func TestListLate(t *testing.T) {
	s := New(t, nil)
	s.SetList(List{Zone: "bl.test", Late: 500 * time.Millisecond})
	if err := briefly(s, "2.0.0.127.bl.test."); err != nil {
		t.Errorf("the test point: %v", err)
	}
	if err := briefly(s, "9.2.0.192.bl.test."); err == nil {
		t.Error("another is not late")
	}
	if _, err := ask(t, s, "udp", "9.2.0.192.bl.test.", wire.TypeA); err != nil {
		t.Errorf("who asks again: %v", err)
	}
	if err := briefly(s, "9.2.0.192.bl.test."); err != nil {
		t.Errorf("what was asked before: %v", err)
	}
}
