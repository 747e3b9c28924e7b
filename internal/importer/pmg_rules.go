package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/importer/pmg"
	"gatepost/internal/importer/postfix"
)

// checks are the switches of pmg.conf that name a check.
func (m *pmgImport) checks() {
	for _, c := range []struct {
		key          string
		on           bool // its default
		does, doesnt string
	}{
		{"spf", true, "checks.spf", "checks.spf"},
		{"greylist", true, "checks.greylist", "checks.greylist"},
		{"greylist6", false, "checks.greylist, on IPv6 too", "checks.greylist, on IPv6 too"},
		{"helotests", false, "checks.helo scores it", "checks.helo"},
		{"rejectunknown", false, "checks.rdns scores it", "checks.rdns"},
		{"rejectunknownsender", false, "checks.sender", "checks.sender"},
	} {
		_, where, what, set := m.get("mail", c.key)
		if !set {
			where, what = "pmg.conf", "mail."+c.key+" is not set"
		}
		if m.yes("mail", c.key, c.on) {
			switch c.key {
			case "helotests", "rejectunknown":
				m.changed(where, what, c.does, "it costs points and is not refused for it alone", `write action = "reject" in [`+c.doesnt+`] to refuse it`)
			case "greylist":
				m.changed(where, what, c.does, "PMG greylists every stranger; Gatepost those that are suspect. What it has learned is not taken over", "")
			default:
				m.taken(where, what, c.does)
			}
			continue
		}
		if set {
			m.changed(where, what, c.doesnt+" stays on", "it is part of what is checked by default", `write action = "off" in its section if you do not want it`)
		}
	}
	if _, where, what, set := m.get("admin", "clamav"); set && !m.yes("admin", "clamav", true) {
		m.changed(where, what, "checks.clamav stays on", "mail is scanned by clamd, which has to run", `write action = "off" in [checks.clamav] if there is no clamd`)
	}
	if m.yes("clamav", "archiveblockencrypted", false) {
		_, where, what, _ := m.get("clamav", "archiveblockencrypted")
		m.taken(where, what, "checks.clamav: what is encrypted is not delivered unseen, if clamd.conf has AlertEncrypted yes")
	}
}

// dnsLists are those of postscreen, which PMG always enforces.
func (m *pmgImport) dnsLists() {
	v, where, what, set := m.get("mail", "dnsbl_sites")
	least, _, _, _ := m.get("mail", "dnsbl_threshold")
	if !set {
		return
	}
	threshold, err := strconv.Atoi(least)
	if err != nil || threshold < 1 {
		threshold = 1
	}
	var zones []*zone
	for _, w := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		s, ok := postfix.ParseZone(w)
		if !ok {
			m.leave(where, what, "has something that is no list", "")
			continue
		}
		i := slices.IndexFunc(zones, func(z *zone) bool { return z.domain == s.Domain })
		if i < 0 {
			i = len(zones)
			zones = append(zones, &zone{domain: s.Domain, inputs: []string{"client4"}, where: []string{where}})
		}
		zones[i].filters = append(zones[i].filters, weighed{s.Filter, onOurScale(s.Weight, threshold)})
	}
	m.zones(zones, where)
}

// rules goes through the rule database.
func (m *pmgImport) rules() {
	for _, id := range sortedKeys(m.b.Rules.Groups) {
		if g := m.b.Rules.Groups[id]; g.Class == "greylist" {
			m.welcome(g)
		}
	}
	limits := map[string]int{} // thresholds, the lowest of each
	for i := range m.b.Rules.Rules {
		r := &m.b.Rules.Rules[i]
		where := "rule " + strconv.Itoa(r.ID)
		what := fmt.Sprintf("%s (priority %d): %s", r.Name, r.Priority, shownRule(r))
		action, other := verdictOf(r.Actions)
		switch {
		case !r.Active:
			m.leave(where, what, "is not active", "")
		case r.Direction == 1:
			m.leave(where, what, "is about mail that goes out, which an inbound gateway does not see", "")
		case r.Joined || slices.ContainsFunc(slices.Concat(r.From, r.To, r.When, r.What), func(g *pmg.Group) bool { return g.Joined }):
			m.leave(where, what, `joins its objects by "all" or "not", which has no counterpart`, "")
		case len(r.When) > 0:
			m.leave(where, what, "holds at certain times only, which has no counterpart", "")
		case len(r.To) > 0:
			m.leave(where, what, "holds for some recipients only", "thresholds can differ by domain: [domain.thresholds]")
		case len(r.From) > 0 && len(r.What) > 0:
			m.leave(where, what, "looks at sender and content together", "")
		case len(r.From) > 0 && action != "":
			m.who(r, where, action == "accept")
		case onlyKind(r.What, pmg.Spam) && (action == "block" || action == "quarantine" || other == "marks"):
			m.threshold(r, where, what, action, limits)
		case onlyKind(r.What, pmg.Virus) && (action == "block" || action == "quarantine"):
			m.changed(where, what, "checks.clamav", "malware is refused with 550 while the sender is connected, and not kept; official signatures decide", "")
		case len(r.What) == 0 && action == "" && other == "marks":
			m.changed(where, what, "X-Spam fields", "marks of its own are written into each message", "")
		case len(r.What) > 0:
			m.leave(where, what, "looks at "+kinds(r.What)+", for which there is no check yet", "")
		default:
			m.leave(where, what, "has an action without a counterpart", "")
		}
	}
	m.thresholds(limits)
}

