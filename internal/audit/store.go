package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Store keeps the chain. internal/store/admin implements it.
type Store interface {
	// Append puts entries at the end, in one transaction, in their order, and returns the last of the chain. One whose Source is
	// there already is left out.
	Append(ctx context.Context, entries []Entry) (Head, error)
	// List returns what the filter picks, the newest first.
	List(ctx context.Context, f Filter) ([]Row, error)
	// Walk returns entries after a number, in their order, at most so many.
	Walk(ctx context.Context, after int64, most int) ([]Row, error)
	// Erase empties the text of entries that are older, leaves their places in the chain, and appends an entry that says how far, all
	// in one transaction. It returns how many it emptied.
	Erase(ctx context.Context, older time.Time, by Entry) (int64, error)
}

// Filter picks entries; an empty field picks all.
type Filter struct {
	Actor, Operation, Object, Domain string
	Domains                          []string  // of any of these; nil: of all, and of none
	From, To                         time.Time // To is not included
	Below                            int64     // numbers below it; 0: all
	Most                             int       // at most so many; 0: 100
}

// Head is the last entry of a chain, for the node that saw it.
type Head struct {
	Number int64 `json:"number"`
	Hash   Hash  `json:"-"`
}

// String is "number hash".
func (h Head) String() string { return fmt.Sprintf("%d %x", h.Number, h.Hash) }

// ParseHead reads what String wrote.
func ParseHead(s string) (Head, error) {
	var n, sum string
	if _, err := fmt.Sscan(s, &n, &sum); err != nil {
		return Head{}, fmt.Errorf("head of the audit log: %w", err)
	}
	number, err := strconv.ParseInt(n, 10, 64)
	b, bad := hex.DecodeString(sum)
	if err != nil || bad != nil || len(b) != len(Hash{}) || number < 1 {
		return Head{}, fmt.Errorf("head of the audit log: %q is no number and hash", cut(s, 100))
	}
	return Head{number, Hash(b)}, nil
}
