package importer

import (
	"strconv"
	"strings"

	"gatepost/internal/importer/pmg"
	"gatepost/internal/importer/postfix"
)

// pmgImport turns a backup of Proxmox Mail Gateway into a draft. What its Postfix would do is as src/templates/main.cf.in of
// pmg-api has it.
type pmgImport struct {
	*Draft
	b    *pmg.Backup
	seen map[string]bool // "section.key" of pmg.conf
}

// FromPMG maps a backup. The draft is complete: its documents are valid, and its report has all that the backup says but for
// statistics.
func FromPMG(b *pmg.Backup, o Options) *Draft {
	if o.Owner == "" {
		o.Owner = "pmg import"
	}
	m := &pmgImport{Draft: newDraft("a backup of Proxmox Mail Gateway ("+short(b.Version)+")", o), b: b, seen: map[string]bool{}}
	m.listener()
	m.trusted()
	m.limits()
	m.domains()
	m.checks()
	m.dnsLists()
	m.rules()
	m.users()
	m.rest()
	for _, f := range b.Faults {
		m.leave(f.Where, f.Where, f.Why, "")
	}
	m.finish()
	return m.Draft
}

// get returns a key of pmg.conf.
func (m *pmgImport) get(section, key string) (text, where, what string, set bool) {
	m.seen[section+"."+key] = true
	v, set := m.b.Config.Get(section, key)
	return v.Text, "pmg.conf:" + strconv.Itoa(v.Line), section + "." + key + " = " + v.Text, set
}

func (m *pmgImport) yes(section, key string, otherwise bool) bool {
	v, _, _, set := m.get(section, key)
	if !set {
		return otherwise
	}
	return v == "1" || v == "yes" || v == "on" || v == "true"
}

func (m *pmgImport) listener() {
	port, where, what, set := m.get("mail", "ext_port")
	if n, err := strconv.Atoi(port); set && (err != nil || n < 1 || n > 65535) {
		m.leave(where, what, "is no port", "")
		set = false
	}
	if !set {
		return // port 25 of all addresses, which is what Gatepost does by itself
	}
	t := m.Bootstrap.each("listener")
	t.set("name", text("smtp"), where)
	t.set("addresses", texts([]string{"0.0.0.0:" + port, "[::]:" + port}), where)
	m.taken(where, what, "listener[smtp].addresses")
}

func (m *pmgImport) trusted() {
	var shown []string
	for _, l := range pmg.Lines(m.b.Files["mynetworks"]) {
		where := "mynetworks:" + strconv.Itoa(l.At)
		n, ok := network(l.Text)
		if !ok {
			m.leave(where, l.Text, "is no network of somebody's own", "")
			continue
		}
		shown = unique(shown, n.String())
		m.changed(where, l.Text+" "+l.Comment, "trusted.networks", "PMG lets them relay and checks little of their mail; here they skip the wait, caps and rates, and no check, and may not relay", "outbound mail goes another way: straight from the internal mail server")
	}
	if len(shown) > 0 {
		t := m.Policy.table("trusted")
		t.set("networks", texts(append([]string{"127.0.0.0/8", "::1/128"}, shown...)), "mynetworks")
	}
}

