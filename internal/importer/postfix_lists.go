package importer

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/importer/postfix"
	"gatepost/rbl"
)

// zone is one DNS list with all that is said of it.
type zone struct {
	domain  string
	inputs  []string
	filters []weighed
	where   []string
}

// weighed is a filter of answers and its weight on our scale, where 10 refuses alone.
type weighed struct {
	filter string
	weight int
}

// dnsLists collects the lists of postscreen and of the restrictions, and writes each once.
func (m *postfixImport) dnsLists() {
	m.seen["postscreen_dnsbl_sites"], m.seen["postscreen_dnsbl_threshold"], m.seen["postscreen_dnsbl_action"] = true, true, true
	for _, name := range []string{"postscreen_dnsbl_reply_map", "postscreen_dnsbl_timeout", "postscreen_dnsbl_min_ttl", "postscreen_dnsbl_max_ttl", "postscreen_dnsbl_ttl"} {
		m.seen[name] = true
	}
	var zones []*zone
	find := func(domain string) *zone {
		for _, z := range zones {
			if z.domain == domain {
				return z
			}
		}
		zones = append(zones, &zone{domain: domain})
		return zones[len(zones)-1]
	}
	m.screenZones(find)
	for _, r := range m.c.Restrictions(m.mx) {
		if !isZoneRestriction(r.Name) || r.Warn {
			continue
		}
		p, ok := postfix.ParseZone(r.Arg)
		if !ok {
			m.leave(r.At.String(), r.Name+" "+r.Arg, "is no list", "")
			continue
		}
		z := find(p.Domain)
		weight := 10
		if strings.HasPrefix(r.Name, "permit_") {
			weight = -10
		}
		z.filters = append(z.filters, weighed{p.Filter, weight})
		z.where = unique(z.where, r.At.String())
		switch r.Name {
		case "reject_rhsbl_sender":
			z.inputs = unique(z.inputs, "mailfrom")
		case "reject_rhsbl_helo":
			z.inputs = unique(z.inputs, "helo")
		case "reject_rhsbl_client", "reject_rhsbl_reverse_client", "permit_rhswl_client":
			z.inputs = unique(z.inputs, "reverse")
		case "reject_rhsbl_recipient":
			m.leave(r.At.String(), r.Name+" "+r.Arg, "recipients are yours, and no list is asked about them", "")
		default:
			z.inputs = unique(z.inputs, "client4")
		}
	}
	m.zones(zones, "main.cf")
}

// zones writes all lists, and what they are used for where that is known.
func (m *Draft) zones(zones []*zone, where string) {
	if len(zones) == 0 {
		return
	}
	t := m.Policy.table("rbl")
	if m.options.Use != "" {
		t.set("use", text(m.options.Use), "--use")
	} else {
		t.off("use", text("commercial"), "or non-commercial: as the terms of the lists call your mail")
		m.leave(where, "DNS lists", "each has terms for its use, and it is not said which: no list is asked until rbl.use is set", `write use = "commercial" or "non-commercial" in [rbl], or import again with --use`)
	}
	for _, z := range zones {
		m.zone(z)
	}
}

// screenZones are those of postscreen.
func (m *postfixImport) screenZones(find func(string) *zone) {
	sites, at := m.c.Sites()
	threshold, err := strconv.Atoi(m.c.Value("postscreen_dnsbl_threshold"))
	if len(sites) == 0 || err != nil || threshold < 1 {
		return
	}
	if !m.screens {
		m.leave(at.String(), "postscreen_dnsbl_sites", "postscreen is not in master.cf, so these lists are not asked", "")
		return
	}
	action := m.c.Value("postscreen_dnsbl_action")
	if action != "enforce" && action != "drop" {
		m.changed(at.String(), "postscreen_dnsbl_action = "+action, "checks.rbl.client decides", "postscreen asks the lists and lets everybody in", `write action = "observe" in [checks.rbl.client] for the same`)
	}
	for _, s := range sites {
		z := find(s.Domain)
		z.inputs = unique(z.inputs, "client4")
		z.where = unique(z.where, at.String())
		z.filters = append(z.filters, weighed{s.Filter, onOurScale(s.Weight, threshold)})
	}
}

