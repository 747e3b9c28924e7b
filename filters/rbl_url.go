package filters

import (
	"context"
	"net/netip"
	"slices"

	"gatepost/gateway"
	"gatepost/internal/confusable"
	"gatepost/internal/links"
	"gatepost/rbl"
)

// urlLister is the check rbl.url.
type urlLister struct {
	*lister
	names *confusable.Names // well-known ones
}

func (c *lister) urls() Built {
	u := &urlLister{lister: c, names: confusable.New(confusable.Config{WellKnown: confusable.WellKnown()})}
	return Built{Run: u.run, Ready: u.ready}
}

// mostListed is how many hosts of a message lists are asked about.
const mostListed = 20

// factListURLs is the name of the fact.
const factListURLs = "rbl urls"

func (c *urlLister) run(ctx context.Context, in *gateway.Input) gateway.Finding {
	if isInside(in.Session.Client.Addr()) { // a relay's says nothing of links
		return leftOut(in.Session)
	}
	asked := c.hosts(ctx, in)
	if asked == nil {
		return noInput()
	}
	subject := "the links"
	if len(asked.Hosts) > 0 {
		subject = asked.Hosts[0]
	}
	results := c.ask(ctx, &in.Envelope.Facts, factListURLs, rbl.Subject{Links: asked})
	return c.tell(in, subject, results, c.priced(in, true, true))
}

func (c *urlLister) ready(in *gateway.Input) bool {
	if isInside(in.Session.Client.Addr()) {
		return true
	}
	return c.d.linksReady(in) && c.hosts(context.Background(), in) == nil // which waits for nothing then
}

// hosts are those that lists are asked about, chosen once; nil for none.
func (c *urlLister) hosts(ctx context.Context, in *gateway.Input) *rbl.Links {
	l := c.d.linksIn(ctx, in)
	if len(l.Links) == 0 {
		return nil
	}
	return gateway.Fact(&in.Envelope.Facts, "rbl urls asked", func() *rbl.Links { return c.choose(l) })
}

// candidate is a host that may be asked about.
type candidate struct {
	u    *links.URI
	rank int // the lower the sooner
}

// choose takes the hosts that are worth a question: of what is followed before what is fetched, of what is written oddly first,
// and of each registered domain two hosts at most, since most lists have the domain only.
func (c *urlLister) choose(l *linked) *rbl.Links {
	var all []candidate
	for i := range l.Links {
		u := &l.ends[i]
		if !u.Web() || c.known(u) {
			continue
		}
		rank := 2
		switch {
		case u.Odd != 0 || l.uris[i].Odd != 0 || l.Links[i].Where == links.InQR || l.Links[i].Where == links.InForm:
			rank = 0
		case followed(l.Links[i].Where):
			rank = 1
		}
		all = append(all, candidate{u, rank})
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.rank - b.rank })
	out, domains := &rbl.Links{}, map[string]int{}
	for _, k := range all {
		switch {
		case len(out.Hosts)+len(out.Addrs) == mostListed:
			return out
		case k.u.Addr.IsValid():
			if a := k.u.Addr.Unmap(); c.inputs&rbl.LinkIPv4 != 0 && a.Is4() && !slices.Contains(out.Addrs, a) {
				out.Addrs = append(out.Addrs, a)
			}
		case domains[k.u.Domain] < 2 && !slices.Contains(out.Hosts, k.u.Host):
			domains[k.u.Domain]++
			out.Hosts = append(out.Hosts, k.u.Host)
		}
	}
	if len(out.Hosts)+len(out.Addrs) == 0 {
		return nil
	}
	return out
}

// known reports whether asking about a host would be a waste: no list has it, or it is ours.
func (c *urlLister) known(u *links.URI) bool {
	if u.Addr.IsValid() {
		return !askable(u.Addr)
	}
	if u.Domain == "" || links.Tracker(u.Domain) || links.Shortener(u.Host) || c.names.Protected(u.Domain) != "" || c.d.Policy.Domain(u.Host) != nil {
		return true
	}
	switch u.Domain {
	case "w3.org", "schema.org", "gstatic.com", "googleapis.com", "google-analytics.com", "googletagmanager.com", "doubleclick.net", "gravatar.com", "wp.com", "x.com",
		"twitter.com", "t.me", "wikipedia.org", "wikimedia.org", "pinterest.com", "xing.com", "vimeo.com", "medium.com", "cloudfront.net", "akamaized.net", "jsdelivr.net",
		"cloudflare.com", "unpkg.com", "bootstrapcdn.com", "fontawesome.com", "typekit.net", "office.com", "live.com", "bing.com", "msn.com", "windows.net", "mozilla.org",
		"apache.org", "ietf.org", "debian.org", "europa.eu", "trustpilot.com", "adobe.com", "aka.ms", "sentry.io", "stackoverflow.com":
		return true
	}
	return false
}

// askable reports whether the public knows anything of an address.
func askable(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }
