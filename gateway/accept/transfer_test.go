package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/ledger"
)

// address is a mailbox of the served domain.
func address(local string) gateway.Address {
	return gateway.Address{Text: local + "@example.org", Local: local, Domain: "example.org"}
}

// rcpts replaces the recipients: each is verified and stands for itself, or for those behind "=".
func rcpts(e *gateway.Envelope, all ...string) *gateway.Envelope {
	e.Rcpts = nil
	for _, text := range all {
		name, to, is := strings.Cut(text, "=")
		r := gateway.Recipient{Address: address(name), Route: "r", Reply: gateway.Reply{Code: 250}, Verified: true}
		if is {
			r.To = []gateway.Address{}
			for final := range strings.SplitSeq(to, "+") {
				r.To = append(r.To, address(final))
			}
		}
		e.Rcpts = append(e.Rcpts, r)
	}
	return e
}

// at is a relay that ends at a step.
func at(result gateway.RelayResult, step, said string, codes ...int) gateway.Relayed {
	r := gateway.Relayed{Result: result, At: step, Said: said, Reply: gateway.Reply{Code: 451, Enhanced: "4.0.0", Text: "said"}}
	if result == gateway.RefusedByHop {
		r.Reply = gateway.Reply{Code: 550, Enhanced: "5.0.0", Text: "said"}
	}
	for _, code := range codes {
		r.Rcpts = append(r.Rcpts, gateway.Reply{Code: code})
	}
	return r
}

var yes = gateway.Relayed{Result: gateway.Delivered}

// hops answers one relay after the other.
type hops struct {
	answers []gateway.Relayed
	got     [][]string // recipients of each
	named   []string
	late    []func(gateway.Relayed)
}

func (h *hops) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h *hops) Relay(_ context.Context, d *gateway.Delivery) gateway.Relayed {
	var to []string
	for i := range d.Rcpts {
		to = append(to, d.Rcpts[i].Address.Local)
		h.named = append(h.named, d.Rcpts[i].Named.Local)
	}
	h.got = append(h.got, to)
	h.late = append(h.late, d.Late)
	return h.answers[len(h.got)-1]
}

