package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatepost/gateway"
)

// mark is what stands on top of a message that goes out.
func markOf(id gateway.ID) string { return "X-Gatepost-Released: " + id.String() + "\r\n" + trace }

// TestRelease shows that a release has the mark, our trace fields, and every octet but those that only we may write; that each
// recipient gets it once, but when he is named; and what users may.
func TestRelease(t *testing.T) {
	w := newWorld(t)
	l := new(ledger)
	w.opts.Ledger, w.opts.Done = l, l.Done
	w.reopen(t)
	id := w.keep(t, ".text", gateway.SpamScore, "a@example.org", "b@example.org")
	if _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"A@EXAMPLE.ORG"}, By: "me"}); err != nil {
		t.Fatal(err)
	}
	if got := w.states(t, id); got != "released,visible" {
		t.Error(got)
	}
	got := &w.hop.got[0]
	if got.text != markOf(id)+sent(".text") || got.From.Text != "bounce@sender.example" || len(got.Rcpts) != 1 || got.Rcpts[0].Address.Text != "a@example.org" {
		t.Errorf("released was %+v, %q", got.Delivery, got.text)
	}
	for i, want := range []error{nil, ErrNobodyLeft} {
		if _, err := w.Release(t.Context(), &Release{ID: id}); !errors.Is(err, want) {
			t.Errorf("release %d: %v", i, err)
		}
	}
	if got := w.states(t, id); got != "released,released" || len(w.hop.got) != 2 {
		t.Errorf("%s, %d copies", got, len(w.hop.got))
	}
	if _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"b@example.org"}}); err != nil || len(w.hop.got) != 3 {
		t.Errorf("named, he gets it again: %v, %d copies", err, len(w.hop.got))
	}
	w.reopen(t)
	if got := w.states(t, id); got != "released,released" {
		t.Errorf("after a start %s", got)
	}
	other := address("help@example.org")
	if res, err := w.Release(t.Context(), &Release{ID: id, To: &other}); err != nil || !res[0].Done || w.hop.got[3].Rcpts[0].Address != other {
		t.Errorf("to another: %v, %v", res, err)
	}
	strange := address("x@elsewhere.example")
	if _, err := w.Release(t.Context(), &Release{ID: id, To: &strange}); err == nil || !strings.Contains(err.Error(), "we do not serve elsewhere.example") {
		t.Errorf("elsewhere: %v", err)
	}
	if _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"c@example.org"}}); !errors.Is(err, ErrNoRecipient) {
		t.Errorf("a stranger: %v", err)
	}
	bad := w.keep(t, "virus", gateway.MalwareFound, "a@example.org")
	for _, r := range []*Release{{ID: bad, Rcpts: []string{"a@example.org"}}, {ID: id, Rcpts: []string{"a@example.org", "b@example.org"}}, {ID: id}, {ID: id, To: &other},
		{ID: id, Rcpts: []string{"a@example.org"}, Force: true}} {
		r.User = true
		if _, err := w.Release(t.Context(), r); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("a user and %+v: %v", r, err)
		}
	}
	copies := len(w.hop.got)
	if _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"a@example.org"}, User: true}); !errors.Is(err, ErrNobodyLeft) || len(w.hop.got) != copies {
		t.Errorf("a user and what he has got: %v, %d copies", err, len(w.hop.got)-copies)
	}
	id = w.keep(t, "more", gateway.SpamScore, "a@example.org", "b@example.org")
	var wg sync.WaitGroup
	var did, refused atomic.Int32
	for range 8 { // at the same time, or one after another
		wg.Go(func() {
			switch _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"a@example.org"}, User: true}); {
			case err == nil:
				did.Add(1)
			case errors.Is(err, ErrBusy), errors.Is(err, ErrNobodyLeft):
				refused.Add(1)
			default:
				t.Errorf("a user and his spam: %v", err)
			}
		})
	}
	wg.Wait()
	if did.Load() != 1 || refused.Load() != 7 || w.states(t, id) != "released,visible" || len(w.hop.got) != copies+1 {
		t.Errorf("%d released, %d refused, %s, %d copies", did.Load(), refused.Load(), w.states(t, id), len(w.hop.got)-copies)
	}
}