// verdictOf is what the actions of a rule decide, and what they do beside: "marks" or "".
func verdictOf(actions []*pmg.Group) (verdict, other string) {
	for _, k := range []struct {
		otype int
		name  string
	}{{pmg.Block, "block"}, {pmg.Quarantine, "quarantine"}, {pmg.Accept, "accept"}} {
		if verdict == "" && pmg.Has(actions, k.otype) {
			verdict = k.name
		}
	}
	if pmg.Has(actions, pmg.ModField) {
		other = "marks"
	}
	return verdict, other
}

func onlyKind(groups []*pmg.Group, otype int) bool {
	n := 0
	for _, g := range groups {
		for _, o := range g.Objects {
			if o.Type != otype {
				return false
			}
			n++
		}
	}
	return n > 0
}

func kinds(groups []*pmg.Group) string {
	var out []string
	for _, g := range groups {
		for _, o := range g.Objects {
			out = unique(out, pmg.Kind(o.Type))
		}
	}
	return strings.Join(out, ", ")
}

func shownRule(r *pmg.Rule) string {
	var parts []string
	for _, p := range []struct {
		name   string
		groups []*pmg.Group
	}{{"from", r.From}, {"to", r.To}, {"when", r.When}, {"what", r.What}, {"action", r.Actions}} {
		for _, g := range p.groups {
			parts = append(parts, p.name+" "+g.Name)
		}
	}
	return strings.Join(parts, ", ")
}

// who turns the senders of a rule that blocks or accepts all of their mail into entries.
func (m *pmgImport) who(r *pmg.Rule, where string, allow bool) {
	n, all := 0, 0
	for _, g := range r.From {
		for _, o := range g.Objects {
			all++
			at := where + ", object " + strconv.Itoa(o.ID)
			l := listed{allow: allow, where: at, what: pmg.Kind(o.Type) + " " + o.Value, reason: r.Name + ": " + g.Name, value: o.Value}
			switch o.Type {
			case pmg.EMail, pmg.Domain:
				l.kind = kindAddress
				if o.Type == pmg.Domain {
					l.value = "@" + strings.TrimPrefix(o.Value, "@")
				}
			case pmg.IPAddress, pmg.IPNet:
				l.kind = kindNetwork
			case pmg.WhoRegex: // it has to match from end to end
				kind, value, ok := fromExpression(kindAddress, "^"+o.Value+"$")
				if !ok {
					m.leave(at, l.what, "is an expression that is no plain address or domain", "")
					continue
				}
				l.kind, l.value = kind, value
			default:
				m.leave(at, l.what, "has no counterpart in checks.access", "")
				continue
			}
			if m.entries.add(l) {
				n++
			}
		}
	}
	if all > 0 {
		m.taken(where, fmt.Sprintf("%s (priority %d): %s", r.Name, r.Priority, shownRule(r)), number(n)+" of "+number(all)+" objects in checks.access")
	}
}

// threshold keeps the lowest level of each kind.
func (m *pmgImport) threshold(r *pmg.Rule, where, what, action string, limits map[string]int) {
	key := map[string]string{"block": "reject", "quarantine": "quarantine"}[action]
	if key == "" {
		key = "tag"
	}
	for _, g := range r.What {
		for _, o := range g.Objects {
			n, err := strconv.Atoi(o.Value)
			if err != nil || n < 1 || n > 1000 {
				m.leave(where, what, "has a spam level that is no number from 1 to 1000", "")
				continue
			}
			if old, ok := limits[key]; !ok || n < old {
				limits[key] = n
			}
			m.changed(where, what, "thresholds."+key+" = "+number(n), "the scale is the same, SpamAssassin's, but Gatepost's own checks add their points, and what is over the threshold for reject is refused while the sender is connected", "run with mode = \"observe\" or \"soft\" for two weeks, and look what it would have done")
		}
	}
}

// thresholds writes them in the order that they must have: tag, quarantine, reject.
func (m *pmgImport) thresholds(limits map[string]int) {
	if len(limits) == 0 {
		return
	}
	value := func(key string, otherwise float64) float64 {
		if n, ok := limits[key]; ok {
			return float64(n)
		}
		return otherwise
	}
	reject := value("reject", 15)
	quarantine := min(value("quarantine", 7), reject)
	tag := min(value("tag", 5), quarantine)
	t := m.Policy.table("thresholds")
	for _, k := range []struct {
		key string
		n   float64
	}{{"tag", tag}, {"quarantine", quarantine}, {"reject", reject}} {
		origin := "rules"
		if _, ok := limits[k.key]; !ok {
			origin = "not more than the next"
		}
		t.set(k.key, strconv.FormatFloat(k.n, 'f', -1, 64), origin)
	}
}