// TestRetries plays the attempts of a sender at one message: what each is told, and to whom it is relayed. The sender hears
// no reply, but for where a test says so.
func TestRetries(t *testing.T) {
	lmtp := func(codes ...int) gateway.Relayed { return at(gateway.MixedByHop, gateway.AtDot, "", codes...) }
	tests := []struct {
		name  string
		rcpts [][]string // of each attempt; the last again for further ones
		hop   []gateway.Relayed
		told  []int
		got   string
	}{
		{"each address once", [][]string{{"a", "a", "b"}}, []gateway.Relayed{yes}, []int{250}, "[[a b]]"},
		{"aliases, each final address once", [][]string{{"team=a+b", "b", "boss=b+c"}}, []gateway.Relayed{yes}, []int{250}, "[[a b c]]"},
		{"a retry is not relayed", [][]string{{"a", "b"}}, []gateway.Relayed{yes}, []int{250, 250, 250}, "[[a b]]"},
		{"nor one for less of them", [][]string{{"a", "b"}, {"b"}}, []gateway.Relayed{yes}, []int{250, 250}, "[[a b]]"},
		{"one for more is relayed to these", [][]string{{"a"}, {"a", "b"}}, []gateway.Relayed{yes, yes}, []int{250, 250}, "[[a] [b]]"},
		{"an alias of whom has it", [][]string{{"a"}, {"team=a+b"}}, []gateway.Relayed{yes, yes}, []int{250, 250}, "[[a] [b]]"},
		{"LMTP: some have it", [][]string{{"a", "b", "c"}}, []gateway.Relayed{lmtp(250, 452, 250), yes}, []int{451, 250, 250}, "[[a b c] [b]]"},
		{"LMTP: the other is refused, and named no more", [][]string{{"a", "b"}, {"a"}}, []gateway.Relayed{lmtp(250, 550)}, []int{451, 250}, "[[a b]]"},
		{"LMTP: the other is refused, though named again", [][]string{{"a", "b"}}, []gateway.Relayed{lmtp(250, 550), at(gateway.RefusedByHop, gateway.AtDot, "")}, []int{451, 451}, "[[a b] [b]]"},
		{"LMTP: mixed twice", [][]string{{"a", "b", "c"}}, []gateway.Relayed{lmtp(452, 250, 452), lmtp(250, 452), yes}, []int{451, 451, 250}, "[[a b c] [a c] [c]]"},
		{"mixed at RCPT is nobody's", [][]string{{"a", "b"}}, []gateway.Relayed{at(gateway.MixedByHop, gateway.AtRcpt, "", 250, 550), yes}, []int{451, 250}, "[[a b] [a b]]"},
		{"deferred, unknown, not reached, then taken", [][]string{{"a"}}, []gateway.Relayed{at(gateway.DeferredByHop, gateway.AtDot, ""), at(gateway.OutcomeUnknown, gateway.AtDot, ""),
			at(gateway.NotDelivered, gateway.AtDial, ""), yes}, []int{451, 451, 451, 250, 250}, "[[a] [a] [a] [a]]"},
		{"refused", [][]string{{"a"}}, []gateway.Relayed{at(gateway.RefusedByHop, gateway.AtDot, ""), yes}, []int{550, 250}, "[[a] [a]]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &hops{answers: tt.hop}
			a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")})}
			for n, want := range tt.told {
				before := len(h.got)
				r := a.Deliver(t.Context(), rcpts(envelope(h, message), tt.rcpts[min(n, len(tt.rcpts)-1)]...), &gateway.Verdict{})
				if r.Reply.Code != want {
					t.Errorf("attempt %d is told %s, want %d", n+1, r.Reply, want)
				}
				if r.Again != (len(h.got) == before && want == 250) || (r.Claim != nil) != (want == 250) {
					t.Errorf("attempt %d: again %v, claim %v", n+1, r.Again, r.Claim)
				}
				if r.Relayed != nil && len(r.Relayed.Rcpts) != len(r.Relayed.To) {
					t.Errorf("attempt %d: %d replies about %v", n+1, len(r.Relayed.Rcpts), r.Relayed.To)
				}
				if r.Claim != nil {
					r.Claim.Heard(false)
				}
			}
			if got := fmt.Sprint(h.got); got != tt.got {
				t.Errorf("relayed to %s, want %s", got, tt.got)
			}
		})
	}
}

// TestNamed shows that the next hop's recipients carry what the sender named, where that is another address.
func TestNamed(t *testing.T) {
	h := &hops{answers: []gateway.Relayed{yes}}
	(&Acceptor{}).Deliver(t.Context(), rcpts(envelope(h, message), "team=a+b", "c"), &gateway.Verdict{})
	if got := strings.Join(h.named, ","); got != "team,team," {
		t.Errorf("%q", got)
	}
}

// TestManyRecipients shows that many recipients and aliases of many are held against each other as few are.
func TestManyRecipients(t *testing.T) {
	var all, want []string
	for n := range 300 {
		all = append(all, fmt.Sprintf("r%d=x%d+x%d+y%d", n, n%40, n, n%7))
	}
	for _, r := range all {
		_, to, _ := strings.Cut(r, "=")
		for final := range strings.SplitSeq(to, "+") {
			if !slices.Contains(want, final) {
				want = append(want, final)
			}
		}
	}
	h := &hops{answers: []gateway.Relayed{yes, yes}}
	(&Acceptor{}).Deliver(t.Context(), rcpts(envelope(h, message), all...), &gateway.Verdict{})
	(&Acceptor{}).Deliver(t.Context(), rcpts(envelope(h, message), "few="+strings.Join(want, "+"), "few="+strings.Join(want, "+")), &gateway.Verdict{})
	if !slices.Equal(h.got[0], want) || !slices.Equal(h.got[1], want) {
		t.Errorf("%d and %d recipients, want %d", len(h.got[0]), len(h.got[1]), len(want))
	}
}

// TestHeardIsForgotten shows that what a sender read may come again as another message.
func TestHeardIsForgotten(t *testing.T) {
	h := &hops{answers: []gateway.Relayed{yes, yes}}
	a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")})}
	for range 2 {
		a.Deliver(t.Context(), rcpts(envelope(h, message), "a"), &gateway.Verdict{}).Claim.Heard(true)
	}
	if len(h.got) != 2 {
		t.Errorf("%d relays", len(h.got))
	}
}

