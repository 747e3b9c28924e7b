package accept

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// hop is a next hop that answers what the test says and keeps what it was given.
type hop struct {
	answer  gateway.Relayed
	panics  bool
	calls   int
	rcpts   []string
	content string
	order   *[]string
}

func (h *hop) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h *hop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	h.calls++
	if h.panics {
		panic("fault")
	}
	if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
		return gateway.Relayed{Result: gateway.NotDelivered}
	}
	for _, r := range d.Rcpts {
		h.rcpts = append(h.rcpts, r.Address.Text)
	}
	b, _ := io.ReadAll(io.MultiReader(d.Content.Parts...))
	h.content = string(b)
	if d.Content.Size != int64(len(b)) {
		h.content = "size is wrong"
	}
	if h.order != nil {
		*h.order = append(*h.order, "relay")
	}
	return h.answer
}

type memory struct{ *bytes.Reader }

func (m memory) Close() error { return nil }

// envelope makes a transaction with a message for two recipients, one of which was refused at RCPT.
func envelope(h gateway.NextHop, message string) *gateway.Envelope {
	s := &gateway.Session{ID: 1, Client: netip.MustParseAddrPort("192.0.2.7:4000"), Helo: gateway.Hello{Name: "mail.sender.example", Extended: true},
		Snapshot: &gateway.Snapshot{Hostname: "mx.example.org", NextHop: h, Policy: &gateway.Policy{Thresholds: gateway.Thresholds{Tag: 5}}}}
	ok, no := gateway.Reply{Code: 250}, gateway.Reply{Code: 550}
	b := memory{bytes.NewReader([]byte(message))}
	header, _ := gateway.ReadHeader(b, 1<<20)
	return &gateway.Envelope{ID: 2 << 20, Session: s, Body: b, Header: header, Route: "r", Rcpts: []gateway.Recipient{
		{Address: gateway.Address{Text: "a@example.org", Local: "a", Domain: "example.org"}, Reply: ok},
		{Address: gateway.Address{Text: "no@example.org", Local: "no", Domain: "example.org"}, Reply: no},
		{Address: gateway.Address{Text: "a@example.org", Local: "a", Domain: "example.org"}, Reply: ok}}}
}

const message = "From: x@y.example\r\nMessage-ID: <1@y>\r\nDate: now\r\n\r\nhello\r\n"

func TestOnlyDeliveredIsA250(t *testing.T) {
	for r := gateway.NotDelivered; r <= gateway.OutcomeUnknown+1; r++ {
		for _, code := range []int{0, 220, 250, 354, 421, 451, 550, 600} {
			h := &hop{answer: gateway.Relayed{Result: r, Reply: gateway.Reply{Code: code, Enhanced: "x", Text: "said"}}}
			got := (&Acceptor{}).Deliver(t.Context(), envelope(h, message), &gateway.Verdict{})
			if (got.Reply.Code == 250) != (r == gateway.Delivered) {
				t.Errorf("%s with %d is told as %s", r, code, got.Reply)
			}
			if got.Reply.Code/100 == 5 && (r != gateway.RefusedByHop || code != 550) {
				t.Errorf("%s with %d is told as %s: a permanent refusal that nobody made", r, code, got.Reply)
			}
			if got.Reply.Code != 250 && !strings.Contains(got.Reply.Text, "Reference ") {
				t.Errorf("no reference in %s", got.Reply)
			}
		}
	}
}

func TestRefusalIsNeverRelayed(t *testing.T) {
	for _, o := range []gateway.Outcome{gateway.Defer, gateway.Reject, gateway.Drop} {
		h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
		v := &gateway.Verdict{Decision: gateway.Decision{Outcome: o}, Reply: gateway.Word(o, gateway.MalwareFound, nil)}
		if r := (&Acceptor{}).Deliver(t.Context(), envelope(h, message), v); h.calls != 0 || r.Reply.Code < 400 {
			t.Errorf("%s: %d relays, %s", o, h.calls, r.Reply)
		}
		v.Reply = gateway.Reply{}
		if r := (&Acceptor{}).Deliver(t.Context(), envelope(h, message), v); r.Reply.Code != 451 {
			t.Errorf("%s without words: %s", o, r.Reply)
		}
	}
}

