package filters

import (
	"cmp"
	"time"
)

// Expiring is an entry of a list that soon counts no more.
type Expiring struct {
	Entry string // what stands in it
	Owner string
	Last  time.Time // the last day on which it counts
}

// ExpiringOf returns the entries of a check's options whose last day is from one day to another; nil for checks without lists.
func ExpiringOf(options any, from, to time.Time) (out []Expiring) {
	add := func(entry string, n *Note) {
		if day := n.Expires.Day; !day.IsZero() && !day.Before(from) && !day.After(to) {
			out = append(out, Expiring{entry, n.Owner, day})
		}
	}
	switch o := options.(type) {
	case *ClientEntries:
		for i := range o.Entries {
			e := &o.Entries[i]
			add(e.List+" "+e.Network.String(), &e.Note)
		}
	case *SenderEntries:
		for i := range o.Entries {
			e := &o.Entries[i]
			add("block "+cmp.Or(e.Address, e.Helo, e.Reverse), &e.Note)
		}
	case *AuthorEntries:
		for i := range o.Entries {
			e := &o.Entries[i]
			add("allow "+e.Address, e.note())
		}
	}
	return out
}