// TestUserMay: of each reason that policy quarantines for, who may release: nobody who was deceived, or who cannot know what is in it.
func TestUserMay(t *testing.T) {
	w := newWorld(t)
	may := map[gateway.Reason]bool{gateway.SpamScore: true, gateway.SpamRules: true}
	for _, reason := range []gateway.Reason{gateway.SpamScore, gateway.SpamRules, gateway.MalwareFound, gateway.MalwareDoubtful, gateway.MalwareLimits, gateway.ScannerFailed, gateway.TooBigToScan,
		gateway.DMARCReject, gateway.DMARCQuarantine, gateway.DMARCIndirect, gateway.DMARCHeld, gateway.ImpersonatedPerson, gateway.ImpersonatedDomain, gateway.ImpersonatedOwn,
		gateway.URLDisguised, gateway.URLLookalike, gateway.AttachmentEncrypted, gateway.AttachmentType, gateway.AttachmentName, gateway.AttachmentMacro, gateway.AttachmentScript,
		gateway.AttachmentLimits, gateway.AttachmentBroken, gateway.UnpackFailed, gateway.MIMEAmbiguous, gateway.MilterRefused, gateway.MilterKept} {
		id := w.keep(t, string(reason), reason, "a@example.org")
		before := len(w.hop.got)
		_, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"a@example.org"}, User: true})
		if may[reason] != (err == nil) || err != nil && !errors.Is(err, ErrNotAllowed) || (err == nil) != (len(w.hop.got) > before) {
			t.Errorf("%s: %v, %d copies", reason, err, len(w.hop.got)-before)
		}
	}
}

