package audit

import (
	"context"
	"fmt"
	"strconv"
)

// EraseOperation is what the entry of Erase calls itself; its object is the last number that went.
const EraseOperation = "audit retain"

// Report is what Verify found.
type Report struct {
	Entries int64  `json:"entries"`
	Erased  int64  `json:"erased"` // of these by age
	Head    string `json:"head"`   // number and hash of the last
	Bad     int64  `json:"bad"`    // number of the first that does not hold; 0: all hold
	Why     string `json:"why,omitempty"`
}

// verifyPage is how many entries are read at once.
const verifyPage = 500

// Verify goes through the whole chain and tells the first entry that does not hold. seen are heads that nodes noted: each must
// still be there.
func Verify(ctx context.Context, s Store, seen ...Head) (Report, error) {
	var r Report
	var last Head
	var allowed int64
	for {
		rows, err := s.Walk(ctx, last.Number, verifyPage)
		if err != nil {
			return r, err
		}
		for i := range rows {
			e := &rows[i]
			if why := e.fault(last); why != "" {
				r.Bad, r.Why = last.Number+1, why
				return r, nil
			}
			if e.Erased {
				r.Erased++
				if e.Number != r.Erased {
					r.Bad, r.Why = e.Number, "its text was removed, and that of an older one was not"
					return r, nil
				}
			}
			if n, err := strconv.ParseInt(e.Object, 10, 64); e.Operation == EraseOperation && err == nil && n < e.Number {
				allowed = max(allowed, n)
			}
			last = Head{e.Number, e.Hash}
			r.Entries, r.Head = r.Entries+1, last.String()
			for _, h := range seen {
				if h.Number == last.Number && h.Hash != last.Hash {
					r.Bad, r.Why = h.Number, "a node saw another entry at its place"
					return r, nil
				}
			}
		}
		if len(rows) < verifyPage {
			break
		}
	}
	if r.Erased > allowed {
		r.Bad, r.Why = allowed+1, "its text was removed, and no entry says so"
	}
	for _, h := range seen {
		if h.Number > last.Number && r.Bad == 0 {
			r.Bad, r.Why = last.Number+1, fmt.Sprintf("it was removed: a node saw entries up to %d", h.Number)
		}
	}
	return r, nil
}

// fault says why a row is not what follows the head; "" where it is.
func (r *Row) fault(last Head) string {
	switch {
	case r.Number != last.Number+1:
		return fmt.Sprintf("it was removed: %d is followed by %d", last.Number, r.Number)
	case !r.Erased && r.Entry.Digest() != r.Digest:
		return "it was changed"
	case r.Erased && !r.empty():
		return "its text was removed, and another was put in its place"
	case Chain(last.Hash, r.Number, r.Digest) != r.Hash:
		return "it does not follow the one before it"
	}
	return ""
}

// empty reports whether nothing is left of what the entry said, but for when, and its own name.
func (e *Entry) empty() bool {
	for _, t := range e.texts() {
		if t != &e.Source && *t != "" {
			return false
		}
	}
	return true
}
