package doctor

import (
	"context"
	"net/netip"
)

// List is one DNS list that the policy uses.
type List struct {
	Name    string
	Armed   bool   // its test points answer as they should, from here
	Why     string // they do not
	Website string
	Listed  []netip.Addr // of the addresses that were asked about
	Unknown []netip.Addr // about which it could not be told
}

// lookLists looks whether the lists work from here, and whether they have our own addresses.
func (w *World) lookLists(ctx context.Context, r *Report) {
	var own []netip.Addr
	for _, a := range w.DNS.Lookup(ctx, w.Hostname, Addresses).Addrs {
		if a.IsGlobalUnicast() && !a.IsPrivate() && len(own) < mostHosts {
			own = append(own, a)
		}
	}
	all, err := w.AskLists(ctx, own)
	p := r.at(0)
	switch {
	case err != nil:
		p.fail("lists.used", "", err.Error(), "gatepost check")
		return
	case len(all) == 0 && w.ListsNamed > 0:
		p.warn("lists.used", "", count(w.ListsNamed, "list is", "lists are")+" named and none is asked", w.key("rbl.use", `"commercial"`)+`    or "non-commercial", as you may use them`)
		return
	case len(all) == 0:
		p.ok("lists.used", "", "none is used")
		return
	}
	p.ok("lists.used", "", count(len(all), "list", "lists"))
	for _, l := range all {
		if !l.Armed {
			p.warn("lists.works", l.Name, "is not used for mail, since it does not prove that it works: "+l.Why, "see dns.public; gatepost rbl test 127.0.0.2 shows each answer; its terms: "+l.Website)
			continue
		}
		p.ok("lists.works", l.Name, "its test points answer as they should")
		switch {
		case len(l.Listed) > 0:
			p.warn("lists.listed", l.Name, join(l.Listed)+" of this host is on it: mail that leaves from there is refused by those who use it", "find out what was sent from there, then ask to be taken off: "+l.Website)
		case len(l.Unknown) > 0:
			p.unknown("lists.listed", l.Name, "whether "+join(l.Unknown)+" of this host is on it cannot be told")
		case len(own) > 0:
			p.ok("lists.listed", l.Name, join(own)+" of this host is not on it")
		}
	}
}