func TestFaultsAreTold451(t *testing.T) {
	if r := (&Acceptor{}).Deliver(t.Context(), envelope(&hop{panics: true}, message), &gateway.Verdict{}); r.Reply.Code != 451 {
		t.Errorf("panic: %s", r.Reply)
	}
	none := envelope(&hop{}, message)
	none.Body = nil
	if r := (&Acceptor{}).Deliver(t.Context(), none, &gateway.Verdict{}); r.Reply.Code != 451 {
		t.Errorf("no message: %s", r.Reply)
	}
	nobody := envelope(&hop{answer: gateway.Relayed{Result: gateway.Delivered}}, message)
	nobody.Rcpts = nobody.Rcpts[1:2]
	if r := (&Acceptor{}).Deliver(t.Context(), nobody, &gateway.Verdict{}); r.Reply.Code != 451 {
		t.Errorf("no recipient: %s", r.Reply)
	}
}

func TestClientThatLeavesDoesNotStopTheRelay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
	if r := (&Acceptor{}).Deliver(ctx, envelope(h, message), &gateway.Verdict{}); r.Reply.Code != 250 {
		t.Errorf("%s", r.Reply)
	}
	if !slices.Equal(h.rcpts, []string{"a@example.org"}) {
		t.Errorf("relayed to %v: the refused must not be in it, and nobody twice", h.rcpts)
	}
}

// TestTimeIsBounded shows that a relay that never ends is ended by the deadline that the edge gave.
func TestTimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		(&Acceptor{}).Deliver(ctx, envelope(hanging{}, message), &gateway.Verdict{})
		if d := time.Since(began); d != 7*time.Second {
			t.Errorf("ended after %v", d)
		}
		began = time.Now()
		(&Acceptor{}).Deliver(t.Context(), envelope(hanging{}, message), &gateway.Verdict{})
		if d := time.Since(began); d != 400*time.Second {
			t.Errorf("without a deadline ended after %v", d)
		}
	})
}

// hanging is a next hop that says nothing until its context ends.
type hanging struct{}

func (hanging) Carries(string) gateway.Carries { return gateway.Carries{} }
func (hanging) Relay(ctx context.Context, _ *gateway.Delivery) gateway.Relayed {
	<-ctx.Done()
	return gateway.Relayed{Result: gateway.OutcomeUnknown}
}

// vault records the order of what happens.
type vault struct {
	order *[]string
	err   error
}

func (v vault) Prepare(context.Context, *gateway.Keeping) (gateway.Kept, error) {
	*v.order = append(*v.order, "prepare")
	return v, v.err
}
func (v vault) Publish() error { *v.order = append(*v.order, "publish"); return nil }
func (v vault) Drop()          { *v.order = append(*v.order, "drop") }

type fakeLedger struct {
	order *[]string
	done  bool
	err   error
}

func (l fakeLedger) Begin(_ context.Context, _ [32]byte, rcpts []string) (gateway.Claim, error) {
	return claim{l, len(rcpts)}, l.err
}

type claim struct {
	fakeLedger
	rcpts int
}

func (c claim) Done() []bool { return slices.Repeat([]bool{c.done}, c.rcpts) }
func (c claim) End(delivered []bool) {
	*c.order = append(*c.order, map[bool]string{true: "done", false: "undone"}[!slices.Contains(delivered, false)])
}
func (c claim) Heard(bool) {}

