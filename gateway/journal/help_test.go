package journal

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", name, got)
	}
}

func addr(text string) gateway.Address {
	var a gateway.Address
	_ = a.UnmarshalText([]byte(text)) // never fails
	return a
}

var began = time.Date(2026, 11, 23, 9, 30, 15, 123e6, time.UTC)

func id(n uint64) gateway.ID { return gateway.ID(uint64(began.UnixMilli())<<20 | n) }

func testPolicy() *gateway.Policy {
	return &gateway.Policy{Version: "4f2a91c0", Thresholds: gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 15},
		Checks: map[string]gateway.CheckPolicy{
			"rdns":         {Action: gateway.ActionScore, Prices: map[string]float64{"no_ptr": 2}},
			"clamav":       {Class: gateway.ClassMalware, Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
			"spamassassin": {Action: gateway.ActionScore, Unknown: gateway.ActionTag, Prices: map[string]float64{"spamd": 1}},
			"greylist":     {Action: gateway.ActionOff},
		},
		Where:   map[string]string{"checks.clamav.action": "policy.toml:12"},
		Domains: map[string]*gateway.Domain{"one.example": {Name: "one.example", Route: "main"}}}
}

func found(check string, stage gateway.Stage, took time.Duration, f gateway.Finding) gateway.Finding {
	f.Check, f.Stage, f.Rcpt, f.Took = check, stage, -1, took
	return f
}

// mailEvent is a message that came, was scanned and delivered.
func mailEvent() *gateway.Event {
	r := &gateway.Record{ID: id(2), Session: id(1), Time: began, Stage: gateway.Data, Listener: "mx", Client: netip.MustParseAddr("192.0.2.25"),
		TLS: "TLS1.3", Helo: "mail.sender.example", From: addr("ann@sender.example"), Size: 10240, HeaderFrom: "Ann <ann@sender.example>",
		Rcpts: []gateway.RecordRcpt{{To: addr("bob@one.example"), Route: "main", Code: 250}, {To: addr("nobody@one.example"), Route: "main", Code: 550}},
		Findings: []gateway.Finding{
			found("rdns", gateway.Connect, 12*time.Millisecond, gateway.Failed(gateway.RDNSNone, "192.0.2.25").With(gateway.Yes("no_ptr"))),
			found("greylist", gateway.Rcpt, 0, gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftOff}),
			found("clamav", gateway.Data, 31*time.Millisecond, gateway.Passed()),
			found("spamassassin", gateway.Data, 900*time.Millisecond, gateway.Passed(gateway.Measure{Name: "spamd", Value: 3.2},
				gateway.Measure{Name: "rule", Value: 1.1, Text: "HTML_MESSAGE"}, gateway.Measure{Name: "rule", Value: 2.1, Text: "MISSING_MID"})),
		}}
	return &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Verdict: testPolicy().Judge(r), Policy: "4f2a91c0",
		Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 4ABC"}, Took: 1420 * time.Millisecond,
		Session: gateway.Summary{Client: netip.MustParseAddrPort("192.0.2.25:41000"), Reverse: "mail.sender.example",
			TLS: gateway.TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}, Transactions: 1, Commands: 6},
		Subject: "Invoice 4711", MessageID: "<4711@sender.example>",
		Relayed: &gateway.Relayed{Result: gateway.Delivered, NextHop: "192.0.2.10:25", Said: "250 2.0.0 Ok: queued as 4ABC", At: "dot", TLS: "TLS1.3", Took: 80 * time.Millisecond},
		Replies: []gateway.Reply{{Code: 250, Enhanced: "2.1.5", Text: "Recipient noted"}, {Code: 550, Enhanced: "5.1.1", Text: "No such recipient here: <nobody@one.example>; check the address for typing errors"}},
		Removed: []string{"X-Spam-Status: No, score=-5"}, Edits: []string{"subject"}, ScannedBy: []string{"ClamAV 1.4.3/27600", "SpamAssassin 4.0.0"},
		Evidence: [][]gateway.Evidence{{{Name: "dns", Text: "25.2.0.192.in-addr.arpa PTR: NXDOMAIN"}}, nil,
			{{Name: "scanner", Text: "ClamAV 1.4.3/27600"}}, {{Name: "rules", Text: "HTML_MESSAGE,MISSING_MID"}}}}
}

// virusEvent was refused.
func virusEvent() *gateway.Event {
	e := mailEvent()
	e.Record.Findings[2] = found("clamav", gateway.Data, 31*time.Millisecond,
		gateway.Failed(gateway.MalwareFound, "Eicar-Test-Signature").With(gateway.Measure{Name: "signature", Value: 1, Text: "Eicar-Test-Signature"}))
	e.Verdict, e.Relayed = testPolicy().Judge(e.Record), nil
	e.Reply = e.Verdict.Reply
	return e
}

// refusedEvent is a connection that was dropped.
func refusedEvent() *gateway.Event {
	r := &gateway.Record{ID: id(1), Session: id(1), Time: began, Listener: "mx", Client: netip.MustParseAddr("2001:db8::7"), Helo: "x"}
	return &gateway.Event{Kind: gateway.ConnectionEvent, Record: r, Policy: "4f2a91c0", Took: 12 * time.Second,
		Session: gateway.Summary{Client: netip.MustParseAddrPort("[2001:db8::7]:999"), End: gateway.EndLimit, Errors: 15, Commands: 17, Octets: 0,
			Refused: []string{"VRFY root: 252 2.0.0", "GARBAGE: 500 5.5.1 No such command here"}}}
}

// stubborn is hostile text: every control octet, no UTF-8, things that turn text around.
func stubborn() string {
	var b []byte
	for c := range 256 {
		b = append(b, byte(c))
	}
	return string(b) + "\u202e\u2028\u0085\U000e0041\U0001f4e7\"\\"
}

// memory is a sink that keeps lines.
type memory struct {
	mu    sync.Mutex
	lines []*Line
	full  bool
}

func (m *memory) Name() string { return "memory" }

func (m *memory) Send(l *Line) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return false
	}
	m.lines = append(m.lines, l)
	return true
}

func (m *memory) Close(context.Context) error { return nil }

func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b bytes.Buffer
	for _, l := range m.lines {
		b.Write(l.JSON)
	}
	return b.String()
}

// fakeStore is a store whose room can be taken away, or that hangs.
type fakeStore struct {
	mu     sync.Mutex
	events []*gateway.Event
	early  map[string]int
	full   bool
	hang   chan struct{}
}

func (s *fakeStore) Write(e *gateway.Event) bool {
	if s.hang != nil {
		<-s.hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full {
		s.events = append(s.events, e)
	}
	return !s.full
}

func (s *fakeStore) Early(minute time.Time, network netip.Prefix, reason gateway.Reason, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early == nil {
		s.early = map[string]int{}
	}
	name := "other"
	if network.IsValid() {
		name = network.String()
	}
	s.early[minute.UTC().Format("15:04")+" "+name+" "+string(reason)] += n
	return !s.full
}

// told is what came of connections that were refused early.
func (s *fakeStore) Fate(*gateway.Fate) bool { return true }

func (s *fakeStore) told() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.early)
}

func closeJournal(t *testing.T, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := j.Close(ctx); err != nil {
		t.Error(err)
	}
}
