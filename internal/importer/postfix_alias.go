package importer

import (
	"slices"
	"strings"

	"gatepost/internal/importer/postfix"
	"gatepost/internal/smtpwire"
)

// maxAliases bounds how many aliases stand in policy.toml; the rest is for a file of its own.
const maxAliases = 2000

// aliases are those of virtual(5), and the recipients that are known.
func (m *postfixImport) aliases() {
	m.seen["virtual_alias_maps"], m.seen["virtual_alias_domains"] = true, true
	p, set := m.get("virtual_alias_maps")
	if set && p.Value != "" {
		for _, t := range m.c.Tables("virtual_alias_maps") {
			if t.Err != nil || t.Kind != postfix.Indexed {
				why := "is a table of patterns"
				if t.Err != nil {
					why = "cannot be read: " + t.Why()
				}
				m.leave(p.At.String(), "virtual_alias_maps: "+t.Ref, why, "write its addresses as [[alias]]")
				continue
			}
			m.domainMaps(t)
			for i := range t.Entries {
				if !strings.HasPrefix(t.Entries[i].Key, "@") {
					m.alias(&t.Entries[i])
				}
			}
		}
	}
	m.aliasDomains()
	m.keepAliases()
	m.relayRecipients()
}

// domainMaps takes "@old.example @example.org".
func (m *postfixImport) domainMaps(t *postfix.Table) {
	for i := range t.Entries {
		e := &t.Entries[i]
		from, whole := strings.CutPrefix(e.Key, "@")
		if !whole {
			continue
		}
		what := "virtual_alias_maps: " + e.Key + " " + e.Value
		to, plain := strings.CutPrefix(e.Value, "@")
		a, ok := domainName(from)
		b, ok2 := domainName(to)
		switch {
		case !plain:
			m.leave(e.At.String(), what, "all mail of a domain goes to one address, also that of its users", `write catch_all in [[domain]] for what nobody there has`)
		case !ok || !ok2 || a == b:
			m.leave(e.At.String(), what, "is no domain for another", "")
		case m.domains[b] == nil:
			m.leave(e.At.String(), what, to+" is no domain that mail is taken for", "")
		case m.mapped[b]:
			m.leave(e.At.String(), what, to+" itself stands for another domain", "write the last of them as domain_map.to")
		default:
			delete(m.domains, a) // a domain that stands for another has no [[domain]] of its own
			if m.mapped == nil {
				m.mapped = map[string]bool{}
			}
			m.mapped[a] = true
			d := m.Policy.each("domain_map")
			d.set("from", text(a), e.At.String())
			d.set("to", text(b), "")
			m.taken(e.At.String(), what, "domain_map "+a+" to "+b)
		}
	}
}

// alias takes one address that stands for others.
func (m *postfixImport) alias(e *postfix.Entry) {
	what := "virtual_alias_maps: " + e.Key + " " + e.Value
	if domain, ok := domainName(e.Key); ok && strings.Contains(domain, ".") {
		return // "example.org anything" only says that the domain is one of aliases
	}
	address, domain, ok := m.mailbox(e.Key)
	if !ok {
		m.leave(e.At.String(), what, "is no address", "")
		return
	}
	a := alias{address: address, origin: e.At.String()}
	for _, w := range strings.FieldsFunc(e.Value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		to, at, ok := m.mailbox(w)
		if !ok || !m.serves(at) {
			m.leave(e.At.String(), what, short(w)+" is no address of a domain that mail is taken for, and a gateway sends no mail out", "keep this alias at the internal mail server")
			return
		}
		a.to = unique(a.to, to)
	}
	switch {
	case len(a.to) == 0 || len(a.to) > 100:
		m.leave(e.At.String(), what, "stands for none, or for more than 100", "keep it as a list at the internal mail server")
	case len(a.to) == 1 && a.to[0] == address:
		m.taken(e.At.String(), what, "nothing: it stands for itself")
	case !m.serves(domain) && !m.aliasDomain(domain):
		m.leave(e.At.String(), what, domain+" is no domain that mail is taken for", "")
	default:
		m.Draft.aliases = append(m.Draft.aliases, a)
	}
}

