package accept

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"gatepost/gateway"
)

// sealer does what the test says and keeps what it was shown.
type sealer struct {
	always bool
	fields string
	err    error
	panics bool
	shown  *gateway.Sealing
}

func (s *sealer) Wants(changed bool) bool { return s.always || changed }

func (s *sealer) Seal(_ context.Context, m *gateway.Sealing) ([]byte, string, error) {
	s.shown = m
	if s.panics {
		panic("fault")
	}
	return []byte(s.fields), "told", s.err
}

// TestSealNeverCostsAMessage shows that whatever the sealer does, the message goes out, and with its fields only when they
// are some.
func TestSealNeverCostsAMessage(t *testing.T) {
	const set = "ARC-Seal: i=1\r\nARC-Authentication-Results: i=1; x\r\n"
	removed := "X-Spam-Flag: NO\r\n" + message
	for name, tt := range map[string]struct {
		in     string
		s      *sealer
		tag    string
		sealed bool
		edits  string
	}{
		"sealed":              {message, &sealer{always: true, fields: set}, "", true, "told"},
		"nothing changed":     {message, &sealer{fields: set}, "", false, ""},
		"a field was removed": {removed, &sealer{fields: set}, "", true, "told"},
		"subject tagged":      {message, &sealer{fields: set}, "[SPAM]", true, "subject added,told"},
		"fails":               {message, &sealer{always: true, fields: set, err: errors.New("fault")}, "", false, "not sealed: fault"},
		"panics":              {message, &sealer{always: true, fields: set, panics: true}, "", false, "not sealed: seal: panic: fault"},
		"no fields":           {message, &sealer{always: true}, "", false, "told"},
		"half a field":        {message, &sealer{always: true, fields: "ARC-Seal: i=1"}, "", false, "not sealed: seal: 13 octets that are no fields"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}}
			e := envelope(h, tt.in)
			e.Session.Snapshot.Sealer, e.Session.Snapshot.Tag.Text = tt.s, tt.tag
			var log strings.Builder
			a := &Acceptor{Log: slog.New(slog.NewTextHandler(&log, nil))}
			r := a.Deliver(t.Context(), e, &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}})
			if r.Reply.Code != 250 || strings.HasPrefix(h.content, set) != tt.sealed || strings.Count(h.content, "ARC-") != 2*map[bool]int{true: 1}[tt.sealed] {
				t.Fatalf("%s with\n%s", r.Reply, h.content)
			}
			if got := strings.Join(r.Edits, ","); got != tt.edits {
				t.Errorf("told as %q", got)
			}
			if failed := strings.HasPrefix(tt.edits, "not sealed"); failed != strings.Contains(log.String(), "goes out without") {
				t.Errorf("logged %q", log.String())
			}
			if tt.s.shown == nil {
				return
			}
			// What was shown is what goes out below the set, and our results are those that stand in it.
			out := strings.TrimPrefix(h.content, set)
			if !strings.HasPrefix(out, string(tt.s.shown.Header)+"\r\n") || tt.s.shown.Envelope != e {
				t.Errorf("shown\n%s\nout\n%s", tt.s.shown.Header, out)
			}
			if !strings.Contains(out, "Authentication-Results: "+tt.s.shown.Results+"\r\n") || !strings.HasPrefix(tt.s.shown.Results, "mx.example.org;") {
				t.Errorf("results %q", tt.s.shown.Results)
			}
		})
	}
}

// TestNothingIsSealedInVain shows that what is refused, or was delivered before, is not sealed.
func TestNothingIsSealedInVain(t *testing.T) {
	var order []string
	for name, a := range map[string]*Acceptor{"refused": {}, "delivered before": {Ledger: fakeLedger{order: &order, done: true}}} {
		s := &sealer{always: true}
		e := envelope(&hop{answer: gateway.Relayed{Result: gateway.Delivered}}, message)
		e.Session.Snapshot.Sealer = s
		v := &gateway.Verdict{}
		if name == "refused" {
			v.Outcome = gateway.Reject
		}
		if a.Deliver(t.Context(), e, v); s.shown != nil {
			t.Errorf("%s: sealed", name)
		}
	}
}
