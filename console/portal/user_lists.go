package portal

import (
	"context"
	"net/http"
)

// Fault is why an entry of a list could not be made.
type Fault uint8

// The faults. The zero value is none.
const (
	Fine       Fault = iota
	BadSender        // no address and no domain
	Shared           // a domain that everybody can write from
	Full             // there are too many
	Away             // the lists, or the links, cannot be read or changed now
	BadAddress       // no address of a mailbox here
	Already          // it is the user's own, or linked before
	Often            // he asked for too many links lately
	BadLink          // used, expired, or none
	NotYours         // only somebody else may use it
	Wrong            // name or password, or nobody was proved
	NoMailbox        // who was proved has no address here
)

// Lists are users' own allow and block lists. A kind is "allow" or "block".
type Lists interface {
	// Of returns what a user wants and does not want, sorted.
	Of(ctx context.Context, address string) (allow, block []string, fault Fault)
	// Put has a user put a sender on a list of an address of his, and off the other one.
	Put(ctx context.Context, user, address, kind, sender string) Fault
	Remove(ctx context.Context, user, address, kind, sender string) Fault
}

// entries is what the page shows of one list.
type entries struct {
	W            *userWords
	Kind, Button string
	Entries      []listEntry
	Addresses    []string // of the user; he chooses where there are several
	Typed, For   string   // what could not be taken, to mend
}

// listEntry is a sender, and the address of the user that it counts for.
type listEntry struct{ Sender, For string }

// listsPage is what the page shows.
type listsPage struct {
	Said         string
	Away         bool
	Part         bool // his further addresses are not known now
	Allow, Block entries
}

func (p *Portal) ownLists(v *visit) {
	said := ""
	if v.r.URL.RawQuery == "saved" {
		said = v.words.Saved
	}
	p.showLists(v, http.StatusOK, said, "", "")
}

func (p *Portal) showLists(v *visit, status int, said, kind, typed string) {
	page := listsPage{Said: said, Allow: entries{W: v.words, Kind: "allow", Button: v.words.Allow}, Block: entries{W: v.words, Kind: "block", Button: v.words.Block}}
	for _, e := range []*entries{&page.Allow, &page.Block} {
		if e.Kind == kind {
			e.Typed, e.For = typed, v.field("for")
		}
	}
	fault := Away
	if lists := p.Users.Lists(); lists != nil {
		all, whole := p.addresses(v)
		page.Part, fault = !whole, Fine
		page.Allow.Addresses, page.Block.Addresses = all, all
		for _, address := range all {
			allow, block, f := lists.Of(v.r.Context(), address)
			page.Allow.add(allow, address)
			page.Block.add(block, address)
			fault = max(fault, f)
		}
	}
	if fault != Fine {
		page.Away, page.Said, status = true, "", http.StatusServiceUnavailable
	}
	v.page(status, "lists", page)
}

func (e *entries) add(senders []string, address string) {
	for _, s := range senders {
		e.Entries = append(e.Entries, listEntry{s, address})
	}
}

// change does something to a list of who is logged in, and shows what came of it.
func (p *Portal) change(v *visit, do func(l Lists, address, kind, sender string) Fault) {
	kind, sender := v.field("kind"), v.field("sender")
	address, mine, known := p.chosen(v)
	lists := p.Users.Lists()
	if kind != "allow" && kind != "block" || !mine && known {
		http.Error(v.w, "not a form of ours", http.StatusBadRequest)
		return
	}
	fault := Away
	if lists != nil && mine {
		fault = do(lists, address, kind, sender)
	}
	switch fault {
	case Fine:
		v.to("/lists?saved")
	case Away:
		p.showLists(v, http.StatusServiceUnavailable, v.words.ListsAway, kind, sender)
	default:
		say := map[Fault]string{BadSender: v.words.BadSender, Shared: v.words.SharedSender, Full: v.words.Full}[fault]
		p.showLists(v, http.StatusUnprocessableEntity, say, kind, sender)
	}
}

func (p *Portal) addEntry(v *visit) {
	p.change(v, func(l Lists, address, kind, sender string) Fault {
		return l.Put(v.r.Context(), v.address, address, kind, sender)
	})
}

func (p *Portal) removeEntry(v *visit) {
	p.change(v, func(l Lists, address, kind, sender string) Fault {
		return l.Remove(v.r.Context(), v.address, address, kind, sender)
	})
}