// onOurScale turns a weight of postscreen, which refuses at a threshold, into one that refuses at 10.
func onOurScale(weight, threshold int) int {
	w := math.Round(10 * float64(weight) / float64(threshold))
	if weight < threshold && w >= 10 {
		w = 9 // what did not refuse alone still does not
	}
	return int(min(max(w, -10), 10))
}

// zone writes a list: of the catalogue, or as one of the operator's own.
func (m *Draft) zone(z *zone) {
	where, what := strings.Join(z.where, ", "), "list "+hidden(z.domain)
	list, keyed := inCatalogue(z.domain)
	if list != nil {
		m.catalogued(z, list, keyed, where, what)
		return
	}
	if hidden(z.domain) != z.domain {
		m.leave(where, what, "its name seems to have a key in it, which is never copied", "write it as [[rbl.own]] with {key} in zone, and the key in key_file")
		return
	}
	own := rbl.List{Name: strings.Trim(word(z.domain), "-"), Zone: z.domain, Inputs: inputsOf(z.inputs), Listed: []string{"127.0.0.2"}, Free: []string{"127.0.0.1"}}
	if own.Inputs&rbl.Domains != 0 {
		own.Listed, own.Free = []string{"test"}, []string{"invalid"}
	}
	for _, f := range z.filters {
		patterns, ok := answers(f.filter)
		if !ok || len(patterns) > 32 {
			m.leave(where, what+"="+f.filter, "its filter cannot be read", "write its codes as [[rbl.own.rule]]")
			continue
		}
		for _, p := range patterns {
			if pattern, err := rbl.ParsePattern(p); err == nil {
				own.Rules = append(own.Rules, rbl.Rule{Answer: pattern, Label: "listed", Weight: f.weight})
			}
		}
	}
	if len(own.Rules) == 0 {
		return
	}
	if why := unusable(&own); why != "" {
		m.leave(where, what, why, "write it as [[rbl.own]] if it is a list")
		return
	}
	m.own(&own, z, where)
	m.changed(where, what, "rbl.own["+own.Name+"]", "it is asked only while its test points of RFC 5782 section 5 answer as they should", "look at its documentation: give its codes their own labels and weights, and its test points if they differ")
}

// own writes a list of the operator's own.
func (m *Draft) own(l *rbl.List, z *zone, where string) {
	t := m.Policy.each("rbl.own")
	t.set("name", text(l.Name), where)
	t.set("zone", text(l.Zone), "")
	if z.inputs != nil && !slices.Equal(z.inputs, []string{"client4"}) {
		t.set("inputs", texts(z.inputs), "")
	}
	for _, rule := range l.Rules {
		r := t.sub("rbl.own.rule")
		r.set("answer", text(rule.Answer.String()), "")
		r.set("label", text(rule.Label), "")
		r.set("weight", number(rule.Weight), "10 refuses alone")
	}
}

// unusable says why a list cannot be one of the operator's own, as the configuration would.
func unusable(l *rbl.List) string {
	if _, ok := domainName(l.Zone); !ok {
		return "is no domain"
	}
	for _, known := range rbl.Catalogue() {
		if known.Name == l.Name {
			return "is called as a list of the catalogue"
		}
	}
	for _, r := range l.Rules {
		if r.Weight < 0 && l.Inputs&(rbl.HeloName|rbl.MailFrom|rbl.From|rbl.Link) != 0 {
			return "speaks for names that anybody can write"
		}
	}
	if err := l.Validate(); err != nil {
		return short(err.Error())
	}
	return ""
}

// inputsOf is the sum of the inputs of those names; of none, what a list of one's own is asked about.
func inputsOf(names []string) (in rbl.Input) {
	if in = rbl.InputsOf(names); in == 0 {
		return rbl.Client
	}
	return in
}

