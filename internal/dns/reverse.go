package dns

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// maxReverse is how many PTR names of an address are looked at; whoever holds
// the address decides how many there are.
const maxReverse = 5

// ReverseLookup is the part of a Resolver that ConfirmedReverse needs.
type ReverseLookup interface {
	AddrLookup
	PTR(ctx context.Context, addr netip.Addr) Answer[string]
}

// Reverse is what the DNS says about who an address is.
type Reverse struct {
	// Status is Found when a name was confirmed; None when the address has no
	// name (Names is empty) or none that leads back to it; Failed when a lookup
	// failed or was bogus and no other name was confirmed.
	Status Status
	// Name is the first confirmed name, lower case without the final dot; ""
	// unless Status is Found. It is a ValidName.
	Name string
	// Names is the PTR names that were looked at, in the order of the answer.
	Names []ReverseMatch
	// Cut means that there are more PTR names, which were not looked at.
	Cut bool
	// AD means that the PTR answer and the confirming answer were validated.
	AD bool
	// Detail is a few words on why Status is not Found.
	Detail string
}

// ReverseMatch is one PTR name and where it leads.
type ReverseMatch struct {
	// Name is as Record.Host: it may be no valid name.
	Name string
	// Confirmed means that the address is among those of the name.
	Confirmed bool
	// Forward and Kind are the outcome of the lookup of the name's addresses.
	Forward Status
	Kind    Kind
}

// ConfirmedReverse does forward-confirmed reverse DNS (the "iprev" of RFC 8601
// section 3): the PTR names of addr, the first five at the same time, each
// looked up for addresses of the same family.
func ConfirmedReverse(ctx context.Context, r ReverseLookup, addr netip.Addr) Reverse {
	addr = addr.Unmap().WithZone("")
	ptr := r.PTR(ctx, addr)
	out := Reverse{Status: ptr.Status, Cut: ptr.Cut}
	switch ptr.Status {
	case Found:
	case None:
		out.Detail = "address has no name"
		return out
	default:
		out.Status, out.Detail = Failed, "reverse lookup: "+ptr.Kind.String()
		return out
	}
	names := slices.Compact(ptr.Records)
	if len(names) > maxReverse {
		names, out.Cut = names[:maxReverse], true
	}
	forward := make([]Answer[netip.Addr], len(names))
	var wg sync.WaitGroup
	look := func(i int) {
		if addr.Is4() {
			forward[i] = r.A(ctx, names[i])
		} else {
			forward[i] = r.AAAA(ctx, names[i])
		}
	}
	for i := range names[1:] {
		wg.Go(func() { look(i + 1) })
	}
	look(0)
	wg.Wait()
	out.judge(addr, names, forward, ptr.AD)
	return out
}

// judge takes the first confirmed name. A forward answer that is cut short or
// failed cannot tell that the address is not among the name's.
func (out *Reverse) judge(addr netip.Addr, names []string, forward []Answer[netip.Addr], ad bool) {
	out.Status, out.Detail = None, "no name of the address leads back to it"
	for i, f := range forward {
		m := ReverseMatch{Name: names[i], Forward: f.Status, Kind: f.Kind, Confirmed: slices.Contains(f.Records, addr)}
		out.Names = append(out.Names, m)
		switch {
		case out.Name != "":
		case m.Confirmed:
			out.Status, out.Name, out.AD, out.Detail = Found, m.Name, ad && f.AD, ""
		case f.Status == Failed || f.Status == Bogus || f.Cut:
			out.Status, out.Detail = Failed, "forward lookup of "+printable(m.Name, maxName)+" cannot tell"
		}
	}
}
