package quarantine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestKeep shows that a message is durable and invisible first, seen once it is shown, found again by a start without an
// index, octet for octet, and that nothing of it can be read in its file.
func TestKeep(t *testing.T) {
	w := newWorld(t)
	k := keeping(w.ids.Next(), "a secret word", gateway.SpamScore, "a@example.org", "b@example.org")
	id := k.Envelope.ID
	kept, err := w.Prepare(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.files(t); !slices.Equal(got, []string{id.String() + ".gpq.pending"}) {
		t.Errorf("prepared, there lie %v", got)
	}
	if rows, err := w.Find(t.Context(), &Filter{}); err != nil || len(rows) != 0 {
		t.Errorf("prepared, it is seen: %v, %v", rows, err)
	}
	if _, err := w.Look(t.Context(), id, "me", 100); !errors.Is(err, ErrNone) {
		t.Errorf("prepared, it is shown: %v", err)
	}
	if err := kept.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := kept.Publish(); err != nil {
		t.Error(err)
	}
	kept.Drop() // of no effect
	text, err := os.ReadFile(w.File(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"secret", "example.org", "hello", "192.0.2.7", "spam.score"} {
		if strings.Contains(string(text), word) {
			t.Errorf("%q can be read in the file", word)
		}
	}
	for _, lost := range []bool{false, true} {
		if lost {
			w.index.rows = nil
		}
		w.reopen(t)
		w.Tend(t.Context())
		l, err := w.Look(t.Context(), id, "me", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if string(l.Message) != mail("a secret word") || l.Header != strings.Index(mail("a secret word"), "\r\n\r\n")+2 {
			t.Errorf("it came back as %q", l.Message)
		}
		if l.Row.From != "bounce@sender.example" || l.Row.Author != "Ann <ann@author.example>" || l.Row.Subject != "hello" || l.Row.Class != Spam ||
			l.Row.Reason != gateway.SpamScore || l.Row.Score != 7.5 || l.Verdict.Score != 7.5 || l.Record.ID != id || l.Proof[0][0].Text != "it" {
			t.Errorf("known is %+v", l.Row)
		}
		if got := w.states(t, id); got != "visible,visible" {
			t.Errorf("states %s", got)
		}
	}
	if got := w.whats(); got != "stored,viewed,viewed" {
		t.Errorf("told %s", got)
	}
}

// TestRetry shows that the retry of a sender finds what the first attempt left, whatever that was, and adds only those who
// are new.
func TestRetry(t *testing.T) {
	w := newWorld(t)
	prepare := func(to ...string) gateway.Kept {
		t.Helper()
		kept, err := w.Prepare(t.Context(), keeping(w.ids.Next(), "x", gateway.SpamScore, to...))
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	count := func(want int) {
		t.Helper()
		if got := w.files(t); len(got) != want {
			t.Errorf("%v, want %d", got, want)
		}
	}
	first := prepare("a@example.org")
	second := prepare("a@example.org", "a@example.org")
	count(1)
	first.Drop()
	count(1) // the other holds it
	if err := second.Publish(); err != nil {
		t.Fatal(err)
	}
	third := prepare("a@example.org", "b@example.org")
	count(2)
	third.Drop()
	count(1)
	if err := prepare("a@example.org", "b@example.org").Publish(); err != nil {
		t.Fatal(err)
	}
	count(2)
	// After a crash before it was shown.
	prepare("c@example.org")
	w.reopen(t)
	count(3)
	if err := prepare("c@example.org").Publish(); err != nil {
		t.Fatal(err)
	}
	count(3)
	// Mail without a name is another one each time.
	for range 2 {
		k := keeping(w.ids.Next(), "x", gateway.SpamScore, "a@example.org")
		k.Message = ""
		kept, err := w.Prepare(t.Context(), k)
		if err != nil || kept.Publish() != nil {
			t.Fatal(err)
		}
	}
	count(5)
	if rows, err := w.Find(t.Context(), &Filter{}); err != nil || len(rows) != 5 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// TestOrphans shows what becomes of messages that nobody sees: they are shown where the ledger knows that the rest was
// delivered, kept while they are young or held, and removed otherwise.
func TestOrphans(t *testing.T) {
	w := newWorld(t)
	l := new(ledger)
	w.opts.Done = l.Done
	old := gateway.ID(uint64(time.Now().Add(-Orphaned-time.Minute).UnixMilli()) << 20)
	for i, name := range []string{"delivered", "forgotten", "half"} {
		k := keeping(old+gateway.ID(i), name, gateway.SpamScore, "a@example.org", "b@example.org")
		k.Message = strings.Repeat(string(rune('a'+i)), 64)
		if _, err := w.Prepare(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		l.put(k.Message, k.Keys, []bool{name != "forgotten", name == "delivered"})
	}
	young := keeping(w.ids.Next(), "young", gateway.SpamScore, "a@example.org")
	young.Message = strings.Repeat("f", 64)
	if _, err := w.Prepare(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	w.Tend(t.Context())
	if got := w.files(t); len(got) != 4 {
		t.Errorf("while transactions hold them there are %v", got)
	}
	w.reopen(t)
	w.Tend(t.Context())
	want := []string{old.String() + ".gpq", young.Envelope.ID.String() + ".gpq.pending"}
	if got := w.files(t); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	if got := w.states(t, old); got != "visible,visible" {
		t.Errorf("the delivered is %s", got)
	}
}

// TestKeptAsRulesSay: what rules want to be kept for less goes earlier, and only where they say so of all whose mail it is.
func TestKeptAsRulesSay(t *testing.T) {
	w := newWorld(t)
	w.Tune(Tuning{Keep: 10 * time.Hour})
	for i, keeps := range [][]time.Duration{{time.Hour, time.Hour}, {time.Hour, 0}, {time.Hour, 3 * time.Hour}, {20 * time.Hour, 20 * time.Hour}} {
		id := gateway.ID(uint64(time.Now().Add(-2*time.Hour).UnixMilli())<<20) + gateway.ID(i)
		k := keeping(id, "x", gateway.SpamScore, "a@example.org", "b@example.org")
		k.Message = ""
		for n, keep := range keeps {
			k.Verdict.Rcpts[n].Keep = keep
		}
		kept, err := w.Prepare(t.Context(), k)
		if err != nil || kept.Publish() != nil {
			t.Fatal(err)
		}
		l, err := w.Look(t.Context(), id, "", 0)
		if want := [...]time.Duration{time.Hour, 10 * time.Hour, 3 * time.Hour, 10 * time.Hour}[i]; err != nil || l.Expires.Sub(l.Row.Arrived) != want {
			t.Errorf("%d: kept until %v, %v", i, l.Expires, err)
		}
	}
	if n := w.Expire(t.Context()); n != 1 {
		t.Errorf("%d expired", n)
	}
	if rows, err := w.Find(t.Context(), &Filter{}); err != nil || len(rows) != 3 {
		t.Errorf("left are %+v, %v", rows, err)
	}
}

// TestExpiry shows that each class has its time, and that the oldest of the mildest goes first when the vault is full.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	w.Tune(Tuning{Keep: 3 * time.Hour, KeepOf: map[Class]time.Duration{Malware: time.Hour}})
	ago := func(d time.Duration) gateway.ID { return gateway.ID(uint64(time.Now().Add(-d).UnixMilli()) << 20) }
	put := func(id gateway.ID, reason gateway.Reason) {
		k := keeping(id, strings.Repeat("x", 1000), reason, "a@example.org")
		k.Message = ""
		kept, err := w.Prepare(t.Context(), k)
		if err != nil || kept.Publish() != nil {
			t.Fatal(err)
		}
	}
	put(ago(4*time.Hour), gateway.SpamScore)
	put(ago(2*time.Hour), gateway.SpamScore)
	put(ago(2*time.Hour)+1, gateway.MalwareFound)
	if n := w.Expire(t.Context()); n != 2 {
		t.Errorf("%d expired", n)
	}
	if got := w.whats(); got != "stored,stored,stored,expired,expired" {
		t.Error(got)
	}
	put(ago(time.Hour), gateway.DMARCReject)
	put(ago(30*time.Minute), gateway.SpamScore)
	one := w.octets.Load() / 3
	w.Tune(Tuning{MaxSize: w.octets.Load() + 1100})
	put(ago(time.Minute), gateway.MalwareDoubtful) // with 1,200 octets it needs room
	if !strings.HasSuffix(w.whats(), ",evicted,stored") || w.octets.Load() > 3*one+1100 {
		t.Errorf("%s, %d octets", w.whats(), w.octets.Load())
	}
	w.Tune(Tuning{MaxSize: 100})
	if _, err := w.Prepare(t.Context(), keeping(ago(0), strings.Repeat("x", 1000), gateway.SpamScore, "z@example.org")); !errors.Is(err, ErrNoRoom) {
		t.Errorf("what is larger than the vault: %v", err)
	}
	w.Tend(t.Context())
	if s := w.Status(t.Context()); s.Messages != 0 || s.Octets != 0 {
		t.Errorf("left is %+v", s)
	}
	if got := w.files(t); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "probe")); !os.IsNotExist(err) {
		t.Error(err)
	}
}
