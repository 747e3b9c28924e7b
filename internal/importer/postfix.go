package importer

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/importer/postfix"
)

// postfixImport turns one Postfix configuration into a draft. Whatever it looks at is noted, so that the rest can be told.
type postfixImport struct {
	*Draft
	c    *postfix.Config
	mx   *postfix.Service       // the smtpd that strangers reach, or nil
	seen map[string]bool        // parameters
	used map[postfix.Place]bool // entries of transport tables that made a route
	own  []string               // names of the machine itself

	listening map[string]bool   // addresses with ports
	screens   bool              // postscreen runs
	mapped    map[string]bool   // domains that stand for others
	apart     map[string]string // recipients with a route of their own
}

// FromPostfix maps a Postfix configuration. The draft is complete: its documents are valid, and its report has every
// parameter that was set.
func FromPostfix(c *postfix.Config, o Options) *Draft {
	if o.Owner == "" {
		o.Owner = "postfix import"
	}
	m := &postfixImport{Draft: newDraft("a Postfix configuration", o), c: c, seen: map[string]bool{}, used: map[postfix.Place]bool{}}
	m.services()
	m.identity()
	m.certificate()
	m.trusted()
	m.limits()
	m.speech()
	m.destinations()
	m.aliases()
	m.restrictions()
	m.screen()
	m.dnsLists()
	m.filters()
	m.rest()
	for _, f := range c.Faults {
		what := f.What
		if what == "" {
			what = f.At.File
		}
		m.leave(f.At.String(), what, f.Why, "")
	}
	m.finish()
	return m.Draft
}

// get returns a parameter, as the service that strangers reach has it, and notes that it was looked at.
func (m *postfixImport) get(name string) (p postfix.Param, set bool) {
	m.seen[name] = true
	if m.mx != nil {
		return m.c.For(m.mx, name)
	}
	return m.c.Get(name)
}

// written is a parameter as the report shows it, without what may be a secret.
func written(p postfix.Param) string {
	name := strings.ToLower(p.Name)
	for _, mark := range []string{"password", "passwd", "_pw", "secret", "token", "_pass"} {
		if strings.Contains(name, mark) && !strings.HasPrefix(p.Value, "hash:") && !strings.HasPrefix(p.Value, "texthash:") && !strings.HasPrefix(p.Value, "lmdb:") {
			return p.Name + " = (not shown)"
		}
	}
	return p.Name + " = " + p.Value
}

// services finds the listeners of master.cf.
func (m *postfixImport) services() {
	var front []*postfix.Service
	for i := range m.c.Services {
		s := &m.c.Services[i]
		m.screens = m.screens || s.Command == "postscreen"
		if s.Type == "pass" && s.Command == "smtpd" {
			m.mx = s // behind postscreen
		}
		if s.Type != "inet" || s.Command != "smtpd" && s.Command != "postscreen" {
			continue
		}
		what := s.Name + " inet " + s.Command
		host, port := listenAddress(s.Name)
		switch {
		case slices.Contains([]string{"submission", "submissions", "smtps", "587", "465"}, port):
			m.leave(s.At.String(), what, "is for the users' own mail (submission), which is not a matter of an inbound gateway", "keep it on the old machine, or move it to the internal mail server")
		case isLoopback(host):
			m.leave(s.At.String(), what, "is reached from this machine only, by a content filter or a local program; here filters are asked in the session", "")
		default:
			front = append(front, s)
		}
	}
	if len(front) == 0 {
		m.leave("master.cf", "inet services", "no smtpd that strangers reach was found", "write the [[listener]] yourself; without one Gatepost listens on port 25")
	}
	for i, s := range front {
		if m.mx == nil && s.Command == "smtpd" {
			m.mx = s
		}
		m.listener(s, i)
	}
}

// listenAddress splits "[::1]:smtp", "192.0.2.1:25" or "smtp".
func listenAddress(name string) (host, port string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return strings.Trim(name[:i], "[]"), name[i+1:]
	}
	return "", name
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (m *postfixImport) listener(s *postfix.Service, i int) {
	what := s.Name + " inet " + s.Command
	host, port := listenAddress(s.Name)
	if port == "smtp" {
		port = "25"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		m.leave(s.At.String(), what, "its port is no number, and no name that is known here", "write the [[listener]] yourself")
		return
	}
	var addresses []string
	if a, err := netip.ParseAddr(host); err == nil {
		addresses = []string{netip.AddrPortFrom(a, 0).String()}
	} else {
		addresses = m.interfaces(host, s)
	}
	if len(addresses) == 0 {
		return
	}
	for k := range addresses {
		addresses[k] = strings.TrimSuffix(addresses[k], "0") + port
	}
	addresses = slices.DeleteFunc(addresses, func(a string) bool { return m.listening[a] })
	if len(addresses) == 0 {
		m.leave(s.At.String(), what, "its addresses are those of a listener before it", "")
		return
	}
	for _, a := range addresses {
		if m.listening == nil {
			m.listening = map[string]bool{}
		}
		m.listening[a] = true
	}
	name := "smtp"
	if i > 0 {
		name = "smtp-" + number(i+1)
	}
	t := m.Bootstrap.each("listener")
	t.set("name", text(name), s.At.String())
	t.set("addresses", texts(addresses), s.At.String())
	m.taken(s.At.String(), what, "listener["+name+"].addresses = "+texts(addresses))
	for _, key := range []string{"smtpd_upstream_proxy_protocol", "postscreen_upstream_proxy_protocol"} {
		m.seen[key] = true
		if p, set := m.c.For(s, key); set && p.Value != "" {
			t.off("proxy_from", `["10.0.0.8/32"]`, p.At.String()+": name the proxies")
			m.leave(p.At.String(), written(p), "Gatepost wants to know which proxies may name a client, and Postfix does not say", "write proxy_from in [[listener]] "+name+" before it is used: without it every client is the proxy")
		}
	}
}

