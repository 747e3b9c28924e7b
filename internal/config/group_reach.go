package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
)

// unreached warns of rules and members of groups that can never matter: what they name is not served, the checks they are
// about are off, or a rule above takes all that they are about. It warns only where that is certain: a file of members is
// not known here, nor whom a domain of others sends for.
func (p *Policy) unreached(sections Sections, report func(key, message, instead string)) {
	if len(p.Rules) > maxRules {
		return
	}
	s := p.servedNames()
	for i := range p.Groups {
		for k, m := range p.Groups[i].Members {
			if !s.serves(m) {
				report("group["+strconv.Itoa(i)+"].members["+strconv.Itoa(k)+"]", shown(m)+" is not served here: no mail for it comes this far", "write a [[domain]] for it, or remove it")
			}
		}
	}
	reaches := make([]reach, len(p.Rules))
	for i := range p.Rules {
		reaches[i] = p.reachOf(&p.Rules[i], sections)
		at := "rule[" + strconv.Itoa(i) + "]"
		for k, to := range p.Rules[i].To {
			if strings.ContainsAny(to, "@.") && !s.serves(to) {
				report(at+".to["+strconv.Itoa(k)+"]", shown(to)+" is not served here: no mail for it comes this far", "write a [[domain]] for it, or remove it")
			}
		}
		if why, instead := p.idle(&reaches[i]); why != "" {
			report(at, "never matches: "+why, instead)
			continue
		}
		if above := shadow(reaches[:i], &reaches[i]); above != "" {
			report(at, "never matches: all that it is about is taken by "+above+" above it", "put it higher if it is an exception, else remove it")
		}
	}
}

// served are the domains that mail can be for: single names, those below which all are served, and those below which any is.
type served struct{ names, below, above map[string]bool }

func (p *Policy) servedNames() served {
	s := served{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for i := range p.Domains {
		d := &p.Domains[i]
		name, wild := strings.CutPrefix(d.Name, "*.")
		if wild || d.Subdomains {
			s.below[name] = true
		}
		s.names[name] = s.names[name] || !wild
		for rest := name; rest != ""; {
			_, rest, _ = strings.Cut(rest, ".")
			s.above[rest] = true
		}
	}
	for i := range p.DomainMaps {
		s.names[p.DomainMaps[i].From] = true
	}
	return s
}

// serves reports whether mail can be for an address, a domain, or a name below one. Where nothing is served at all, that is
// said elsewhere.
func (s *served) serves(member string) bool {
	domain := member[strings.LastIndexByte(member, '@')+1:]
	name, wild := strings.CutPrefix(domain, "*.")
	if s.names[name] && !wild || s.below[name] && wild || len(s.names) == 0 || !strings.Contains(name, ".") {
		return true
	}
	for rest := name; rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		if s.below[rest] {
			return true
		}
	}
	return wild && s.above[name]
}

// reach is what a rule is about, in a form that rules can be compared by.
type reach struct {
	rule   *Rule
	checks []string
	on     bool         // one of its checks runs, or it is about messages
	unmet  []string     // checks that are off without which its trust is never true
	to     []toMember   // none: everybody
	from   []fromMember // none: whoever
	over   bool
}

// toMember is an element of to: a member, or a group with those of its members that are written here.
type toMember struct {
	name    string
	members []string
	whole   bool // these are all of the group
}

// fromMember is an element of from.
type fromMember struct {
	network netip.Prefix
	name    string // an address, a domain, or "*." and a domain
}

// mostWritten bounds the members that are compared one by one; a larger group is only itself.
const mostWritten = 100

func (p *Policy) reachOf(r *Rule, sections Sections) reach {
	out := reach{rule: r, checks: r.Matching(sections), over: !r.Expires.IsZero() && time.Now().After(r.Expires.End())}
	out.on = len(r.Check) == 0 || len(out.checks) == 0 || slices.ContainsFunc(out.checks, func(c string) bool { return !p.off(c) })
	for _, t := range r.Trust {
		needs := map[Trust]string{"known": gateway.ReputationCheck, "authenticated": gateway.DMARCCheck, "first": "impersonation.first"}[t]
		if needs == "" || !p.off(needs) {
			out.unmet = nil
			break
		}
		out.unmet = append(out.unmet, needs)
	}
	for _, to := range r.To {
		m := toMember{name: to}
		if i := slices.IndexFunc(p.Groups, func(g Group) bool { return g.Name == to }); i >= 0 && len(p.Groups[i].Members) <= mostWritten {
			m.members, m.whole = p.Groups[i].Members, p.Groups[i].File == ""
		}
		out.to = append(out.to, m)
	}
	for _, from := range r.From {
		n, err := netip.ParsePrefix(from)
		if err != nil {
			n = netip.Prefix{}
		}
		out.from = append(out.from, fromMember{n, from})
	}
	return out
}

// off reports whether a check is known and does not run.
func (p *Policy) off(check string) bool {
	c := p.Checks[check]
	return c != nil && c.Action == Off
}