// welcome is the SMTP welcome list (before 7: whitelist): who is not greylisted nor asked about at DNS lists.
func (m *pmgImport) welcome(g *pmg.Group) {
	for _, o := range g.Objects {
		where, what := "welcome list, object "+strconv.Itoa(o.ID), pmg.Kind(o.Type)+" "+o.Value
		switch o.Type {
		case pmg.Receiver, pmg.ReceiverDomain:
			key := "recipient"
			value := o.Value
			domain := value
			if o.Type == pmg.ReceiverDomain {
				key = "domain"
			} else {
				_, domain, _ = strings.Cut(value, "@")
			}
			name, ok := domainName(domain)
			if !ok || strings.ContainsAny(value, " \t") || len(value) > 255 {
				m.leave(where, what, "is no address or domain", "")
				continue
			}
			if key == "domain" {
				value = name
			}
			t := m.Policy.each("checks.greylist.for")
			t.set(key, text(value), where)
			t.set("mode", text("off"), "")
			m.changed(where, what, "checks.greylist.for, off", "its mail does not wait; SPF and DNS lists are looked at all the same", "")
		case pmg.IPAddress, pmg.IPNet:
			m.leave(where, what, "PMG spares it greylisting, SPF and DNS lists only; an allow entry here would spare it the spam check too", "who passes SPF or has a verified name does not wait; add it to checks.access.client if you trust all of its mail")
		default:
			m.leave(where, what, "senders by name are not spared: anybody can write any", "who passes SPF or has a verified name does not wait")
		}
	}
}

// users are lists of single users.
func (m *pmgImport) users() {
	n := map[string]int{}
	for _, u := range m.b.Rules.Users {
		if u.Data != "" && (u.Name == "WL" || u.Name == "BL") {
			n[u.Name]++
		}
	}
	for _, name := range sortedKeys(n) {
		list := map[string]string{"WL": "welcome lists", "BL": "block lists"}[name]
		m.leave("userprefs", list+" of "+number(n[name])+" users", "there are no lists of single users yet", "")
	}
}

// rest tells of every key of pmg.conf that nothing has looked at.
func (m *pmgImport) rest() {
	for _, section := range sortedKeys(m.b.Config) {
		for _, v := range m.b.Config[section] {
			if m.seen[section+"."+v.Key] {
				continue
			}
			what := section + "." + v.Key + " = " + v.Text
			if strings.Contains(v.Key, "proxy") || strings.Contains(v.Key, "pass") {
				what = section + "." + v.Key + " = (not shown)"
			}
			why, do := aboutPMG(section, v.Key)
			m.leave("pmg.conf:"+strconv.Itoa(v.Line), what, why, do)
		}
	}
	for _, f := range []struct{ name, why, do string }{
		{"tls_inbound_domains", "TLS is not demanded of senders by domain", "publish MTA-STS and DANE for what you receive"},
		{"ldap.conf", "who is in a directory is a matter of recipients", "write a [[directory]] for it, with the password in a file of its own"},
	} {
		if len(m.b.Files[f.name]) > 0 {
			m.leave(f.name, f.name, f.why, f.do)
		}
	}
}

func aboutPMG(section, key string) (why, do string) {
	switch section + "." + key {
	case "mail.smarthost", "mail.smarthostport", "mail.int_port", "mail.max_smtpd_out", "mail.hide_received", "admin.dkim_sign", "admin.dkim_sign_all_mail", "admin.dkim_selector", "admin.dkim-use-domain":
		return "is about mail that goes out", "send it straight from the internal mail server, or keep the old way for it"
	case "mail.dwarning", "mail.queue-lifetime":
		return "mail is passed on before it is accepted, and nothing is queued", `write when_down = "spool" in a route that shall keep mail while its next hop is away`
	case "admin.avast", "admin.custom_check", "admin.custom_check_path":
		return "no other scanner than clamd is asked", ""
	}
	switch section {
	case "spamquar", "virusquar":
		return "the quarantine here has settings of its own, and what lies in the old one stays there", "look at [quarantine] in policy.toml: keep, keep_malware, max_size"
	case "spam":
		return "is SpamAssassin's own: spamd has it in local.cf", "carry it over to spamd's local.cf"
	case "clamav":
		return "is clamd's own: it has it in clamd.conf", "see docs/operating.md for clamd.conf"
	case "admin":
		return "is about PMG's own reports and pages", ""
	}
	return "is a detail of PMG that has no key here", ""
}