// mailbox reads an address; one without a domain is of $myorigin.
func (m *postfixImport) mailbox(s string) (address, domain string, ok bool) {
	if !strings.Contains(s, "@") {
		s += "@" + m.c.Value("myorigin")
	}
	a, err := smtpwire.ParseAddress(s, true)
	if err != nil {
		return "", "", false
	}
	domain, ok = domainName(a.Domain)
	return strings.ToLower(a.String()), domain, ok && len(s) <= 320
}

// serves reports whether mail is taken for a domain.
func (m *postfixImport) serves(domain string) bool {
	return m.servedBelow(domain) != "" || m.mapped[domain]
}

// aliasDomain reports whether a domain is one of aliases only.
func (m *postfixImport) aliasDomain(domain string) bool {
	for _, i := range m.c.List("virtual_alias_domains") {
		if i.Table == nil && strings.EqualFold(i.Text, domain) {
			return true
		}
		if i.Table != nil && i.Table.Err == nil {
			if _, ok := i.Table.Lookup(domain); ok {
				return true
			}
		}
	}
	return false
}

// aliasDomains serves domains that have aliases only, by the way of the first of them.
func (m *postfixImport) aliasDomains() {
	for _, a := range m.Draft.aliases {
		_, domain, _ := m.mailbox(a.address)
		_, to, _ := m.mailbox(a.to[0])
		if m.serves(domain) || m.domains[m.servedBelow(to)] == nil {
			continue
		}
		m.serve(domain, aliasOnly(m.domains[m.servedBelow(to)].route, a.origin))
		m.changed(a.origin, "virtual_alias_domains: "+domain, "domain["+domain+"]", "it has aliases only; the next hop refuses whatever is none of them", "")
	}
	for _, i := range m.c.List("virtual_alias_domains") {
		name, ok := domainName(i.Text)
		if i.Table == nil && m.mapped[name] {
			m.taken(i.At.String(), "virtual_alias_domains: "+name, "domain_map "+name)
		}
		if i.Table == nil && ok && !m.serves(name) {
			m.leave(i.At.String(), "virtual_alias_domains: "+name, "none of its aliases could be taken", "write [[domain]] "+name+" and its [[route]]")
		}
	}
}

func aliasOnly(route, origin string) domain { return domain{route: route, origin: origin} }

// keepAliases leaves out what would be refused at load: loops, and addresses that go by two routes.
func (m *postfixImport) keepAliases() {
	to := map[string]*alias{}
	for i := range m.Draft.aliases {
		a := &m.Draft.aliases[i]
		if to[a.address] == nil {
			to[a.address] = a
		}
	}
	var kept []alias
	for i := range m.Draft.aliases {
		a := &m.Draft.aliases[i]
		what := "virtual_alias_maps: " + a.address + " " + strings.Join(a.to, ", ")
		routes, why := map[string]bool{}, ""
		if to[a.address] != a {
			why = "is there twice, and " + to[a.address].origin + " counts"
		} else {
			why = m.ends(a, to, routes, map[string]bool{}, 0)
		}
		switch {
		case why != "":
			m.leave(a.origin, what, why, "")
		case len(routes) > 1:
			m.leave(a.origin, what, "its addresses go different ways, and one message has one route", "keep it at the internal mail server")
		case len(kept) >= maxAliases:
			m.leave(a.origin, what, "and all behind it: more than "+number(maxAliases)+" are for a file of their own", `name Postfix's own file of aliases: alias_file = "/etc/gatepost/aliases"`)
			m.Draft.aliases = kept
			return
		default:
			kept = append(kept, *a)
			m.taken(a.origin, what, "alias "+a.address)
		}
	}
	m.Draft.aliases = kept
}

