package postfix

import (
	"slices"
	"strings"
)

// Restriction is one element of smtpd_*_restrictions.
type Restriction struct {
	List  string // the list it stands in
	Name  string
	Arg   string // of those that have one: a table, a zone, a policy service
	Warn  bool   // behind warn_if_reject: it only logs
	At    Place
	Table *Table // of check_*_access
}

// restrictionLists are the lists of smtpd(8), in the order in which they are asked.
func restrictionLists() []string {
	return []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"}
}

// Restrictions reads all lists of restrictions, in the order in which they are asked, as they hold for a service (nil: as
// main.cf has them). Classes are written out.
func (c *Config) Restrictions(service *Service) (out []Restriction) {
	classes := words(c.Value("smtpd_restriction_classes"), separators)
	for _, list := range restrictionLists() {
		p, _ := c.get(list, service)
		out = append(out, c.restrictions(list, p, classes, service, 0)...)
	}
	return out
}

func (c *Config) restrictions(list string, p Param, classes []string, service *Service, depth int) (out []Restriction) {
	if depth > maxDepth {
		c.fault(p.At, p.Name, "names itself, or goes too deep")
		return nil
	}
	warn := false
	for all := words(p.Value, separators); len(all) > 0; all = all[1:] {
		word := unbraced(all[0])
		r := Restriction{List: list, Name: word, Warn: warn, At: p.At}
		switch {
		case word == "warn_if_reject":
			warn = true
			continue
		case isTable(word): // a table alone stands for check_X_access, X from the list
			r.Name, r.Arg = "check_"+strings.TrimSuffix(strings.TrimPrefix(list, "smtpd_"), "_restrictions")+"_access", word
		case slices.Contains(classes, word):
			class, _ := c.get(word, service)
			out = append(out, c.restrictions(list, class, classes, service, depth+1)...)
			warn = false
			continue
		case takesArg(word) && len(all) > 1:
			r.Arg, all = unbraced(all[1]), all[1:]
		}
		warn = false
		if strings.HasPrefix(r.Name, "check_") && strings.HasSuffix(r.Name, "_access") && r.Arg != "" {
			r.Table = c.Table(r.Arg, p.At)
		}
		if out = append(out, r); len(out) > 1000 {
			c.fault(p.At, word, "and what follows is not read: too many restrictions")
			break
		}
	}
	return out
}

func takesArg(name string) bool {
	return strings.HasPrefix(name, "check_") || strings.HasPrefix(name, "reject_rbl_client") || strings.HasPrefix(name, "reject_maps_rbl ") ||
		strings.HasPrefix(name, "reject_rhsbl_") || strings.HasPrefix(name, "permit_dnswl_") || strings.HasPrefix(name, "permit_rhswl_") || name == "sleep"
}

// Zone is one list of postscreen_dnsbl_sites or of a restriction: domain=filter*weight (postconf(5)).
type Zone struct {
	Domain string
	Filter string // "" for any answer
	Weight int    // 1 unless written
}

// ParseZone reads one.
func ParseZone(text string) (z Zone, ok bool) {
	z.Weight, ok = 1, true
	domain, weight, weighted := strings.Cut(text, "*")
	if weighted {
		z.Weight, ok = integer(weight)
	}
	z.Domain, z.Filter, _ = strings.Cut(domain, "=")
	z.Domain = strings.ToLower(strings.TrimSuffix(z.Domain, "."))
	return z, ok && z.Domain != ""
}

func integer(text string) (int, bool) {
	n, minus, rest := 0, false, text
	if rest, minus = strings.CutPrefix(text, "-"); rest == "" || len(rest) > 6 {
		return 0, false
	}
	for _, d := range []byte(rest) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	if minus {
		n = -n
	}
	return n, true
}

// Sites reads postscreen_dnsbl_sites; what is none is a fault.
func (c *Config) Sites() (out []Zone, at Place) {
	p, _ := c.Get("postscreen_dnsbl_sites")
	for _, w := range words(p.Value, separators) {
		z, ok := ParseZone(w)
		if !ok {
			c.fault(p.At, w, "is no domain=filter*weight")
			continue
		}
		out = append(out, z)
	}
	return out, p.At
}
