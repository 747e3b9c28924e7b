package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// Validate checks the thresholds' order.
func (t *Thresholds) Validate(report func(key, message, instead string)) {
	t.ascending("", report)
}

func (t *Thresholds) ascending(prefix string, report func(key, message, instead string)) {
	if t.Quarantine < t.Tag {
		report(prefix+"quarantine", "is less than tag ("+points(t.Tag)+")", "thresholds rise from tag over quarantine to reject")
	}
	if t.Reject < t.Quarantine {
		report(prefix+"reject", "is less than quarantine ("+points(t.Quarantine)+")", "thresholds rise from tag over quarantine to reject")
	}
}

func points(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// Validate refuses to trust everybody.
func (t *Trusted) Validate(report func(key, message, instead string)) {
	notEverybody("networks", t.Networks, report)
}

// Validate checks the banner and refuses to normalise for everybody.
func (s *SMTP) Validate(report func(key, message, instead string)) {
	if s.Banner != "ESMTP" && !strings.HasPrefix(s.Banner, "ESMTP ") {
		report("banner", "does not begin with ESMTP, so clients would not say EHLO", `write for example "ESMTP"`)
	}
	if strings.ContainsFunc(s.Banner, func(r rune) bool { return r > '~' }) {
		report("banner", "has a letter that is not US-ASCII", "leave it out")
	}
	notEverybody("normalise_for", s.NormaliseFor, report)
}

func notEverybody(key string, networks []netip.Prefix, report func(key, message, instead string)) {
	for i, n := range networks {
		if n.Bits() == 0 {
			report(key+"["+strconv.Itoa(i)+"]", shown(n.String())+" is the whole internet", "name the networks of your own")
		}
	}
}

// Validate checks how the parts of the policy name each other.
func (p *Policy) Validate(report func(key, message, instead string)) {
	routes := map[string]bool{}
	var names []string
	for i, r := range p.Routes {
		if r.Name != "" && routes[r.Name] {
			report("route["+strconv.Itoa(i)+"].name", shown(r.Name)+" is the name of two routes", "give each a name of its own")
			continue
		}
		routes[r.Name] = true
		names = append(names, r.Name)
	}
	p.reportsVia(routes, names, report)
	p.tlsReports(routes, names, report)
	p.spools(routes, names, report)
	p.ratesOnce(report)
	p.tlsRequiredOnce(report)
	p.addressRoutes(routes, names, report)
	p.directoriesNamed(report)
	domains := map[string]bool{}
	for i := range p.Domains {
		d, at := &p.Domains[i], "domain["+strconv.Itoa(i)+"]"
		if d.Name != "" && domains[d.Name] {
			report(at+".name", shown(d.Name)+" is served twice", "remove one of them")
		}
		domains[d.Name] = true
		if below := "*." + d.Name; d.Subdomains {
			if domains[below] {
				report(at+".subdomains", "the names below "+d.Name+" are served twice: "+shown(below)+" is a [[domain]] as well", "remove one of them")
			}
			domains[below] = true
		}
		if d.Route != "" && !routes[d.Route] {
			report(at+".route", "there is no route "+shown(d.Route), routeAdvice(d.Route, names))
		}
		if d.Thresholds != nil {
			t := p.ThresholdsOf(d)
			t.ascending(at+".thresholds.", report)
		}
	}
}

func routeAdvice(name string, names []string) string {
	const most = 12 // more would be no help, and looking at all of a hostile file's takes time
	if len(names) > most {
		names = names[:most]
	}
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	if len(names) > 0 {
		return "the routes are " + strings.Join(names, ", ")
	}
	return "write a [[route]] of that name"
}

// Warn says what works but is hardly meant.
func (p *Policy) Warn(report func(key, message, instead string)) {
	if len(p.Domains) == 0 {
		report("domain", "no domain is served, so every recipient is refused", "write a [[domain]] and its [[route]]")
	}
	used := map[string]bool{}
	for _, d := range p.Domains {
		used[d.Route] = true
	}
	if p.Reports.DMARC.On() {
		used[p.Reports.DMARC.Via] = true
	}
	if t := p.TLSReporting(); t.On() {
		used[t.Via] = true
	}
	for _, r := range p.Recipients {
		used[r.Route] = true
	}
	p.warnRewrite(report)
	used[p.Queue.NoticesVia] = true
	p.warnNoNotices(report)
	p.warnUnsigned(report)
	for i, r := range p.Routes {
		if !used[r.Name] {
			report("route["+strconv.Itoa(i)+"]", "no domain takes this route", "remove it, or name it in a [[domain]]")
		}
	}
}

// Validate checks that the contact can stand in a reply: US-ASCII (RFC 5321 section 4.2).
func (d *Domain) Validate(report func(key, message, instead string)) {
	if strings.HasPrefix(d.Name, "*.") && d.Subdomains {
		report("subdomains", shown(d.Name)+" is all names below a domain already", "remove it")
	}
	if strings.HasPrefix(d.Name, "*.") && d.MTASTS != nil {
		report("mta_sts", "a policy is of one domain and says nothing of names below it (RFC 8461 section 3.1)", "write a [[domain]] with mta_sts for each name")
	}
	if c := d.Subaddress; c != "" && !strings.Contains("+-=_#", c) {
		report("subaddress", shown(c)+" is no usual delimiter", `write one of +, -, =, _ and #`)
	}
	if strings.ContainsFunc(d.Contact, func(r rune) bool { return r > '~' }) {
		report("contact", "has a letter that is not US-ASCII", "leave it out; replies to senders are US-ASCII")
	}
}