// TestNeverInTheLedger shows that mail that cannot be told from other mail is always relayed.
func TestNeverInTheLedger(t *testing.T) {
	for _, text := range []string{"From: a\r\nDate: now\r\n\r\nalarm\r\n", "From: a\r\nMessage-ID: <1@y>\r\n\r\nalarm\r\n", "Message-ID:\r\nDate: now\r\n\r\nalarm\r\n", "alarm\r\n"} {
		h := &hops{answers: []gateway.Relayed{yes, yes}}
		a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")})}
		for range 2 {
			if r := a.Deliver(t.Context(), rcpts(envelope(h, text), "a"), &gateway.Verdict{}); r.Reply.Code != 250 || r.Claim != nil || r.Again {
				t.Errorf("%q: %+v", text, r)
			}
		}
		if len(h.got) != 2 {
			t.Errorf("%q: %d relays", text, len(h.got))
		}
	}
}

// TestLateAnswers shows what an answer means that comes when the sender was told 451 already.
func TestLateAnswers(t *testing.T) {
	unknown := at(gateway.OutcomeUnknown, gateway.AtDot, "")
	unknown.Late = true
	for _, tt := range []struct {
		name  string
		late  *gateway.Relayed
		after time.Duration
		code  int
		calls int
	}{
		{"250 after all", &yes, time.Minute, 250, 1},
		{"451 after all", &gateway.Relayed{Result: gateway.DeferredByHop}, time.Minute, 250, 2},
		{"nothing ever", nil, gateway.Listen, 250, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hops{answers: []gateway.Relayed{unknown, yes}}
				a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")})}
				if r := a.Deliver(t.Context(), rcpts(envelope(h, message), "a"), &gateway.Verdict{}); r.Reply.Code != 451 || r.Claim != nil {
					t.Fatalf("%+v", r)
				}
				if say := h.late[0]; tt.late != nil {
					time.AfterFunc(tt.after, func() { say(*tt.late); say(unknown) }) // twice by mistake
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				r := a.Deliver(ctx, rcpts(envelope(h, message), "a"), &gateway.Verdict{})
				if r.Reply.Code != tt.code || len(h.got) != tt.calls || time.Since(began) != tt.after {
					t.Errorf("the retry is told %s after %v, %d relays", r.Reply, time.Since(began), len(h.got))
				}
				r.Claim.Heard(true)
			})
		})
	}
}

// TestRetryOutlastsItself shows that a retry that waits for an earlier attempt until its own time is over is told to come
// again, and is neither relayed nor spooled: the earlier attempt may yet succeed.
func TestRetryOutlastsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := at(gateway.OutcomeUnknown, gateway.AtDot, "")
		unknown.Late = true
		h := &hops{answers: []gateway.Relayed{unknown}}
		s := &spoolPort{}
		a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")}), Spool: s}
		for range 2 {
			e := rcpts(envelope(h, message), "a")
			e.Session.Snapshot.Spools = map[string]bool{"r": true}
			if r := a.Deliver(t.Context(), e, &gateway.Verdict{}); r.Reply.Code != 451 {
				t.Errorf("%s", r.Reply)
			}
		}
		if len(h.got) != 1 || len(s.put) > 0 {
			t.Errorf("%d relays, %d spooled", len(h.got), len(s.put))
		}
		h.late[0](yes)
		synctest.Wait()
	})
}

// TestPanicEndsTheClaim shows that a fault lets those go on that wait.
func TestPanicEndsTheClaim(t *testing.T) {
	a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")})}
	if r := a.Deliver(t.Context(), rcpts(envelope(&hop{panics: true}, message), "a"), &gateway.Verdict{}); r.Reply.Code != 451 {
		t.Errorf("%s", r.Reply)
	}
	if r := a.Deliver(t.Context(), rcpts(envelope(&hops{answers: []gateway.Relayed{yes}}, message), "a"), &gateway.Verdict{}); r.Reply.Code != 250 || r.Again {
		t.Errorf("%+v", r)
	}
}

