// Package ownlist knows whom recipients themselves want to hear of, or not: each has an allow and a block list of his own, which
// the portal edits. What is in force is in memory, so that no mail waits for the store that keeps it; a copy on disk serves
// while the store is away.
//
// No RFC applies.
package ownlist

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gatepost/internal/freemail"
	"gatepost/internal/smtpwire"
)

// Kind is what an entry does.
type Kind string

// The kinds.
const (
	Allow Kind = "allow" // the author is wanted, where DMARC proves that it is he
	Block Kind = "block" // mail of this reverse-path or author is not
)

// Most is how many entries a recipient may have.
const Most = 200

// Entry is one word of a recipient about a sender.
type Entry struct {
	Rcpt   string    `json:"rcpt"` // local@domain in lower case
	Kind   Kind      `json:"kind"`
	Sender string    `json:"sender"` // user@domain, or @domain for all of one, in lower case
	Time   time.Time `json:"time"`   // when it was made
}

// What users are told.
var (
	ErrAddress = errors.New("it is no address, and no domain behind an @")
	ErrShared  = errors.New("everybody can be somebody there: name one address")
	ErrFull    = errors.New("the list is full")
)

// Parse reads what a person wrote as the sender of an entry: an address, @domain, or a domain. Whole domains that everybody
// can write from cannot be allowed.
func Parse(kind Kind, text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > 320 {
		return "", ErrAddress
	}
	at := strings.LastIndexByte(text, '@')
	local, name := "", text[at+1:]
	if at > 0 {
		local = text[:at]
	}
	domain, err := smtpwire.ParseDomain(name)
	if err != nil || !strings.Contains(domain, ".") || domain[0] == '[' || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '@' || r == '"' }) {
		return "", ErrAddress
	}
	if kind == Allow && local == "" && freemail.Shared(domain) != "" {
		return "", ErrShared
	}
	return local + "@" + domain, nil
}

// Lists are the entries in force, by recipient. They never change.
type Lists struct{ by map[string][]Entry }

// NewLists sorts entries by recipient. What is malformed, as another program may have written it, is left out.
func NewLists(all []Entry) *Lists {
	l := &Lists{by: map[string][]Entry{}}
	for _, e := range all {
		at := strings.LastIndexByte(e.Sender, '@')
		if at < 0 || at == len(e.Sender)-1 || e.Kind != Allow && e.Kind != Block || len(l.by[e.Rcpt]) >= 2*Most {
			continue
		}
		l.by[e.Rcpt] = append(l.by[e.Rcpt], e)
	}
	for _, entries := range l.by {
		slices.SortFunc(entries, func(a, b Entry) int {
			if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
				return c
			}
			return strings.Compare(a.Sender, b.Sender)
		})
	}
	return l
}

// Len is how many recipients have entries.
func (l *Lists) Len() int {
	if l == nil {
		return 0
	}
	return len(l.by)
}

// Recipients are those who have entries, sorted.
func (l *Lists) Recipients() []string {
	if l == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(l.by))
}

// Of returns the entries of a recipient, sorted; they must not be changed.
func (l *Lists) Of(rcpt string) []Entry {
	if l == nil {
		return nil
	}
	return l.by[strings.ToLower(rcpt)]
}

// Find is the first entry of a kind of a recipient that names one of some senders (local@domain in any case), or nil.
func (l *Lists) Find(rcpt string, kind Kind, senders ...string) *Entry {
	of := l.Of(rcpt)
	for i := range of {
		for _, s := range senders {
			if of[i].Kind == kind && of[i].names(strings.ToLower(s)) {
				return &of[i]
			}
		}
	}
	return nil
}

func (e *Entry) names(sender string) bool {
	return sender == e.Sender || e.Sender[0] == '@' && strings.HasSuffix(sender, e.Sender)
}

// Store keeps entries. Its methods are safe for concurrent use.
type Store interface {
	// Revision grows with each change.
	Revision(ctx context.Context) (int64, error)
	// All returns every entry, and the revision that they are of.
	All(ctx context.Context) ([]Entry, int64, error)
	// Of returns the entries of a recipient.
	Of(ctx context.Context, rcpt string) ([]Entry, error)
	// Put adds an entry, in place of one of the same recipient and sender; ErrFull where he has Most of the kind.
	Put(ctx context.Context, e Entry) error
	// Remove takes one out; nothing where there is none.
	Remove(ctx context.Context, rcpt string, kind Kind, sender string) error
	// Watch tells of changes, on all nodes.
	Watch(ctx context.Context) <-chan struct{}
}
