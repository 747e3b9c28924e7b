package doctor

import (
	"context"
	"fmt"
	"strings"
)

// Hop is one next hop, as it was found a moment ago by the very code that relays to it.
type Hop struct {
	Route     string
	Address   string
	Said      error  // why mail cannot go there; nil where it can
	Mode      string // what is asked of its encryption
	TLS       string // of the connection; "" in clear
	Inside    bool   // it is on this host: nobody listens between
	Size      int64  // 0 for no limit said
	EightBit  bool
	UTF8      bool
	Chunking  bool
	DSN       bool
	Recommend string // what to do about Said, where it is known
}

// Knows is what the next hop of a domain says of recipients.
type Knows struct {
	Domain, Route, NextHop string
	Asked                  bool   // it gave a clear answer
	Everyone               bool   // it takes every recipient
	NoPostmaster           string // what it says to mail for postmaster, where it does not take it
}

// nextHops looks at the servers behind.
func (w *World) nextHops(ctx context.Context, r *Report) {
	p := r.at(0)
	hops, knows, err := w.AskHops(ctx)
	if err != nil {
		p.fail("nexthops.reach", "", err.Error(), "gatepost check")
		return
	}
	good := map[string]bool{}
	for i := range hops {
		good[hops[i].Route] = good[hops[i].Route] || hops[i].Said == nil
	}
	for i := range hops {
		w.hop(p, &hops[i], good[hops[i].Route])
	}
	for i := range knows {
		w.recipients(p, &knows[i], good[knows[i].Route])
	}
}

func (w *World) hop(p part, h *Hop, others bool) {
	about := h.Address + " (route " + h.Route + ")"
	if h.Said != nil {
		fix := h.Recommend
		if fix == "" {
			fix = w.has("route." + h.Route + ".next_hop")
			if !strings.HasPrefix(h.Address, "mx:") && !strings.HasPrefix(h.Address, "srv:") { // else it is somebody else's
				fix = "gatepost handover tells what that server must allow; " + fix
			}
		}
		if others {
			p.warn("nexthops.reach", about, h.Said.Error()+"; another next hop of the route takes its mail", fix)
		} else {
			p.fail("nexthops.reach", about, h.Said.Error()+"; no next hop of the route takes mail", fix)
		}
		return
	}
	p.ok("nexthops.reach", about, "takes mail")
	w.hopTLS(p, h, about)
	w.hopOffers(p, h, about)
}

func (w *World) hopTLS(p part, h *Hop, about string) {
	const id = "nexthops.tls"
	key := "route." + h.Route + ".tls"
	switch {
	case h.TLS != "":
		p.ok(id, about, h.TLS+", tls = "+h.Mode)
	case h.Inside:
		p.ok(id, about, "in clear, on this host")
	case h.Mode == "none":
		p.warn(id, about, "in clear, as it is written: whoever is between reads and changes mail", w.key(key, `"required"`)+`    with ca_file, or "fingerprint"`)
	default:
		p.warn(id, about, "in clear, since it offers no STARTTLS that works", "let it offer STARTTLS; then "+w.key(key, `"required"`))
	}
}

func (w *World) hopOffers(p part, h *Hop, about string) {
	if h.Size > 0 && h.Size < w.MessageSize {
		p.warn("nexthops.size", about, fmt.Sprintf("takes messages up to %d octets, and limits.message_size is %d: bigger ones are refused", h.Size, w.MessageSize),
			fmt.Sprintf("raise it there to %d, or %s", w.MessageSize, w.key("limits.message_size", fmt.Sprint(h.Size))))
	} else {
		size := fmt.Sprintf("SIZE %d", h.Size)
		if h.Size == 0 {
			size = "no limit is said"
		}
		p.ok("nexthops.size", about, size)
	}
	var has, lacks []string
	for _, x := range []struct {
		name string
		has  bool
	}{{"8BITMIME", h.EightBit}, {"SMTPUTF8", h.UTF8}, {"DSN", h.DSN}, {"CHUNKING", h.Chunking}} {
		if x.has {
			has = append(has, x.name)
		} else {
			lacks = append(lacks, x.name)
		}
	}
	text := "offers " + strings.Join(has, ", ")
	if len(has) == 0 {
		text = "offers none of 8BITMIME, SMTPUTF8, DSN, CHUNKING"
	}
	switch {
	case !h.EightBit:
		p.warn("nexthops.offers", about, "does not offer 8BITMIME: mail that is not plain ASCII is refused here", "let it offer 8BITMIME; every server of today can")
	case len(lacks) > 0:
		p.ok("nexthops.offers", about, text+"; not "+strings.Join(lacks, ", ")+", so neither does this gateway for its domains")
	default:
		p.ok("nexthops.offers", about, text)
	}
}

// recipients says whether a next hop's word about recipients is worth anything.
func (w *World) recipients(p part, k *Knows, reached bool) {
	const id = "nexthops.recipients"
	switch {
	case !k.Asked && !reached:
	case !k.Asked:
		p.unknown(id, k.Domain, "its next hop gave no clear answer about a recipient that cannot exist", "gatepost recipients directories")
	case k.Everyone:
		p.warn(id, k.Domain, k.NextHop+" takes every recipient, so mail to nobody is taken here and bounces there", "have it refuse at RCPT whom it does not know, or "+w.key("route."+k.Route+".recipients", `"directory"`)+"    (docs/recipients.md; Exchange needs it)")
	case k.NoPostmaster != "":
		p.warn(id, k.Domain, "no postmaster: "+k.NextHop+" says "+k.NoPostmaster, "make postmaster@"+k.Domain+" there, or "+w.key("postmaster", `"admin@`+k.Domain+`"`))
	default:
		p.ok(id, k.Domain, k.NextHop+" refuses whom it does not know, and takes postmaster")
	}
}