// ends follows an alias to its ends and collects their routes; why it has none.
func (m *postfixImport) ends(a *alias, to map[string]*alias, routes, way map[string]bool, depth int) (why string) {
	if depth > 8 {
		return "stands for aliases of aliases, more than 8 deep"
	}
	way[a.address] = true
	defer delete(way, a.address)
	for _, t := range a.to {
		next := to[t]
		switch {
		case t == a.address: // it keeps a copy
		case next != nil && way[t]:
			return "goes in a circle over " + t
		case next != nil:
			if why := m.ends(next, to, routes, way, depth+1); why != "" {
				return why
			}
			continue
		}
		_, domain, _ := m.mailbox(t)
		if r := m.apart[t]; r != "" {
			routes[r] = true
		} else if d := m.domains[m.servedBelow(domain)]; d != nil {
			routes[d.route] = true
		}
		if len(routes) > 1 {
			break
		}
	}
	return ""
}

// relayRecipients makes a file of the recipients that relay_recipient_maps names.
func (m *postfixImport) relayRecipients() {
	p, set := m.get("relay_recipient_maps")
	if !set || p.Value == "" {
		return
	}
	var list []string
	all := map[string]bool{} // domains in which every recipient is taken
	for _, t := range m.c.Tables("relay_recipient_maps") {
		if t.Err != nil || t.Kind != postfix.Indexed {
			why := "is a table of patterns"
			if t.Err != nil {
				why = "cannot be read: " + t.Why()
			}
			m.leave(p.At.String(), "relay_recipient_maps: "+t.Ref, why, "the next hop is asked for its recipients (call-ahead); or write a [[directory]]")
			continue
		}
		for _, e := range t.Entries {
			if domain, whole := strings.CutPrefix(e.Key, "@"); whole {
				all[domain] = true
				m.changed(e.At.String(), "relay_recipient_maps: "+e.Key, "call-ahead", "Postfix takes every recipient there; here the next hop is asked", `write recipients = "none" in a route for it if the next hop takes all on purpose`)
				continue
			}
			if address, _, ok := m.mailbox(e.Key); ok {
				list = append(list, address)
			}
		}
	}
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	list = slices.Compact(list)
	listed := map[string]bool{}
	for _, a := range list {
		_, domain, _ := strings.Cut(a, "@")
		listed[domain] = true
	}
	for name, d := range m.domains {
		d.listed = listed[name] && !all[name]
	}
	m.Files = append(m.Files, File{Name: directoryName, Data: []byte(strings.Join(list, "\n") + "\n")})
	t := m.Policy.each("directory")
	t.header = "# " + t.header
	t.off("name", text(directoryName), p.At.String())
	t.off("kind", text("file"), "")
	t.off("file", text("/etc/gatepost/recipients/"+directoryName), "the file "+directoryName+" beside this one")
	m.changed(p.At.String(), written(p), number(len(list))+" recipients in the file "+directoryName+"; until it is used the next hop is asked", "a list grows old, and the next hop knows", "to use it: put it into /etc/gatepost/recipients, and take the # away before [[directory]] and in [[domain]]")
}

// exception is one recipient with a route of its own.
func (m *postfixImport) exception(e *postfix.Entry, what string) {
	address, domain, ok := m.mailbox(e.Key)
	if !ok || m.domains[m.servedBelow(domain)] == nil {
		m.leave(e.At.String(), what, "is about mail that goes out: its domain is none that mail is taken for", "")
		return
	}
	r, why := m.routeBy(class{"relay_domains", "relay_transport", true}, postfix.ParseTransport(e.Value), e.At, domain)
	if why != "" {
		m.leave(e.At.String(), what, why, "")
		return
	}
	name := m.via(r)
	t := m.Policy.each("recipient")
	t.set("addresses", texts([]string{address}), e.At.String())
	t.set("route", text(name), "")
	if m.apart == nil {
		m.apart = map[string]string{}
	}
	m.apart[address] = name
	m.taken(e.At.String(), what, "recipient "+address+" by route "+name)
}