// idle says why a rule matches nothing, whatever stands above it; "" where it may. Rule.Warn tells of those that are over.
func (p *Policy) idle(r *reach) (why, instead string) {
	switch {
	case r.over:
	case !r.on:
		return "checks." + strings.Join(r.checks, ", checks.") + " is off, so that it finds nothing", "switch it on, or remove the rule"
	case len(r.unmet) > 0:
		return "its trust is known by checks." + strings.Join(r.unmet, ", checks.") + ", which is off", "switch it on, or write another trust"
	}
	return "", ""
}

// shadow names the rules above that take all that a rule is about; "" where it may be reached. Each of its checks has a
// first rule of its own, so they may be several.
func shadow(above []reach, r *reach) string {
	if r.over {
		return ""
	}
	var by []string
	note := func(name string) {
		if name = "rule " + shown(name); !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	if len(r.rule.Check) == 0 {
		for i := range above {
			if a := &above[i]; len(a.rule.Check) == 0 && a.takes(r) {
				return "rule " + shown(a.rule.Name)
			}
		}
		return ""
	}
	takers := make([]*reach, 0, len(above))
	for i := range above {
		if a := &above[i]; len(a.checks) > 0 && slices.ContainsFunc(r.checks, func(c string) bool { return slices.Contains(a.checks, c) }) && a.takes(r) {
			takers = append(takers, a)
		}
	}
	for _, c := range r.checks {
		i := slices.IndexFunc(takers, func(a *reach) bool { return slices.Contains(a.checks, c) })
		if i < 0 {
			return ""
		}
		note(takers[i].rule.Name)
	}
	return strings.Join(by, " and ")
}

// takes reports whether a rule matches all that another does, checks aside.
func (r *reach) takes(other *reach) bool {
	a, b := r.rule, other.rule
	switch {
	case r.over, !a.Expires.IsZero() && (b.Expires.IsZero() || b.Expires.After(a.Expires.Time)):
		return false
	case a.PointsFrom > b.PointsFrom, !takesTrust(a.Trust, b.Trust), !takesReasons(a.Reasons, b.Reasons), !takesTexts(a.Text, b.Text):
		return false
	}
	return r.takesFrom(other) && r.takesTo(other)
}

// takesTrust: trusted, known and unknown together are everybody.
func takesTrust(a, b []Trust) bool {
	all := func(of []Trust, in ...Trust) bool {
		return !slices.ContainsFunc(in, func(t Trust) bool { return !slices.Contains(of, t) })
	}
	return len(a) == 0 || all(a, "trusted", "known", "unknown") || len(b) > 0 && all(a, b...)
}

// takesReasons: without reasons a rule is about what was found, and not about what could not be told.
func takesReasons(a, b []string) bool {
	if len(a) == 0 {
		return !slices.ContainsFunc(b, untold)
	}
	return len(b) > 0 && !slices.ContainsFunc(b, func(reason string) bool { return !slices.Contains(a, reason) })
}

// untold reports whether a reason may be one for which a check could not tell.
func untold(reason string) bool {
	group, _, _ := strings.Cut(reason, ".")
	return slices.Contains([]string{"scanner", "unpack", "rcpt", "next_hop", "check", "dns"}, group) || gateway.Reason(reason).Natural() == gateway.Defer
}

func takesTexts(a, b []string) bool {
	has := func(pattern string) bool {
		return slices.ContainsFunc(a, func(have string) bool { return have == "*" || strings.EqualFold(have, pattern) })
	}
	return len(a) == 0 || len(b) > 0 && !slices.ContainsFunc(b, func(pattern string) bool { return !has(pattern) })
}

func (r *reach) takesFrom(other *reach) bool {
	if len(r.from) == 0 || len(other.from) == 0 {
		return len(r.from) == 0
	}
	return !slices.ContainsFunc(other.from, func(m fromMember) bool {
		return !slices.ContainsFunc(r.from, func(have fromMember) bool {
			if have.network.IsValid() || m.network.IsValid() {
				return have.network.IsValid() && m.network.IsValid() && have.network.Bits() <= m.network.Bits() && have.network.Contains(m.network.Addr())
			}
			return takesMember(have.name, m.name)
		})
	})
}

// takesTo: a group is taken where it is named itself, or where all its members are.
func (r *reach) takesTo(other *reach) bool {
	if len(r.to) == 0 || len(other.to) == 0 {
		return len(r.to) == 0
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(r.to, func(have toMember) bool {
			return takesMember(have.name, name) || slices.ContainsFunc(have.members, func(m string) bool { return takesMember(m, name) })
		})
	}
	return !slices.ContainsFunc(other.to, func(m toMember) bool {
		one := m.whole && len(m.members) > 0 && !slices.ContainsFunc(m.members, func(name string) bool { return !taken(name) })
		return !taken(m.name) && !one
	})
}

// takesMember reports whether whoever is meant by a member is meant by another.
func takesMember(have, m string) bool {
	if strings.EqualFold(have, m) {
		return true
	}
	if strings.Contains(have, "@") || !strings.Contains(have, ".") || !strings.ContainsAny(m, "@.") {
		return false
	}
	domain := m[strings.LastIndexByte(m, '@')+1:]
	below, wild := strings.CutPrefix(have, "*")
	if wild {
		return strings.HasSuffix(domain, below) // also "*.a.b" below "*.b"
	}
	return domain == have
}