// TestReleaseFails shows what a release comes to that does not come about: the copies are there as before, with the answer,
// and malware goes nowhere.
func TestReleaseFails(t *testing.T) {
	w := newWorld(t)
	found, fault := "", error(nil)
	w.opts.Scan = func(_ context.Context, m io.Reader, size int64) (string, error) {
		if text, err := io.ReadAll(m); err != nil || int64(len(text)) != size {
			return "", fmt.Errorf("%d octets of %d, %w", len(text), size, err)
		}
		return found, fault
	}
	taken := new(spoolPort)
	w.opts.Spool = taken
	spools := false
	w.opts.Spools = func(string) bool { return spools }
	w.reopen(t)
	id := w.keep(t, "x", gateway.SpamScore, "a@example.org", "b@example.org")
	release := func(force bool) []Result {
		t.Helper()
		res, err := w.Release(t.Context(), &Release{ID: id, By: "me", Force: force})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	found = "Eicar"
	if _, err := w.Release(t.Context(), &Release{ID: id}); !errors.Is(err, ErrInfected) {
		t.Error(err)
	}
	found, fault = "", errors.New("no clamd")
	if _, err := w.Release(t.Context(), &Release{ID: id}); !errors.Is(err, ErrNotScanned) {
		t.Error(err)
	}
	fault = nil
	for _, answer := range []gateway.Relayed{
		{Result: gateway.RefusedByHop, At: gateway.AtDot, Said: "550 no"}, {Result: gateway.DeferredByHop, At: gateway.AtMail, Said: "451 later"},
		{Result: gateway.OutcomeUnknown, At: gateway.AtDot}, {Result: gateway.NotDelivered, At: gateway.AtDial, Said: "connection refused"}} {
		w.hop.answer = &answer
		if res := release(false); res[0].Done || w.states(t, id) != "visible,visible" || !strings.Contains(res[0].Said, answer.Said) {
			t.Errorf("%+v: %+v, %s", answer, res, w.states(t, id))
		}
	}
	w.hop.answer = &gateway.Relayed{Result: gateway.MixedByHop, At: gateway.AtDot, Rcpts: []gateway.Reply{{Code: 250}, {Code: 550}}}
	if res := release(false); res[0].Done || w.states(t, id) != "released,visible" {
		t.Errorf("mixed: %+v, %s", res, w.states(t, id))
	}
	w.hop.answer, spools = &gateway.Relayed{At: gateway.AtDial, Said: "connection refused"}, true
	if res := release(true); !res[0].Done || !res[0].Spooled || w.states(t, id) != "released,released" || !slices.Equal(taken.got, []string{markOf(id) + sent("x")}) {
		t.Errorf("spool: %+v, %s, %q", res, w.states(t, id), taken.got)
	}
	if got := w.whats(); got != "stored,refused,refused,refused,refused,refused,refused,refused,released" {
		t.Error(got)
	}
}

type spoolPort struct{ got []string }

func (*spoolPort) Takes(int64) gateway.Reason { return "" }
func (s *spoolPort) Put(_ context.Context, d *gateway.Delivery, _ gateway.Custody) error {
	text, err := io.ReadAll(io.MultiReader(d.Content.Parts...))
	s.got = append(s.got, string(text))
	return err
}

// TestOneLease shows that one message has one caller at a time.
func TestOneLease(t *testing.T) {
	w := newWorld(t)
	id := w.keep(t, "x", gateway.SpamScore, "a@example.org")
	var again, gone error
	w.opts.NextHop = func() gateway.NextHop {
		_, again = w.Release(t.Context(), &Release{ID: id})
		gone = w.Delete(t.Context(), id, nil, "me")
		return &w.hop
	}
	w.reopen(t)
	if _, err := w.Release(t.Context(), &Release{ID: id}); err != nil || !errors.Is(again, ErrBusy) || !errors.Is(gone, ErrBusy) || len(w.hop.got) != 1 {
		t.Errorf("%v, %v, %v, %d copies", err, again, gone, len(w.hop.got))
	}
}

// TestWork shows what else people do with a message.
func TestWork(t *testing.T) {
	w := newWorld(t)
	id := w.keep(t, "x", gateway.SpamScore, "a@example.org", "b@example.org")
	if told, err := w.Report(t.Context(), id, false, "me"); err != nil || told != "noted; policy has no engine learn from it" {
		t.Errorf("%q, %v", told, err)
	}
	if told, err := w.Report(t.Context(), id, true, "me"); err != nil || told != "noted; policy has no engine learn from it" {
		t.Errorf("%q, %v", told, err)
	}
	if rows, _ := w.Find(t.Context(), &Filter{}); rows[0].Reported != "spam" {
		t.Errorf("%+v", rows)
	}
	if res, err := w.Forward(t.Context(), id, address("help@example.org"), "me"); err != nil || !res.Done || len(w.hop.got) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	got := w.hop.got[0]
	if !got.From.IsNull() || !strings.Contains(got.text, "Content-Type: message/rfc822\r\n") || !strings.Contains(got.text, "\r\n\r\n"+mail("x")+"\r\n--") {
		t.Errorf("forwarded was %q", got.text)
	}
	if _, err := w.Forward(t.Context(), id, address("help@elsewhere.example"), "me"); err == nil || len(w.hop.got) != 1 {
		t.Errorf("elsewhere: %v", err)
	}
	if err := w.Delete(t.Context(), id, []string{"a@example.org"}, "me"); err != nil || w.states(t, id) != "deleted,visible" {
		t.Errorf("%v, %s", err, w.states(t, id))
	}
	if _, err := w.Release(t.Context(), &Release{ID: id, Rcpts: []string{"a@example.org"}}); !errors.Is(err, ErrNone) {
		t.Errorf("the deleted: %v", err)
	}
	if err := w.Delete(t.Context(), id, []string{"b@example.org"}, "me"); err != nil || len(w.files(t)) != 0 {
		t.Errorf("%v, %v", err, w.files(t))
	}
	if got := w.whats(); got != "stored,reported,reported,forwarded,deleted,deleted" {
		t.Error(got)
	}
}