func (m *pmgImport) limits() {
	if v, where, what, set := m.get("mail", "maxsize"); set {
		if n, err := strconv.Atoi(v); err == nil {
			m.limit(where, what, bound{"", "message_size", 64 << 10, 2 << 30, 2 << 30, true}, n)
		} else {
			m.leave(where, what, "is no number", "")
		}
	} else {
		m.changed("pmg.conf", "mail.maxsize is not set", "limits.message_size", "PMG takes 10485760 octets; Gatepost 50M, or what the next hop and the scanners take", `write message_size = "10M" in [limits] to keep it`)
	}
	if v, where, what, set := m.get("mail", "conn_count_limit"); set {
		if n, err := strconv.Atoi(v); err == nil {
			m.limit(where, what, bound{"", "connections_per_client", 1, 1000, 1000, false}, n)
		}
	}
	m.inOrder()
	for _, r := range [][2]string{{"conn_rate_limit", "connections"}, {"message_rate_limit", "messages"}} {
		v, where, what, set := m.get("mail", r[0])
		n, err := strconv.Atoi(v)
		switch {
		case !set:
		case err != nil || n < 0 || n > 1_000_000:
			m.leave(where, what, "is no number of so many", "")
		case n == 0:
			m.changed(where, what, "the default rates", "0 is no limit there; Gatepost keeps its own, which honest hosts do not meet", "see gatepost limits top")
		default:
			t := m.Policy.each("rate")
			t.set("of", text("client"), where)
			t.set("unit", text(r[1]), "")
			t.set("unknown", text(number(n)+"/60s"), "")
			t.set("known", text(number(n)+"/60s"), "")
			m.taken(where, what, "rate of client, "+r[1]+": "+number(n)+"/60s")
		}
	}
	if v, where, what, set := m.get("mail", "banner"); set {
		if v == "ESMTP" || strings.HasPrefix(v, "ESMTP ") && !strings.Contains(v, "Proxmox") && len(v) <= 200 && !strings.ContainsFunc(v, func(r rune) bool { return r > '~' || r < ' ' }) {
			m.Policy.table("smtp").set("banner", text(v), where)
			m.taken(where, what, "smtp.banner")
		} else {
			m.changed(where, what, `smtp.banner = "ESMTP"`, "a banner here begins with ESMTP, and names no other product", "")
		}
	}
	if v, where, what, set := m.get("spam", "maxspamsize"); set {
		if n, err := strconv.Atoi(v); err == nil && n >= 16<<10 && n <= 64<<20 {
			m.Bootstrap.table("spamassassin").set("max_size", text(number(n)), where)
			m.changed(where, what, "spamassassin.max_size", "PMG does not look at bigger mail; here spamd gets its beginning", "")
		} else {
			m.leave(where, what, "is not a size from 16K to 64M", "")
		}
	}
}

// domains are those of /etc/pmg/domains, by /etc/pmg/transport or the default relay.
func (m *pmgImport) domains() {
	ways := m.transports()
	fallback, why := m.relay()
	used := map[string]bool{}
	for _, l := range pmg.Lines(m.b.Files["domains"]) {
		where := "domains:" + strconv.Itoa(l.At)
		name := l.Text
		if i := strings.IndexAny(name, " \t"); i >= 0 {
			name = name[:i]
		}
		plain, below := strings.CutPrefix(name, ".")
		domain, ok := domainName(plain)
		if !ok {
			m.leave(where, name, "is no domain", "")
			continue
		}
		r, has := ways[name]
		used[name] = true
		for rest := plain; !has && strings.Contains(rest, "."); {
			_, rest, _ = strings.Cut(rest, ".")
			if r, has = ways["."+rest]; has {
				used["."+rest] = true
			}
		}
		if !has {
			r = fallback
			if why != "" {
				m.leave(where, name, why, "write [[domain]] "+domain+" and its [[route]]")
				continue
			}
		}
		m.recipients(&r)
		d := atDomain(m.via(r), where, below)
		m.serve(domain, d)
		m.taken(where, strings.TrimSpace(name+" "+l.Comment), "domain["+domain+"] by route "+d.route)
	}
	if len(m.Draft.domains) == 0 {
		m.leave("domains", "domains", "no domain is left that mail is taken for and passed on", "write a [[domain]] and its [[route]] in policy.toml")
	}
	for _, name := range sortedKeys(ways) {
		if r := ways[name]; !used[name] {
			m.leave(r.origin, name, "is about an address, or about mail that goes out: no domain that mail is taken for has it", "")
		}
	}
}

