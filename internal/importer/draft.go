package importer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"gatepost/internal/smtpwire"
)

// File is a file beside the documents.
type File struct {
	Name string
	Data []byte
}

// Draft is what an import makes.
type Draft struct {
	Report
	Bootstrap Document // gatepost.toml
	Policy    Document // policy.toml
	Files     []File

	options Options
	routes  []*route
	domains map[string]*domain
	aliases []alias
	numbers map[string]int // limits that were set
	entries entries
}

// alias is an address that stands for others.
type alias struct {
	address string
	to      []string
	origin  string
}

func newDraft(from string, o Options) *Draft {
	d := &Draft{options: o, domains: map[string]*domain{}}
	head := "Made from " + from + ".\nWhat stands behind a key is where it comes from. Read the report beside this file before you use it.\n"
	d.Bootstrap.title, d.Policy.title = "gatepost.toml\n"+head, "policy.toml\n"+head
	d.entries.d = d
	return d
}

// finish writes what was collected: routes, domains and entries.
func (d *Draft) finish() {
	if len(d.routes) > 0 {
		d.changed("the queue", "mail is kept there while the next hop is away", `when_down = "defer"`, "here its sender keeps it (451) and comes again, so that nothing can be lost", `write when_down = "spool" in a route whose mail shall be taken and kept all the same`)
	}
	for _, r := range d.routes {
		r.write(&d.Policy)
	}
	for _, name := range sortedKeys(d.domains) {
		m := d.domains[name]
		t := d.Policy.each("domain")
		t.set("name", text(name), m.origin)
		if m.subdomains {
			t.set("subdomains", "true", m.why)
		}
		t.set("route", text(m.route), "")
		if m.listed {
			t.off("recipients", text("directory"), "with directories, once the file is where [[directory]] says")
			t.off("directories", texts([]string{directoryName}), "")
		}
	}
	for _, a := range d.aliases {
		t := d.Policy.each("alias")
		t.set("address", text(a.address), a.origin)
		t.set("to", texts(a.to), "")
	}
	d.entries.write(&d.Policy)
}

// domain is a domain that is served.
type domain struct {
	route, origin, why string
	subdomains         bool
	listed             bool // its recipients are in the directory that was made
}

// directoryName is that of a directory of recipients that an import makes.
const directoryName = "imported"

// serve adds a domain, once; a second mention only widens it.
func (d *Draft) serve(name string, m domain) {
	if have := d.domains[name]; have != nil {
		have.subdomains = have.subdomains || m.subdomains
		return
	}
	d.domains[name] = &m
}

// hop is one server of a route.
type hop struct {
	host string
	port int
	mx   bool // its MX is asked of DNS
}

// route is a way to the internal mail server.
type route struct {
	name, origin       string
	hops               []hop
	lmtp               bool
	tls, server        string
	fingerprints       []string
	recipients         string // "call-ahead" or "none"
	login, loginOrigin string // who the gateway is to the next hop
	comments           []string
	recipientsOrigin   string
	tlsOrigin          string
}

// add adds a hop that is not there yet.
func (r *route) add(h hop) {
	if !slices.Contains(r.hops, h) {
		r.hops = append(r.hops, h)
	}
}

// same reports whether two routes lead the same way.
func (r *route) same(o *route) bool {
	return o.lmtp == r.lmtp && o.tls == r.tls && o.server == r.server && o.recipients == r.recipients &&
		slices.Equal(o.hops, r.hops) && slices.Equal(o.fingerprints, r.fingerprints)
}

// via returns the name of a route to these hops, which is made if there is none yet.
func (d *Draft) via(r route) string {
	for _, have := range d.routes {
		if have.same(&r) {
			return have.name
		}
	}
	name := "internal"
	if len(d.routes) > 0 {
		name = word(r.hops[0].host)
	}
	r.name = name
	for n := 2; slices.ContainsFunc(d.routes, func(have *route) bool { return have.name == r.name }); n++ {
		r.name = name + "-" + number(n)
	}
	d.routes = append(d.routes, &r)
	return r.name
}

func (r *route) write(doc *Document) {
	t := doc.each("route")
	t.above = r.comments
	t.set("name", text(r.name), r.origin)
	if r.lmtp {
		t.set("protocol", text("lmtp"), r.origin)
	}
	if r.tls != "" {
		t.set("tls", text(r.tls), r.tlsOrigin)
	}
	if r.server != "" {
		t.set("server_name", text(r.server), r.tlsOrigin)
	}
	if len(r.fingerprints) > 0 {
		t.set("fingerprints", texts(r.fingerprints), r.tlsOrigin)
	}
	if r.recipients != "" {
		t.set("recipients", text(r.recipients), r.recipientsOrigin)
	}
	if r.login != "" {
		t.off("auth", "{ user = "+text(r.login)+", password_file = "+text("/etc/gatepost/"+r.name+".password")+" }", r.loginOrigin+"; needs tls = required or fingerprint")
	}
	for i, h := range r.hops {
		s := t.sub("route.next_hop")
		if h.mx {
			s.set("mx", text(h.host), "")
		} else {
			s.set("host", text(h.host), "")
		}
		if h.port != 25 && !strings.HasPrefix(h.host, "unix:") {
			s.set("port", number(h.port), "")
		}
		if len(r.hops) > 1 { // they are tried one after another
			s.set("order", number(10*(i+1)), "")
		}
	}
}

// word makes a plain word of a host name or address.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	if s = strings.Trim(s, "-"); s == "" {
		return "route"
	}
	return s[:min(len(s), 60)]
}

// domainName reads a domain as the configuration takes it: lower-case A-labels of letters, digits and hyphens.
func domainName(s string) (string, bool) {
	s, err := smtpwire.ParseDomain(strings.TrimSuffix(s, "."))
	if err != nil || len(s) > 253 {
		return "", false
	}
	s = strings.ToLower(s)
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	return s, strings.Trim(last, "0123456789") != ""
}

// hostName is a domain name or an IP address, and not a single label.
func hostName(s string) (string, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.Unmap().String(), true
	}
	return domainName(s)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
