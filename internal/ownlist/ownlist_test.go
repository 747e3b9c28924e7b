package ownlist

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestParse: what people write is an address or a domain, in one form; what everybody could be is not allowed.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		text, want string
		err        error
	}{
		{Block, " Anna@Partner.Example ", "anna@partner.example", nil},
		{Allow, "anna@gmail.com", "anna@gmail.com", nil},
		{Allow, "@partner.example", "@partner.example", nil},
		{Allow, "partner.example", "@partner.example", nil},
		{Block, "gmail.com", "@gmail.com", nil},
		{Block, "anna@müller.example", "anna@xn--mller-kva.example", nil},
		{Allow, "gmail.com", "", ErrShared},
		{Block, "", "", ErrAddress},
		{Block, "@", "", ErrAddress},
		{Block, "anna@", "", ErrAddress},
		{Block, "com", "", ErrAddress},
		{Block, "anna", "", ErrAddress},
		{Block, "a b@partner.example", "", ErrAddress},
		{Block, "a@b@partner.example", "", ErrAddress},
		{Block, "*@partner.example", "*@partner.example", nil}, // an address that nobody has: it does no harm
		{Block, "[192.0.2.1]", "", ErrAddress},
		{Block, "<anna@partner.example>", "", ErrAddress},
		{Block, "anna@partner.example\r\nX: y", "", ErrAddress},
		{Block, strings.Repeat("a", 400) + "@partner.example", "", ErrAddress},
	} {
		if got, err := Parse(c.kind, c.text); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s %q: %q, %v", c.kind, c.text, got, err)
		}
	}
}

// TestFind: an entry is about its recipient and its senders, and nothing that only looks like them.
func TestFind(t *testing.T) {
	l := NewLists([]Entry{{Rcpt: "bob@one.example", Kind: Allow, Sender: "@partner.example"}, {Rcpt: "bob@one.example", Kind: Block, Sender: "eve@partner.example"},
		{Rcpt: "bob@one.example", Kind: "other", Sender: "x@y.example"}, {Rcpt: "bob@one.example", Kind: Block, Sender: "nothing"}, {Rcpt: "bob@one.example", Kind: Block, Sender: "x@"}})
	for _, c := range []struct {
		rcpt    string
		kind    Kind
		senders []string
		want    bool
	}{
		{"Bob@One.Example", Allow, []string{"Anna@Partner.example"}, true},
		{"bob@one.example", Allow, []string{"anna@sub.partner.example"}, false},
		{"bob@one.example", Allow, []string{"anna@evilpartner.example"}, false},
		{"bob@one.example", Allow, []string{"partner.example"}, false},
		{"bob@one.example", Block, []string{"anna@partner.example"}, false},
		{"bob@one.example", Block, []string{"", "eve@partner.example"}, true},
		{"ann@one.example", Block, []string{"eve@partner.example"}, false},
		{"bob@one.example", Block, nil, false},
	} {
		if got := l.Find(c.rcpt, c.kind, c.senders...) != nil; got != c.want {
			t.Errorf("%s of %s, %v: %v", c.kind, c.rcpt, c.senders, got)
		}
	}
	var none *Lists
	if none.Len() != 0 || none.Find("a@b.example", Allow, "c@d.example") != nil || len(l.Of("bob@one.example")) != 2 {
		t.Error("no lists, or malformed entries")
	}
}

// shelf is a store in memory, which may be away.
type shelf struct {
	Store
	all []Entry
	rev int64
	err error
}

func (s *shelf) Revision(context.Context) (int64, error)     { return s.rev, s.err }
func (s *shelf) All(context.Context) ([]Entry, int64, error) { return s.all, s.rev, s.err }

// TestBook: what was known is in force again after a restart, while the store is away too; a damaged copy is none.
func TestBook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.json")
	s := &shelf{all: []Entry{{Rcpt: "bob@one.example", Kind: Block, Sender: "eve@partner.example"}}, rev: 3}
	b := NewBook(s, file, slog.New(slog.DiscardHandler))
	if b.Lists().Len() != 0 {
		t.Fatal("there is something before the store was asked")
	}
	if err := b.Load(t.Context()); err != nil || b.Lists().Len() != 1 {
		t.Fatal(err)
	}
	s.err = errors.New("away")
	again := NewBook(s, file, slog.New(slog.DiscardHandler))
	if err := again.Load(t.Context()); err == nil || again.Lists().Len() != 1 {
		t.Errorf("after a restart: %v, %d", err, again.Lists().Len())
	}
	s.err, s.all, s.rev = nil, nil, 0 // another store, in which nobody changed anything
	if err := again.Load(t.Context()); err != nil || again.Lists().Len() != 0 {
		t.Errorf("the copy stays in force: %v, %d", err, again.Lists().Len())
	}
	if err := os.WriteFile(file, []byte(`[{"rcpt":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if NewBook(s, file, slog.New(slog.DiscardHandler)).Lists().Len() != 0 {
		t.Error("of a damaged copy")
	}
}

// FuzzParse: whatever people write is refused, or an entry that finds itself.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"anna@partner.example", "@müller.example", "a\x00@b.example", "\"a b\"@c.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sender, err := Parse(Block, text)
		if err != nil {
			return
		}
		if again, err := Parse(Block, sender); err != nil || again != sender {
			t.Fatalf("%q became %q, then %q, %v", text, sender, again, err)
		}
		if who := sender; who[0] != '@' && NewLists([]Entry{{Rcpt: "r@s.example", Kind: Block, Sender: sender}}).Find("r@s.example", Block, who) == nil {
			t.Fatalf("%q does not find itself", sender)
		}
	})
}
