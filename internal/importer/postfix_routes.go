package importer

import (
	"slices"
	"strings"

	"gatepost/internal/importer/postfix"
)

// class is one class of domains of ADDRESS_CLASS_README.
type class struct {
	list, transport string
	relayed         bool // mail leaves the machine by default
}

// destinations are the domains that are served, and their routes.
func (m *postfixImport) destinations() {
	for _, name := range []string{"transport_maps", "relayhost", "relay_transport", "local_transport", "virtual_transport", "default_transport",
		"parent_domain_matches_subdomains", "recipient_delimiter"} {
		m.seen[name] = true
	}
	for _, c := range []class{{"mydestination", "local_transport", false}, {"virtual_mailbox_domains", "virtual_transport", false},
		{"relay_domains", "relay_transport", true}} {
		m.seen[c.list] = true
		if p, set := m.c.Get(c.list); !set && c.list != "relay_domains" {
			_ = p
			continue // the machine's own name, or none
		}
		for _, i := range m.c.List(c.list) {
			m.element(c, i)
		}
	}
	m.unusedTransports()
	if p, set := m.get("recipient_delimiter"); set && p.Value != "" {
		m.leave(p.At.String(), written(p), "sub-addresses are the next hop's own: it is asked for the whole address", "")
	}
	if len(m.domains) == 0 {
		m.leave("main.cf", "relay_domains, transport_maps", "no domain is left that mail is taken for and passed on", "write a [[domain]] and its [[route]] in policy.toml")
	}
}

// element takes one element of a list of domains.
func (m *postfixImport) element(c class, i postfix.Item) {
	if i.Table == nil {
		m.domain(c, i.Text, i.Not, i.At, c.list+": "+i.Text)
		return
	}
	switch {
	case i.Table.Err != nil:
		m.leave(i.At.String(), c.list+": "+i.Text, "cannot be read: "+i.Table.Why(), "write its domains as [[domain]]")
	case i.Table.Kind == postfix.Indexed:
		for _, e := range i.Table.Entries {
			if !strings.Contains(e.Key, "@") { // virtual_mailbox_maps has addresses too
				m.domain(c, e.Key, i.Not, e.At, c.list+": "+e.Key)
			}
		}
	case i.Table.Kind == postfix.Regexp:
		for _, e := range i.Table.Entries {
			name, start, end, ok := postfix.Literal(e.Key)
			if !ok || !start && !strings.HasPrefix(name, ".") || !end || e.Not || e.Within {
				m.leave(e.At.String(), c.list+": "+e.Key, "is an expression that is not one plain domain", "write the domains that it means as [[domain]]")
				continue
			}
			m.domain(c, name, i.Not, e.At, c.list+": "+e.Key)
		}
	default:
		m.leave(i.At.String(), c.list+": "+i.Text, "a table that takes every domain makes an open relay", "write the domains as [[domain]]")
	}
}

func (m *postfixImport) domain(c class, name string, not bool, at postfix.Place, what string) {
	plain, below := strings.CutPrefix(name, ".")
	domain, ok := domainName(plain)
	switch {
	case not:
		m.leave(at.String(), what, "takes a domain out of those behind it; here every domain is named", "look whether a [[domain]] with subdomains takes it in")
		return
	case !ok:
		m.leave(at.String(), what, "is no domain", "")
		return
	case domain == "localhost" || strings.HasPrefix(domain, "localhost.") || slices.Contains(m.own, domain):
		m.leave(at.String(), what, "is the machine itself: its own mail (cron, root) does not come through a gateway", "let the machine send it to the internal mail server")
		return
	}
	subdomains := below || c.list == "relay_domains" && m.c.Matches("relay_domains")
	r, why := m.routeOf(c, domain)
	if why != "" {
		m.leave(at.String(), what, why, "write [[domain]] "+domain+" and its [[route]]")
		return
	}
	d := serving(m.via(r), at.String(), subdomains)
	became := "domain[" + domain + "] by route " + d.route
	apart := ""
	if subdomains {
		// A name below may go another way there: it is then not taken for granted here.
		var other route
		m.untold(func() { other, why = m.routeOf(c, "any."+domain) })
		if why != "" || !other.same(&r) {
			d.subdomains, d.why = false, ""
			apart = "Postfix takes mail for the names below it too, and sends it another way: " + why
			if why == "" {
				apart += "to " + other.hops[0].host
			}
		}
	}
	m.serve(domain, d)
	switch {
	case apart != "":
		m.changed(at.String(), what, became+", without the names below it", apart, "if there are such, write a [[domain]] and a [[route]] for each")
	case below:
		m.changed(at.String(), what, became, "stands for the names below it; here the domain itself is served too", "")
	case subdomains:
		m.taken(at.String(), what, became+", with the names below it (parent_domain_matches_subdomains)")
	default:
		m.taken(at.String(), what, became)
	}
}

func serving(route, origin string, subdomains bool) domain {
	d := domain{route: route, origin: origin, subdomains: subdomains}
	if subdomains {
		d.why = "parent_domain_matches_subdomains"
	}
	return d
}

// routeOf finds where mail for a domain goes, or why that cannot be.
func (m *postfixImport) routeOf(c class, domain string) (r route, why string) {
	found, ok, err := m.c.RouteOf("", domain)
	if err != nil && !ok {
		return r, "a transport table that may have it cannot be read"
	}
	if ok {
		m.used[found.At] = true
		return m.routeBy(c, found.Transport, found.At, domain)
	}
	class, _ := m.c.Get(c.transport)
	return m.routeBy(c, postfix.ParseTransport(class.Value), class.At, domain)
}