// interfaces are the addresses of inet_interfaces, with port 0.
func (m *postfixImport) interfaces(host string, s *postfix.Service) (out []string) {
	protocols, _ := m.get("inet_protocols")
	v4 := !strings.EqualFold(protocols.Value, "ipv6")
	v6 := !strings.EqualFold(protocols.Value, "ipv4")
	p, _ := m.get("inet_interfaces")
	all := func() {
		if v4 {
			out = append(out, "0.0.0.0:0")
		}
		if v6 {
			out = append(out, "[::]:0")
		}
	}
	if host != "" {
		m.changed(s.At.String(), s.Name, "all addresses", "it listens on the addresses of the name "+short(host)+", which an import does not look up", "write the addresses in [[listener]]")
		all()
		return out
	}
	for _, w := range strings.FieldsFunc(p.Value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		a, err := netip.ParseAddr(strings.Trim(w, "[]"))
		switch {
		case w == "all":
			all()
		case w == "loopback-only", w == "localhost":
			out = append(out, "127.0.0.1:0")
		case err == nil && (a.Is4() && v4 || a.Is6() && v6):
			out = append(out, netip.AddrPortFrom(a, 0).String())
		case err != nil:
			m.changed(p.At.String(), written(p), "all addresses", "the name "+short(w)+" is not looked up by an import", "write its address in [[listener]]")
			all()
			return out
		}
	}
	return slices.Compact(out)
}

// identity is the machine's name.
func (m *postfixImport) identity() {
	p, set := m.get("myhostname")
	m.seen["mydomain"], m.seen["myorigin"] = true, true
	if !set {
		m.leave("main.cf", "myhostname", "is not set: Postfix takes the machine's name, and so does Gatepost", "")
		return
	}
	name, ok := domainName(p.Value)
	if !ok || !strings.Contains(name, ".") {
		m.leave(p.At.String(), written(p), "is not fully qualified", `write hostname = "mx.example.org" in gatepost.toml`)
		return
	}
	m.own = append(m.own, name)
	m.Bootstrap.root.set("hostname", text(name), p.At.String())
	m.taken(p.At.String(), written(p), "hostname = "+text(name))
}

// certificate is that of STARTTLS.
func (m *postfixImport) certificate() {
	cert, set := m.get("smtpd_tls_cert_file")
	key, _ := m.get("smtpd_tls_key_file")
	if key.Value == "" || key.Value == "$smtpd_tls_cert_file" {
		key.Value = cert.Value // the default of Postfix
	}
	if chain, ok := m.get("smtpd_tls_chain_files"); ok && chain.Value != "" {
		files := strings.FieldsFunc(chain.Value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		cert, set = chain, true
		cert.Value, key.Value = files[0], files[0]
		if len(files) > 1 {
			m.changed(chain.At.String(), written(chain), "tls.certificate", "has several files; one certificate is offered here", "name the one with the chain in tls.certificate, and its key in tls.key")
		}
	}
	if set && cert.Value != "" && cert.Value != "none" {
		t := m.Bootstrap.table("tls")
		why := "an import has not looked"
		if m.options.Certificate != nil {
			why = m.options.Certificate(cert.Value, key.Value)
		}
		if why == "" {
			t.set("certificate", text(cert.Value), cert.At.String())
			t.set("key", text(key.Value), cert.At.String())
			m.taken(cert.At.String(), written(cert), "tls.certificate, tls.key")
		} else {
			t.off("certificate", text(cert.Value), cert.At.String())
			t.off("key", text(key.Value), cert.At.String())
			m.leave(cert.At.String(), written(cert), "cannot be used from here: "+short(why), "bring certificate and key to where the gateway's user can read them, and take the # away in [tls]; until then a self-signed one is made")
		}
	}
	for _, name := range []string{"smtpd_tls_dcert_file", "smtpd_tls_eccert_file", "smtpd_tls_dkey_file", "smtpd_tls_eckey_file"} {
		if p, set := m.get(name); set && p.Value != "" && p.Value != "$smtpd_tls_cert_file" {
			m.leave(p.At.String(), written(p), "one certificate is offered", "")
		}
	}
	m.tlsLevel()
}

func (m *postfixImport) tlsLevel() {
	p, set := m.get("smtpd_tls_security_level")
	if old, ok := m.get("smtpd_use_tls"); ok && !set {
		p, set = old, true
		p.Value = map[bool]string{true: "may", false: "none"}[strings.EqualFold(old.Value, "yes")]
	}
	if old, ok := m.get("smtpd_enforce_tls"); ok && !set && strings.EqualFold(old.Value, "yes") {
		p, set = old, true
		p.Value = "encrypt"
	}
	switch {
	case p.Value == "may":
		m.taken(p.At.String(), written(p), "STARTTLS is always offered")
	case p.Value == "encrypt":
		m.changed(p.At.String(), written(p), "STARTTLS is offered, not demanded", "a public mail exchanger must not demand it (RFC 3207 section 4), and Gatepost has no such key", "publish MTA-STS and DANE, so that senders insist")
	case !set:
		m.changed("main.cf", "smtpd_tls_security_level is not set", "STARTTLS is offered", "Postfix offers none; Gatepost always does, with a self-signed certificate if there is no other", `write smtp.without = ["STARTTLS"] to keep it off`)
	case p.Value != "none" && p.Value != "":
		m.leave(p.At.String(), written(p), "is no level that is known", "STARTTLS is offered")
	default:
		m.Policy.table("smtp").set("without", texts([]string{"STARTTLS"}), p.At.String())
		m.taken(p.At.String(), written(p), `smtp.without = ["STARTTLS"]`)
	}
}