// TestOrderAroundTheDot shows that a quarantined copy is durable before the relay and seen only after it, and what the
// ledger is told.
func TestOrderAroundTheDot(t *testing.T) {
	quarantined := func(all bool) *gateway.Verdict {
		q := gateway.Decision{Outcome: gateway.Quarantine}
		v := &gateway.Verdict{Decision: q, Rcpts: []gateway.Decision{q, {Outcome: gateway.Reject}, {}}}
		if all {
			v.Rcpts[2] = q
		}
		return v
	}
	fault := errors.New("fault")
	tests := []struct {
		name   string
		vault  error
		ledger fakeLedger
		relay  gateway.RelayResult
		all    bool
		order  string
		code   int
	}{
		{"delivered", nil, fakeLedger{}, gateway.Delivered, false, "prepare,relay,done,publish", 250},
		{"quarantined for all", nil, fakeLedger{}, gateway.NotDelivered, true, "prepare,done,publish", 250},
		{"not delivered", nil, fakeLedger{}, gateway.DeferredByHop, false, "prepare,relay,undone,drop", 451},
		{"unknown", nil, fakeLedger{}, gateway.OutcomeUnknown, false, "prepare,relay,undone,drop", 451},
		{"vault fails", fault, fakeLedger{}, gateway.Delivered, false, "prepare,undone", 451},
		{"delivered before", nil, fakeLedger{done: true}, gateway.Delivered, false, "prepare,done,publish", 250}, // a crash may have hidden the copy
		{"ledger fails open", nil, fakeLedger{err: fault}, gateway.Delivered, false, "prepare,relay,publish", 250},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var order []string
			tt.ledger.order = &order
			h := &hop{answer: gateway.Relayed{Result: tt.relay}, order: &order}
			a := &Acceptor{Vault: vault{&order, tt.vault}, Ledger: tt.ledger}
			e := envelope(h, message)
			e.Rcpts[2].Address.Text, e.Rcpts[2].Address.Local = "b@example.org", "b"
			r := a.Deliver(t.Context(), e, quarantined(tt.all))
			if got := strings.Join(order, ","); got != tt.order || r.Reply.Code != tt.code {
				t.Errorf("%s and %s, want %s and %d", got, r.Reply, tt.order, tt.code)
			}
		})
	}
}

func TestFieldsAndContent(t *testing.T) {
	in := "X-Spam-Flag: NO\r\nFrom: x@y.example\r\nx-GATEPOST-verdict: accept\r\n folded\r\nX-MS-Exchange-Organization-SCL: -1\r\n" +
		"Authentication-Results: (hi (there)) \"MX.example.org\"/1; dkim=pass\r\nAuthentication-Results: other.example; spf=pass\r\n" +
		"X-Spam-Level : ****\r\nx-ms-exchange-organization-AuthAs\r\n : Internal\r\nSubject: hello\r\n\r\nbody\r\n.\r\nX-Spam-Flag: stays, in the body\r\n"
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
	e := envelope(h, in)
	e.Findings = []gateway.Finding{gateway.Passed().Show(gateway.EvidenceScanner, "ClamAV 1.4.3/27500"),
		{Check: "rdns", Result: gateway.Pass, Evidence: []gateway.Evidence{{Name: gateway.EvidenceReverse, Text: "out.sender.example"}},
			Auth: []gateway.AuthResult{{Method: "iprev", Result: "pass", Props: []gateway.AuthProp{{Type: "policy", Name: "iprev", Value: "192.0.2.7"}}}}}}
	v := &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}, Score: 5.25, Marks: []string{"spamassassin"}}
	r := (&Acceptor{}).Deliver(t.Context(), e, v)
	want := []string{"X-Spam-Flag", "x-GATEPOST-verdict", "X-MS-Exchange-Organization-SCL", "Authentication-Results", "X-Spam-Level", "x-ms-exchange-organization-AuthAs"}
	if !slices.Equal(r.Removed, want) {
		t.Errorf("removed %q", r.Removed)
	}
	kept := "From: x@y.example\r\nAuthentication-Results: other.example; spf=pass\r\nSubject: hello\r\n\r\nbody\r\n.\r\nX-Spam-Flag: stays, in the body\r\n"
	added, ok := strings.CutSuffix(h.content, kept)
	if !ok {
		t.Fatalf("what came in did not go out as it was:\n%s", h.content)
	}
	names := []string{}
	header := gateway.ParseHeader([]byte(added + "\r\n"))
	for _, f := range header.Fields {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "X-Gatepost-Verdict X-Gatepost-Trace X-Gatepost-Scanned X-Gatepost-Unscanned X-Spam-Flag X-Spam-Score X-Spam-Level X-Spam-Status Authentication-Results Received" {
		t.Errorf("order of our fields: %s", got)
	}
	for name, value := range map[string]string{"X-Gatepost-Verdict": "tag", "X-Spam-Flag": "YES", "X-Spam-Level": "*****", "X-Gatepost-Unscanned": "spamassassin",
		"Authentication-Results": "mx.example.org;\tiprev=pass policy.iprev=192.0.2.7", "X-Gatepost-Trace": e.ID.String()} {
		if header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, header.Get(name), value)
		}
	}
	received := header.Get("Received")
	if !strings.HasPrefix(received, "from mail.sender.example (out.sender.example [192.0.2.7])\tby mx.example.org (Gatepost) with ESMTP id ") {
		t.Errorf("Received: %s", received)
	}
	if strings.Contains(added, "X-MS-Exchange") {
		t.Errorf("a field of the internal MTA was written:\n%s", added)
	}
}