// catalogued writes a list that the catalogue has: with the catalogue's weights, and Postfix's beside them.
func (m *Draft) catalogued(z *zone, list *rbl.List, keyed bool, where, what string) {
	if m.options.Use == "commercial" && !list.Commercial {
		do := "remove it, or write use = \"non-commercial\" in it, if that is what it is used for"
		if _, err := named(list.Name + "-dqs"); err == nil {
			do = "write [[rbl.list]] " + list.Name + "-dqs with its key"
		}
		m.leave(where, what, "may not be used for a company's mail by its terms: "+list.Terms, do)
		return
	}
	t := m.Policy.each("rbl.list")
	if keyed || list.NeedsKey() {
		// Without the key the table would be refused.
		t.header = "# " + t.header
		t.off("name", text(list.Name), where)
		t.off("key_file", text("/etc/gatepost/"+list.Name+".key"), "the key, and nothing else; it is in the name of the list there")
		m.leave(where, what, "its key is never copied", "put the key into /etc/gatepost/"+list.Name+".key and take the # away in [[rbl.list]] "+list.Name)
		return
	}
	t.set("name", text(list.Name), where)
	var weights []string
	for _, r := range list.Rules {
		if w, ok := weightOf(r.Answer, z.filters); ok && w != r.Weight {
			weights = append(weights, text(r.Label)+" = "+number(w))
		}
	}
	if len(weights) > 0 {
		t.off("weights", "{ "+strings.Join(weights, ", ")+" }", "as they were there")
	}
	m.changed(where, what, "rbl.list["+list.Name+"]", "its codes have the weights of the catalogue, by which only listings that are sure refuse alone", "take the # away before weights in policy.toml for those that they had before")
	if z.inputs != nil && slices.Contains(z.inputs, "reverse") && list.Inputs&rbl.Domains == 0 {
		m.leave(where, what, "is a list of addresses, and a name is asked about", "")
	}
}

// named finds a list of the catalogue by its name.
func named(name string) (*rbl.List, error) {
	for _, l := range rbl.Catalogue() {
		if l.Name == name {
			return &l, nil
		}
	}
	return nil, errors.New("no such list")
}

// inCatalogue finds a zone, also one with a key in it.
func inCatalogue(domain string) (list *rbl.List, keyed bool) {
	for _, l := range rbl.Catalogue() {
		_, rest, has := strings.Cut(l.Zone, "{key}.")
		if l.Zone == domain {
			return &l, false
		}
		if has && strings.HasSuffix(domain, "."+rest) {
			return &l, true
		}
	}
	return nil, false
}

// hidden keeps the key of a list out of the report.
func hidden(domain string) string {
	if list, keyed := inCatalogue(domain); keyed {
		return list.Zone
	}
	if first, rest, ok := strings.Cut(domain, "."); ok && len(first) >= 20 {
		return "(key)." + rest
	}
	return domain
}

// weightOf adds up the filters that match an answer that a rule is about.
func weightOf(rule rbl.Pattern, filters []weighed) (sum int, ok bool) {
	for a := range 16 {
		for b := range 256 {
			addr := netip.AddrFrom4([4]byte{127, 0, byte(a), byte(b)})
			if !rule.Match(addr) {
				continue
			}
			for _, f := range filters {
				patterns, _ := answers(f.filter)
				for _, p := range patterns {
					if pattern, err := rbl.ParsePattern(p); err == nil && pattern.Match(addr) {
						sum, ok = sum+f.weight, true
						break
					}
				}
			}
			return min(max(sum, -10), 10), ok
		}
	}
	return 0, false
}

// answers turns a filter (postconf(5): "127.0.[0..255].[1;2;4..7]") into patterns of ours.
func answers(filter string) ([]string, bool) {
	if filter == "" {
		return []string{"127.*.*.*"}, true
	}
	out := []string{""}
	for i, octet := range splitOctets(filter) {
		var next []string
		for _, one := range strings.Split(strings.Trim(octet, "[]"), ";") {
			one = strings.Replace(one, "..", "-", 1)
			if one == "0-255" {
				one = "*"
			}
			for _, before := range out {
				next = append(next, strings.TrimPrefix(before+"."+one, map[bool]string{true: "."}[i == 0]))
			}
			if len(next) > 64 {
				return nil, false
			}
		}
		out = next
	}
	for _, p := range out {
		if _, err := rbl.ParsePattern(p); err != nil {
			return nil, false
		}
	}
	return out, true
}

// splitOctets splits at dots outside of brackets.
func splitOctets(s string) (out []string) {
	depth, start := 0, 0
	for i := range len(s) {
		switch {
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		case s[i] == '.' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}