func atDomain(route, origin string, below bool) domain {
	d := domain{route: route, origin: origin, subdomains: below}
	if below {
		d.why = "it begins with a dot"
	}
	return d
}

// transports reads /etc/pmg/transport.
func (m *pmgImport) transports() map[string]route {
	out := map[string]route{}
	for _, l := range pmg.Lines(m.b.Files["transport"]) {
		where := "transport:" + strconv.Itoa(l.At)
		name, value, ok := strings.Cut(strings.ReplaceAll(l.Text, "\t", " "), " ")
		if !ok {
			m.leave(where, l.Text, "is no transport", "")
			continue
		}
		t := postfix.ParseTransport(value)
		if t.Channel != "smtp" && t.Channel != "lmtp" {
			m.leave(where, l.Text, "its transport is not known", "")
			continue
		}
		r := route{lmtp: t.Channel == "lmtp", origin: where}
		if why := m.way(&r, t.Hops, strings.TrimPrefix(name, "."), t.Text); why != "" {
			m.leave(where, l.Text, why, "write its [[route]]")
			continue
		}
		out[strings.ToLower(name)] = r
	}
	return out
}

// relay is the default way of pmg.conf.
func (m *pmgImport) relay() (r route, why string) {
	host, where, _, set := m.get("mail", "relay")
	port, _, _, _ := m.get("mail", "relayport")
	protocol, _, _, _ := m.get("mail", "relayprotocol")
	nomx := m.yes("mail", "relaynomx", false)
	if !set || host == "" {
		return r, "it has no transport, and pmg.conf no relay: its MX would be asked, which will be this gateway"
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		n = 25
	}
	hop := postfix.Hop{Host: strings.ToLower(host), Port: n, MX: !nomx && protocol != "lmtp"}
	r = route{lmtp: protocol == "lmtp", origin: where}
	dest := host + ":" + number(n)
	if nomx {
		dest = "[" + host + "]:" + number(n)
	}
	return r, m.way(&r, []postfix.Hop{hop}, "", dest)
}

// way fills hops and TLS of a route.
func (m *pmgImport) way(r *route, hops []postfix.Hop, domain, dest string) (why string) {
	for _, h := range hops {
		host, ok := hostName(h.Host)
		if !ok || h.MX && host == domain {
			return "its next hop is no host, or the domain's own MX"
		}
		if h.Port == 0 {
			h.Port = map[bool]int{true: 24, false: 25}[r.lmtp]
		}
		r.add(hop{host, h.Port, h.MX && !isAddress(host)})
	}
	if len(r.hops) == 0 {
		return "it has no next hop"
	}
	r.tlsOrigin = "pmg.conf"
	words := []string{"none"}
	if m.yes("mail", "tls", false) {
		words = []string{"may"}
		for _, l := range pmg.Lines(m.b.Files["tls_policy"]) {
			to, policy, _ := strings.Cut(strings.ReplaceAll(l.Text, "\t", " "), " ")
			if strings.EqualFold(to, dest) || strings.EqualFold(to, hops[0].Host) {
				words, r.tlsOrigin = strings.Fields(policy), "tls_policy:"+strconv.Itoa(l.At)
			}
		}
	}
	if len(words) > 0 {
		m.level(r, words, hops, "sha256")
	}
	return ""
}

func isAddress(host string) bool {
	return strings.Contains(host, ":") || strings.Trim(host, "0123456789.") == ""
}

// recipients are verified by call-ahead, or not at all.
func (m *pmgImport) recipients(*route) {
	if _, where, what, set := m.get("mail", "verifyreceivers"); set {
		m.taken(where, what, `recipients = "call-ahead"`)
		return
	}
	m.changed("pmg.conf", "mail.verifyreceivers is not set", `recipients = "call-ahead"`, "PMG takes mail for every recipient; Gatepost asks the next hop and refuses those that it does not know", `write recipients = "none" in the route if the next hop takes all on purpose`)
}