// spoolPort keeps what it is given.
type spoolPort struct {
	full gateway.Reason
	err  error
	put  []gateway.Delivery
	text []string
	why  []gateway.Custody
}

func (s *spoolPort) Takes(int64) gateway.Reason { return s.full }
func (s *spoolPort) Put(ctx context.Context, d *gateway.Delivery, c gateway.Custody) error {
	if s.err != nil {
		return s.err
	}
	h := &hop{}
	h.Relay(ctx, d) // reads the content, and holds it against its size
	s.put, s.text, s.why = append(s.put, *d), append(s.text, h.content), append(s.why, c)
	return ctx.Err()
}

// TestSpools shows which messages the spool is given, and that all others are the sender's to keep.
func TestSpools(t *testing.T) {
	away := at(gateway.NotDelivered, gateway.AtDial, "connection refused")
	tests := []struct {
		name   string
		hop    gateway.Relayed
		change func(e *gateway.Envelope, v *gateway.Verdict, s *spoolPort)
		spools bool
	}{
		{"away", away, nil, true},
		{"away, and it says so itself", at(gateway.NotDelivered, gateway.AtDial, "dial: connection refused"), nil, true},
		{"greets with 4xx", at(gateway.NotDelivered, gateway.AtEHLO, ""), nil, true},
		{"4xx after the dot", at(gateway.DeferredByHop, gateway.AtDot, "452 4.3.1 full"), nil, true},
		{"421 in between", at(gateway.DeferredByHop, gateway.AtRcpt, "421 4.3.2 closing"), nil, true},
		{"tagged", away, func(_ *gateway.Envelope, v *gateway.Verdict, _ *spoolPort) { v.Outcome = gateway.Tag }, true},
		{"4xx at MAIL", at(gateway.DeferredByHop, gateway.AtMail, "451 4.7.1 later"), nil, false},
		{"lost in the body", at(gateway.NotDelivered, gateway.AtBody, ""), nil, false},
		{"unknown", at(gateway.OutcomeUnknown, gateway.AtDot, ""), nil, false},
		{"refused", at(gateway.RefusedByHop, gateway.AtDot, ""), nil, false},
		{"mixed", at(gateway.MixedByHop, gateway.AtRcpt, "", 550), nil, false},
		{"route defers", away, func(e *gateway.Envelope, _ *gateway.Verdict, _ *spoolPort) { e.Session.Snapshot.Spools["r"] = false }, false},
		{"no room", away, func(_ *gateway.Envelope, _ *gateway.Verdict, s *spoolPort) { s.full = gateway.NoStorage }, false},
		{"spool fails", away, func(_ *gateway.Envelope, _ *gateway.Verdict, s *spoolPort) { s.err = errors.New("disk") }, false},
		{"not looked through", away, func(_ *gateway.Envelope, v *gateway.Verdict, _ *spoolPort) { v.Marks = []string{"spamassassin"} }, false},
		{"quarantined", away, func(_ *gateway.Envelope, v *gateway.Verdict, _ *spoolPort) { v.Outcome = gateway.Quarantine }, false},
		{"a recipient that nobody was asked about", away, func(e *gateway.Envelope, _ *gateway.Verdict, _ *spoolPort) { e.Rcpts[1].Verified = false }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, s, v := &hops{answers: []gateway.Relayed{tt.hop, yes}}, &spoolPort{}, &gateway.Verdict{}
			a := &Acceptor{Ledger: ledger.New(ledger.Options{Key: []byte("key")}), Spool: s}
			e := rcpts(envelope(h, message), "team=a+b", "c")
			e.Session.Snapshot.Spools = map[string]bool{"r": true}
			e.Session.Snapshot.Policy.Domains = map[string]*gateway.Domain{"example.org": {Subject: "cut"}}
			if tt.change != nil {
				tt.change(e, v, s)
			}
			r := a.Deliver(t.Context(), e, v)
			if (r.Reply.Code == 250) != tt.spools || (r.Spooled != "") != tt.spools || len(s.put) != map[bool]int{true: 1}[tt.spools] {
				t.Fatalf("%s, spooled %q, %d in the spool", r.Reply, r.Spooled, len(s.put))
			}
			if !tt.spools {
				return
			}
			if d := s.put[0]; d.ID != e.ID || len(d.Rcpts) != 3 || d.Rcpts[0].Named != address("team") || d.Late != nil || !strings.HasSuffix(s.text[0], message) {
				t.Errorf("%+v\n%s", d, s.text[0])
			}
			if strings.HasPrefix(r.Spooled, tt.hop.At+": "+tt.hop.At) {
				t.Errorf("spooled %q names the step twice", r.Spooled)
			}
			if c := s.why[0]; c.Arrived.IsZero() || c.Why != r.Spooled || !strings.HasPrefix(c.Why, tt.hop.At+": ") || c.Notify {
				t.Errorf("%+v", c)
			}
			if again := a.Deliver(t.Context(), rcpts(envelope(h, message), "team=a+b", "c"), &gateway.Verdict{}); again.Reply.Code != 250 || !again.Again {
				t.Errorf("the retry: %+v", again)
			}
			if len(h.got) != 1 {
				t.Errorf("%d relays", len(h.got))
			}
		})
	}
}