// TestListsAreBounded shows that a message of thousands of fields that are removed or changed does not fill the log, and
// loses each of them.
func TestListsAreBounded(t *testing.T) {
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
	e := envelope(h, strings.Repeat("X-Spam-Flag: NO\r\nSubject: x\r\n", 4000)+"\r\n")
	e.Session.Snapshot.Tag = gateway.SubjectTag{Text: "[SPAM]"}
	r := (&Acceptor{}).Deliver(t.Context(), e, &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Quarantine}})
	for _, list := range [][]string{r.Removed, r.Edits} {
		if n := len(list); n != maxListed+1 || list[n-1] != "and 3950 more" {
			t.Errorf("%d listed: %q", n, list)
		}
	}
	if a, b := strings.Count(h.content, "\nX-Spam-Flag: NO"), strings.Count(h.content, "\nSubject: [SPAM] x"); a != 1 || b != 4000 {
		t.Errorf("%d fields of strangers or ours, %d subjects", a, b)
	}
}

// TestSeparatorOfMbox shows that the line that only a header section's first can be does not end it behind our fields.
func TestSeparatorOfMbox(t *testing.T) {
	for line, goes := range map[string]bool{
		"From a@b.example Tue Nov 24 00:00:00 2026":  true,
		">From a@b.example Tue Nov 24 00:00:00 2026": true,
		"From : a@b.example":                         false,
		"From: a@b.example":                          false,
		"no field":                                   false,
	} {
		h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
		r := (&Acceptor{}).Deliver(t.Context(), envelope(h, line+"\r\nSubject: x\r\n"+line+"\r\n\r\n"+line+"\r\n"), &gateway.Verdict{})
		want := 3
		if goes {
			want = 2 // further down it is none of ours
		}
		if n := strings.Count(h.content, "\n"+line+"\r\n"); n != want || goes != (len(r.Removed) == 1) {
			t.Errorf("%s: %d times, removed %q:\n%s", line, n, r.Removed, h.content)
		}
	}
}

// TestHostileWordsStayInTheirField shows that nothing a stranger says can end a field or begin one.
func TestHostileWordsStayInTheirField(t *testing.T) {
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
	e := envelope(h, " X-Folded: into ours\r\nFrom: a\r\n\r\n")
	evil := "evil\r\nX-Injected: yes\r\n\r\n(\";)"
	e.Session.Helo.Name = evil
	e.Session.TLS = gateway.TLS{Version: "TLS1.3", Cipher: evil}
	e.Findings = []gateway.Finding{gateway.Passed().Show(gateway.EvidenceScanner, evil).Show(gateway.EvidenceReverse, evil).Show(gateway.EvidenceRules, evil+",B")}
	(&Acceptor{}).Deliver(t.Context(), e, &gateway.Verdict{})
	header := gateway.ParseHeader([]byte(h.content))
	if header.Count("X-Injected") != 0 || header.Malformed != 0 || header.Count("Received") != 1 || header.Count("From") != 1 {
		t.Errorf("%s", h.content)
	}
	if f := header.All("Received")[0]; strings.Contains(header.Value(f), "X-Folded") {
		t.Errorf("the first line of the message became part of our Received")
	}
}

