package console

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/config"
)

// edit is how the draft says what the form says. A domain that the draft has keeps all else that is said of it, and so does its route,
// where no other domain takes it; where one does, and for a domain that is new, a route comes that has what the form says.
func (f *serverForm) edit(p *policies) url.Values {
	e := serverEdit{form: f, draft: p.Draft.Text}
	domain, route := -1, -1
	if p.text != nil {
		domain = slices.IndexFunc(p.text.Domains, func(d config.Domain) bool { return strings.EqualFold(d.Name, f.Domain) })
	}
	if domain >= 0 {
		route = slices.IndexFunc(p.text.Routes, func(r config.Route) bool { return r.Name == p.text.Domains[domain].Route })
	}
	switch {
	case domain < 0:
		name := f.routeName(p)
		e.add(name)
		e.set = append(e.set, "domain[]={ name = "+tomlText(f.Domain)+", route = "+tomlText(name)+" }")
	case route < 0 || f.used(p, p.text.Domains[domain].Route) > 1:
		name := f.routeName(p)
		e.add(name)
		e.set = append(e.set, elementAt("domain", domain)+".route="+tomlText(name))
	default:
		e.change(route)
	}
	if domain >= 0 {
		if own := elementsOf(e.draft, "domain")[domain]; own["recipients"] != "" {
			e.exist("domain", domain, own)
		}
	}
	return url.Values{"set": e.set, "remove": e.remove}
}

// serverEdit are the changes of a draft that a form comes to.
type serverEdit struct {
	form        *serverForm
	draft       string
	set, remove []string
}

// elementAt is an element of a list as changes name it; i is from 0.
func elementAt(list string, i int) string { return list + "[" + strconv.Itoa(i+1) + "]" }

// elementsOf are the keys of each element of a list, as a draft has them, by the number from 0; none where it cannot be read.
func elementsOf(draft, list string) map[int]map[string]string {
	all, err := config.Elements([]byte(draft), list)
	if err != nil {
		return nil
	}
	out := make(map[int]map[string]string, len(all))
	for _, e := range all {
		out[e.Number-1] = e.Values
	}
	return out
}

// exist says who tells which recipients exist.
func (e *serverEdit) exist(list string, i int, had map[string]string) {
	row := existRow{At: elementAt(list, i), had: had}
	set, remove := row.edit(e.form.Recipients)
	e.set, e.remove = append(e.set, set...), append(e.remove, remove...)
}

// keys are what the form says of a route and of its next hop; "" is not to be there.
func (e *serverEdit) keys() (route, hop []pair) {
	f := e.form
	host := map[string]string{"host": tomlText(f.Host)}
	if _, err := netip.ParseAddr(f.Host); err != nil {
		for _, way := range [...]string{"mx", "srv"} {
			if of, ok := strings.CutPrefix(f.Host, way+":"); ok {
				host = map[string]string{way: tomlText(of)}
			}
		}
	}
	name, pins := "", ""
	if f.ServerName != "" && f.TLS == "required" { // else nobody looks at the name, and the policy refuses it
		name = tomlText(f.ServerName)
	}
	if all := strings.FieldsFunc(f.Pins, func(c rune) bool { return c == ',' || c == ' ' }); len(all) > 0 && f.TLS == "fingerprint" {
		for i := range all {
			all[i] = tomlText(all[i])
		}
		pins = "[" + strings.Join(all, ", ") + "]"
	}
	return []pair{{"tls", tomlText(f.TLS)}, {"server_name", name}, {"fingerprints", pins}}, []pair{{"host", host["host"]}, {"mx", host["mx"]}, {"srv", host["srv"]}, {"port", f.Port}}
}

// table writes keys as one table.
func table(keys []pair) string {
	var out []string
	for _, k := range keys {
		if k.Value != "" {
			out = append(out, k.Name+" = "+k.Value)
		}
	}
	return "{ " + strings.Join(out, ", ") + " }"
}

// add makes a route.
func (e *serverEdit) add(name string) {
	route, hop := e.keys()
	route = append([]pair{{"name", tomlText(name)}}, route...)
	route = append(route, pair{"next_hop", "[" + table(hop) + "]"})
	if recipients, directories := wayKeys(e.form.Recipients); e.form.Recipients != config.RecipientsCallAhead {
		route = append(route, pair{"recipients", recipients}, pair{"directories", directories})
	}
	e.set = append(e.set, "route[]="+table(route))
}

// change gives a route the server of the form, in place of all servers that it has.
func (e *serverEdit) change(i int) {
	route, hop := e.keys()
	at := elementAt("route", i)
	had := elementsOf(e.draft, "route")[i]
	e.put(at, had, route)
	e.exist("route", i, had)
	hops := at + ".next_hop"
	all, err := config.Elements([]byte(e.draft), hops)
	if err != nil || len(all) == 0 {
		e.set = append(e.set, hops+"=["+table(hop)+"]")
		return
	}
	e.put(hops+"[1]", all[0].Values, hop)
	for n := len(all); n > 1; n-- { // from the last, so that numbers hold
		e.remove = append(e.remove, hops+"["+strconv.Itoa(n)+"]")
	}
}

// put says keys of a table, and takes away those that are not to be there.
func (e *serverEdit) put(at string, had map[string]string, keys []pair) {
	for _, k := range keys {
		switch _, there := had[k.Name]; {
		case k.Value != "":
			e.set = append(e.set, at+"."+k.Name+"="+k.Value)
		case there:
			e.remove = append(e.remove, at+"."+k.Name)
		}
	}
}

// used is how many domains of a draft take a route.
func (f *serverForm) used(p *policies, route string) (n int) {
	for i := range p.text.Domains {
		if p.text.Domains[i].Route == route {
			n++
		}
	}
	for i := range p.text.Recipients {
		if p.text.Recipients[i].Route == route {
			n++
		}
	}
	return n
}

// routeName is a name for a route that the draft does not have yet.
func (f *serverForm) routeName(p *policies) string {
	taken := func(name string) bool {
		return p.text != nil && slices.ContainsFunc(p.text.Routes, func(x config.Route) bool { return x.Name == name })
	}
	name := "internal"
	for i := 1; taken(name); i++ {
		name = strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
				return c
			}
			return '-'
		}, f.Domain)
		if i > 1 {
			name += "-" + strconv.Itoa(i)
		}
	}
	return name
}