// TestAuthenticated shows to whose mail a notice of failure is sent.
func TestAuthenticated(t *testing.T) {
	spf := func(result, name, value string) gateway.AuthResult {
		return gateway.AuthResult{Method: "spf", Result: result, Props: []gateway.AuthProp{{Type: "smtp", Name: name, Value: value}}}
	}
	dmarc := func(result, author, org string) gateway.AuthResult {
		return gateway.AuthResult{Method: "dmarc", Result: result, DMARC: &gateway.DMARCResult{Author: author, Organization: org}}
	}
	for _, tt := range []struct {
		name string
		from string
		said gateway.AuthResult
		want bool
	}{
		{"SPF of the reverse-path", "a@sender.example", spf("pass", "mailfrom", "a@sender.example"), true},
		{"in another case", "a@sender.example", spf("pass", "mailfrom", "a@Sender.Example"), true},
		{"a domain alone", "a@sender.example", spf("pass", "mailfrom", "sender.example"), true},
		{"SPF of another domain", "a@sender.example", spf("pass", "mailfrom", "a@other.example"), false},
		{"SPF of HELO", "a@sender.example", spf("pass", "helo", "sender.example"), false},
		{"SPF softfail", "a@sender.example", spf("softfail", "mailfrom", "a@sender.example"), false},
		{"null reverse-path", "", spf("pass", "mailfrom", ""), false},
		{"DMARC of the same domain", "a@sender.example", dmarc("pass", "sender.example", ""), true},
		{"DMARC of the organization", "a@bounce.sender.example", dmarc("pass", "mail.sender.example", "sender.example"), true},
		{"DMARC of another", "a@other.example", dmarc("pass", "sender.example", "sender.example"), false},
		{"DMARC of a name that ends alike", "a@badsender.example", dmarc("pass", "sender.example", "sender.example"), false},
		{"DMARC fails", "a@sender.example", dmarc("fail", "sender.example", "sender.example"), false},
		{"DKIM alone", "a@sender.example", gateway.AuthResult{Method: "dkim", Result: "pass", Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: "sender.example"}}}, false},
	} {
		e := &gateway.Envelope{Findings: []gateway.Finding{gateway.Passed().Says(tt.said)}}
		_ = e.From.UnmarshalText([]byte(tt.from))
		if got := authenticated(e); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// BenchmarkDigest is what naming a message costs, beside the octets that are hashed.
func BenchmarkDigest(b *testing.B) {
	names := newNames(b, "key")
	for _, size := range []int{100, 10 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := envelope(nil, "From: x@y.example\r\nMessage-ID: <1@y>\r\nDate: now\r\n\r\n"+strings.Repeat("x", size))
			all := make([]byte, e.Body.Size())
			_, _ = e.Body.ReadAt(all, 0)
			e.Body = inMemory{e.Body, all}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, ok, err := names.Digest(e); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// inMemory is a body that lends its octets.
type inMemory struct {
	gateway.Body
	all []byte
}

func (m inMemory) Memory() []byte { return m.all }
