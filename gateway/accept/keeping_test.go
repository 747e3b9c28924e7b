package accept

import (
	"context"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// keeper takes what it is told to keep.
type keeper struct {
	vault
	kept *gateway.Keeping
}

func (k *keeper) Prepare(_ context.Context, what *gateway.Keeping) (gateway.Kept, error) {
	k.kept = what
	return k.vault, nil
}

// TestKeeping shows what the vault is told: our trace fields without a verdict, what of the header section does not go out, and
// the names by which the ledger knows who has it; and that nobody is told where policy wants marks.
func TestKeeping(t *testing.T) {
	const in = "X-Spam-Flag: NO\r\nFrom: x@y.example\r\nMessage-ID: <1@y>\r\nDate: now\r\nX-Gatepost-Released: 1\r\n\r\nhello\r\n"
	q := gateway.Decision{Outcome: gateway.Quarantine}
	v := &gateway.Verdict{Decision: q, Rcpts: []gateway.Decision{q, {Outcome: gateway.Reject}, {}}}
	var order []string
	k := &keeper{vault: vault{order: &order}}
	h := &hop{answer: gateway.Relayed{Result: gateway.Delivered}, order: &order}
	e := envelope(h, in)
	e.Rcpts[2].Address.Text, e.Rcpts[2].Address.Local = "b@example.org", "b"
	a := &Acceptor{Vault: k, Ledger: fakeLedger{order: &order}}
	if r := a.Deliver(t.Context(), e, v); r.Reply.Code != 250 || k.kept == nil {
		t.Fatalf("%v, kept %v", r.Reply, k.kept)
	}
	var cut []string
	for _, c := range k.kept.Cut {
		cut = append(cut, in[c[0]:c[1]])
	}
	if !slices.Equal(cut, []string{"X-Spam-Flag: NO\r\n", "X-Gatepost-Released: 1\r\n"}) {
		t.Errorf("cut %q", cut)
	}
	trace := string(k.kept.Trace)
	if !strings.HasPrefix(trace, "X-Gatepost-Trace: "+e.ID.String()+"\r\n") || !strings.Contains(trace, "\r\nAuthentication-Results: ") ||
		!strings.Contains(trace, "\r\nReceived: from ") || strings.Contains(trace, "Verdict") || strings.Contains(trace, "Spam") {
		t.Errorf("trace %q", trace)
	}
	if len(k.kept.Rcpts) != 1 || !slices.Equal(k.kept.Keys, []string{inVault + "a@example.org"}) || len(k.kept.Message) != 64 {
		t.Errorf("%v, %q, %q", k.kept.Rcpts, k.kept.Keys, k.kept.Message)
	}

	k.kept = nil
	e = envelope(h, in)
	e.Session.Snapshot.MarkQuarantined = true
	if r := a.Deliver(t.Context(), e, v); r.Reply.Code != 250 || k.kept != nil || !strings.Contains(h.content, "X-Gatepost-Verdict: quarantine\r\n") {
		t.Errorf("%v, kept %v:\n%s", r.Reply, k.kept, h.content)
	}
}
