package portal

import (
	"context"
	"net/http"
)

// Fault is why an entry of a list could not be made.
type Fault uint8

// The faults. The zero value is none.
const (
	Fine      Fault = iota
	BadSender       // no address and no domain
	Shared          // a domain that everybody can write from
	Full            // there are too many
	Away            // the lists cannot be read or changed now
)

// Lists are users' own allow and block lists. A kind is "allow" or "block".
type Lists interface {
	// Of returns what a user wants and does not want, sorted.
	Of(ctx context.Context, address string) (allow, block []string, fault Fault)
	Put(ctx context.Context, address, kind, sender string) Fault
	Remove(ctx context.Context, address, kind, sender string) Fault
}

// entries is what the page shows of one list.
type entries struct {
	W            *userWords
	Kind, Button string
	Entries      []string
	Typed        string // what could not be taken, to mend
}

// listsPage is what the page shows.
type listsPage struct {
	Said         string
	Away         bool
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
	if kind == "allow" {
		page.Allow.Typed = typed
	} else {
		page.Block.Typed = typed
	}
	fault := Away
	if lists := p.Users.Lists(); lists != nil {
		page.Allow.Entries, page.Block.Entries, fault = lists.Of(v.r.Context(), v.address)
	}
	if fault != Fine {
		page.Away, page.Said, status = true, "", http.StatusServiceUnavailable
	}
	v.page(status, "lists", page)
}

// change does something to a list of who is logged in, and shows what came of it.
func (p *Portal) change(v *visit, do func(l Lists, kind, sender string) Fault) {
	kind, sender := v.field("kind"), v.field("sender")
	lists := p.Users.Lists()
	if kind != "allow" && kind != "block" {
		http.Error(v.w, "not a form of ours", http.StatusBadRequest)
		return
	}
	fault := Away
	if lists != nil {
		fault = do(lists, kind, sender)
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
	p.change(v, func(l Lists, kind, sender string) Fault { return l.Put(v.r.Context(), v.address, kind, sender) })
}

func (p *Portal) removeEntry(v *visit) {
	p.change(v, func(l Lists, kind, sender string) Fault { return l.Remove(v.r.Context(), v.address, kind, sender) })
}