// routeBy makes the route of a transport.
func (m *postfixImport) routeBy(c class, t postfix.Transport, at postfix.Place, domain string) (r route, why string) {
	if t.Channel == "" {
		t.Channel = postfix.ParseTransport(m.c.Value(c.transport)).Channel
	}
	program, service := m.program(t.Channel)
	switch program {
	case "error", "retry":
		return r, "Postfix refuses its mail (" + t.Channel + ": " + short(t.Text) + ")"
	case "discard":
		return r, "Postfix throws its mail away, which Gatepost does for nobody"
	case "local", "virtual", "pipe":
		return r, "Postfix delivers it itself (" + t.Channel + "), and Gatepost has no mailboxes"
	case "":
		return r, "the transport " + short(t.Channel) + " is not in master.cf"
	}
	dest := t.Text
	if dest == "" && c.relayed {
		relayhost, _ := m.c.Get("relayhost")
		if dest = relayhost.Value; dest != "" {
			t.Hops, at = postfix.ParseHops(dest), relayhost.At
		}
	}
	if dest == "" {
		dest, t.Hops = domain, []postfix.Hop{{Host: domain, MX: true}}
	}
	r = route{lmtp: program == "lmtp", origin: at.String()}
	if why = m.hops(&r, t.Hops, domain); why != "" {
		return r, why
	}
	m.routeTLS(&r, dest, t.Hops, service)
	m.routeAuth(&r, dest, service)
	return r, ""
}

// program is what delivers for a transport: "smtp", "lmtp", "local" and so on; "" for one that master.cf does not have.
func (m *postfixImport) program(channel string) (string, *postfix.Service) {
	if s := m.c.Service(channel, "unix"); s != nil {
		if s.Command == "relay" {
			return "smtp", s
		}
		return s.Command, s
	}
	switch channel {
	case "smtp", "relay":
		return "smtp", nil
	case "lmtp", "local", "virtual", "error", "retry", "discard":
		return channel, nil
	}
	return "", nil
}

// hops turns next hops into those of a route.
func (m *postfixImport) hops(r *route, hops []postfix.Hop, domain string) (why string) {
	for _, h := range hops {
		if h.Unix != "" {
			path := h.Unix
			if !strings.HasPrefix(path, "/") {
				path = m.c.Value("queue_directory") + "/" + path // lmtp(8)
			}
			if !r.lmtp || len(path) > 100 {
				return "its next hop is a socket of the machine (" + short(h.Unix) + "), and only LMTP is spoken over one"
			}
			r.add(hop{host: "unix:" + path})
			continue
		}
		host, ok := hostName(h.Host)
		if !ok {
			return "its next hop cannot be read"
		}
		port := h.Port
		if port == 0 {
			port = map[bool]int{true: 24, false: 25}[r.lmtp]
		}
		if h.MX && host == domain {
			return "Postfix asks DNS for the domain's own MX, which will be this gateway"
		}
		r.add(hop{host, port, h.MX && !r.lmtp})
	}
	if len(r.hops) == 0 {
		return "it has no next hop"
	}
	return ""
}

// unusedTransports tells of entries of transport tables that no domain needed.
func (m *postfixImport) unusedTransports() {
	p, set := m.get("transport_maps")
	if !set {
		return
	}
	for _, t := range m.c.Tables("transport_maps") {
		if t.Err != nil {
			m.leave(p.At.String(), "transport_maps: "+t.Ref, "cannot be read: "+t.Why(), "write the routes of its domains")
			continue
		}
		for i := range t.Entries {
			e := &t.Entries[i]
			if m.used[e.At] || e.Key == "if" || e.Key == "endif" {
				continue
			}
			what := "transport_maps: " + e.Key + " " + e.Value
			switch name, ok := domainName(strings.TrimPrefix(e.Key, ".")); {
			case t.Kind != postfix.Indexed:
				m.leave(e.At.String(), what, "is an expression over addresses", "write a [[domain]] or an exception for what it means")
			case strings.Contains(e.Key, "@"):
				m.exception(e, what)
			case ok && m.servedBelow(name) != "" && m.servedBelow(name) != name:
				m.part(e, name, what)
			default:
				m.leave(e.At.String(), what, "is about mail that goes out: no domain that mail is taken for has it", "")
			}
		}
	}
}

// servedBelow is the domain that a name is served with, or "".
func (m *postfixImport) servedBelow(name string) string {
	if m.domains[name] != nil {
		return name
	}
	for rest := name; strings.Contains(rest, "."); {
		_, rest, _ = strings.Cut(rest, ".")
		if d := m.domains[rest]; d != nil && d.subdomains {
			return rest
		}
	}
	return ""
}

// part is a name below a served domain with a route of its own.
func (m *postfixImport) part(e *postfix.Entry, name, what string) {
	r, why := m.routeOf(class{"relay_domains", "relay_transport", true}, name)
	if why != "" {
		m.leave(e.At.String(), what, why, "write [[domain]] "+name+" and its [[route]]")
		return
	}
	d := serving(m.via(r), e.At.String(), true)
	m.serve(name, d)
	became := "domain[" + name + "] by route " + d.route
	if strings.HasPrefix(e.Key, ".") {
		m.changed(e.At.String(), what, became, "stands for the names below it; here the name itself takes this route too", "")
		return
	}
	d2 := m.domains[name]
	d2.subdomains = m.c.Matches("transport_maps")
	m.taken(e.At.String(), what, became)
}