// TestOneAuthenticationResults shows that all that checks say stands in one field of ours, in order, and that no stranger's
// remains that could be taken for it, however its name and value are dressed.
func TestOneAuthenticationResults(t *testing.T) {
	kept := "ARC-Authentication-Results: i=1; mx.example.org; dmarc=pass\r\nAuthentication-Results: other.example; dmarc=pass\r\nX-Authentication-Results: mx.example.org; dmarc=pass\r\nFrom: a@b.example\r\n"
	foreign := []string{"AUTHENTICATION-RESULTS: MX.example.org.; dmarc=pass", "Authentication-Results : mx.example.org; dmarc=pass", "Authentication-Results\r\n : mx.example.org; dmarc=pass",
		"Authentication-Results:\r\n (x)\r\n \"mx.example.org\" 1; dmarc=pass", "Authentication-Results: =?utf-8?q?mx=2Eexample=2Eorg?=; dmarc=pass", "Authentication-Results: dmarc=pass",
		"Authentication-Results: other.example; mx.example.org; dmarc=pass", "Authentication\u2010Results: mx.example.org; dmarc=pass", "Authentication-Results\u200b: mx.example.org; dmarc=pass"}
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
	e := envelope(h, strings.Join(foreign, "\r\n")+"\r\n"+kept+"\r\nbody\r\n")
	prop := func(kind, name, value string) []gateway.AuthProp {
		return []gateway.AuthProp{{Type: kind, Name: name, Value: value}}
	}
	e.Findings = []gateway.Finding{
		gateway.Passed().Says(gateway.AuthResult{Method: "dmarc", Result: "fail", Comment: "p=reject", Props: prop("header", "from", "b.example")}),
		gateway.Passed().Says(gateway.AuthResult{Method: "dkim", Result: "pass", Props: prop("header", "d", "one.example")}).
			Says(gateway.AuthResult{Method: "dkim", Result: "fail", Reason: "body hash", Props: prop("header", "d", "two.example;x")}),
		gateway.Passed().Says(gateway.AuthResult{Method: "spf", Result: "pass", Props: prop("smtp", "mailfrom", `"x\"; dmarc=pass"@evil.example`)}),
		gateway.Passed().Says(gateway.AuthResult{Method: "bimi", Result: "pass"}), // of no method that this field has
		gateway.Passed().Says(gateway.AuthResult{Method: "iprev", Result: "pass", Props: prop("policy", "iprev", "2001:db8::1")}),
		gateway.Passed().Says(gateway.AuthResult{Method: "arc", Result: "none"}),
	}
	r := (&Acceptor{}).Deliver(t.Context(), e, &gateway.Verdict{})
	if len(r.Removed) != len(foreign) || !strings.HasSuffix(h.content, "\r\n"+kept+"\r\nbody\r\n") {
		t.Errorf("removed %q of\n%s", r.Removed, h.content)
	}
	header := gateway.ParseHeader([]byte(h.content))
	ours := header.All("Authentication-Results")[0]
	want := `mx.example.org;	iprev=pass policy.iprev="2001:db8::1";	spf=pass smtp.mailfrom="\"x\\\"? dmarc?pass\"@evil.example";	dkim=pass header.d=one.example;	dkim=fail reason="body hash" header.d="two.example?x";	arc=none;	dmarc=fail (p=reject) header.from=b.example`
	if got := header.Value(ours); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	e.Findings = nil
	if f := Compose(e, &gateway.Verdict{}, time.Unix(0, 0)); !strings.Contains(string(f.Added), "\r\nAuthentication-Results: mx.example.org; none\r\nReceived: ") {
		t.Errorf("nothing was checked: %s", f.Added)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add([]byte(message))
	f.Add([]byte("X-Spam-Flag: a\r\n b\r\nFrom: x\r\n\r\nbody"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e := envelope(nil, string(in))
		fields := Compose(e, &gateway.Verdict{}, time.Unix(0, 0))
		c := fields.Content(e)
		out, err := io.ReadAll(io.MultiReader(c.Parts...))
		if err != nil || int64(len(out)) != c.Size || !bytes.HasPrefix(out, fields.Added) {
			t.Fatalf("%d octets, said %d, %v", len(out), c.Size, err)
		}
		e.Measured.Clean, e.Measured.Dots = true, []int64{0, int64(len(e.Header.Raw)) + 2}
		if c = fields.Content(e); c.Clean && c.Size > int64(len(fields.Added)) {
			// What is said to be clean begins a line, and a dot of it stays where it is.
			if head := out[:len(out)-len(in)+len(e.Header.Raw)]; !bytes.HasSuffix(head, []byte("\r\n")) && len(e.Header.Raw) > 0 || c.Dots[len(c.Dots)-1] != 2 {
				t.Fatalf("dots %v behind %q", c.Dots, head)
			}
		}
		rest := out[len(fields.Added):]
		if !bytes.HasSuffix(in, rest[len(rest)-int(int64(len(in))-int64(len(e.Header.Raw))):]) {
			t.Fatal("the content changed")
		}
		for _, field := range gateway.ParseHeader(rest).Fields {
			if ours(field.Name) && len(fields.Removed) == 0 {
				t.Fatalf("%s came through", field.Name)
			}
		}
	})
}
