package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatepost/rbl"
)

// maxLists is what an engine watches over.
const maxLists = 64

// many reports whether there are more lists than are watched over; nothing more is then looked at.
func (r *RBL) many() bool { return len(r.Lists)+len(r.Own) > maxLists }

// Validate checks each list, that none is asked twice, and that each may be asked for this use.
func (r *RBL) Validate(report func(key, message, instead string)) {
	if r.many() {
		report("list", fmt.Sprintf("has %d lists, those of your own among them", len(r.Lists)+len(r.Own)), fmt.Sprintf("name at most %d", maxLists))
		return
	}
	if len(r.Lists)+len(r.Own) == 0 {
		return
	}
	c := newCatalogue()
	below := func(at string) func(key, message, instead string) {
		return func(key, message, instead string) { report(at+"."+key, message, instead) }
	}
	names, zones := map[string]bool{}, map[string]string{}
	for i, u := range r.used(c) {
		at := fmt.Sprintf("list[%d]", i)
		if i < len(r.Lists) {
			r.Lists[i].check(c, below(at))
		} else {
			at = fmt.Sprintf("own[%d]", i-len(r.Lists))
			r.Own[i-len(r.Lists)].check(c, below(at))
		}
		l := &u.List
		// A list by key is the same as the public one: its listings would count twice.
		same := strings.TrimSuffix(l.Name, "-dqs")
		if before := zones[l.Zone]; l.Zone != "" && before != "" {
			same = before
		}
		if l.Name != "" && names[same] {
			report(at+".name", shown(l.Name)+" is the same list as "+shown(same)+" above, and would count twice", "remove one of them")
		}
		names[same], names[l.Name], zones[l.Zone] = true, true, l.Name
		if u.Use == rbl.Commercial && l.Zone != "" && !l.Commercial {
			report(at+".name", "may not be used for a company's mail by its terms: "+l.Terms, commercialAdvice(c, l.Name))
		}
	}
}

// commercialAdvice names the variant of a list that may be used commercially.
func commercialAdvice(c catalogue, name string) string {
	if _, ok := c[name+"-dqs"]; ok {
		return "write " + name + "-dqs with its key, or remove the list"
	}
	return `remove the list, or write use = "non-commercial" in it, if that is what it is used for`
}

// Warn tells of lists that nobody asks.
func (r *RBL) Warn(report func(key, message, instead string)) {
	if r.many() {
		return
	}
	for _, u := range r.Used() {
		if u.Use == rbl.UseUnset {
			report("use", "is not set, so "+shown(u.List.Name)+" is not asked", `write "commercial" or "non-commercial", as the list's terms have it`)
			return
		}
	}
}

// check checks a list of the catalogue.
func (l *RBLList) check(c catalogue, report func(key, message, instead string)) {
	whole, known := c[l.Name]
	if l.Name == "" {
		return // it is missing, and that is told
	}
	if !known {
		report("name", "there is no list "+shown(l.Name)+" in the catalogue", listAdvice(c, l.Name))
		return
	}
	list := l.list(c)
	if more := list.Inputs &^ whole.Inputs; more != 0 {
		report("inputs", shown(more.String())+" is nothing that this list is asked about", "it is asked about "+whole.Inputs.String())
	}
	var labels []string
	for _, r := range list.Rules {
		labels = append(labels, r.Label)
	}
	for label := range l.Weights {
		if !slices.Contains(labels, label) {
			report("weights", "the list has no code "+shown(label), "its codes are "+quoteAll(labels))
		}
	}
	l.keyed(&list, "remove it, or write the name of the list that is asked by key", report)
	sound(&list, report)
}

// listAdvice names the nearest list of the catalogue, or all.
func listAdvice(c catalogue, name string) string {
	names := slices.Sorted(maps.Keys(c))
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "it has " + strings.Join(names, ", ") + "; a list of your own is [[rbl.own]]"
}

// check checks a list of the operator's own.
func (l *RBLOwn) check(c catalogue, report func(key, message, instead string)) {
	if l.Name == "" || l.Zone == "" {
		return // it is missing, and that is told
	}
	if _, known := c[l.Name]; known {
		report("name", shown(l.Name)+" is a list of the catalogue", "give a list of your own another name, or write it as [[rbl.list]]")
	}
	list := l.list()
	l.keyed(&list, "write the label {key} in zone, or remove it", report)
	sound(&list, report)
}

// keyed checks that there is a key where one is asked for, and none where it is not. Without a place it gets that advice.
func (l *RBLAny) keyed(list *rbl.List, advice string, report func(key, message, instead string)) {
	switch has := l.Key.IsSet() || l.KeyFile != ""; {
	case l.Key.IsSet() && l.KeyFile != "":
		report("key_file", "and key are both set", "remove key")
	case list.NeedsKey() && !has:
		report("key_file", "is missing: this list is asked with a key, which its operator gives out", `write for example key_file = "/etc/gatepost/`+list.Name+`.key"`)
	case !list.NeedsKey() && has:
		key := "key"
		if l.KeyFile != "" {
			key = "key_file"
		}
		report(key, "would not be looked at: this list has no place for a key", advice)
	}
}

// sound checks what is left of a definition: it is one that the engine takes, and it gives no credit for what anybody can
// write.
func sound(list *rbl.List, report func(key, message, instead string)) {
	for _, r := range list.Rules {
		if r.Weight < 0 && list.Inputs&(rbl.HeloName|rbl.MailFrom|rbl.From|rbl.Link) != 0 {
			report("inputs", fmt.Sprintf("the code %s speaks for the sender (%d), and anybody can write a name in HELO, MAIL FROM, From and links", shown(r.Label), r.Weight),
				`write inputs = ["reverse"], the verified name, or use a list of addresses`)
			break
		}
	}
	if err := list.Validate(); err != nil {
		text := strings.ReplaceAll(err.Error(), fmt.Sprintf("rbl: list %q: ", list.Name), "")
		report("name", "is no usable list: "+strings.ReplaceAll(text, "\n", "; "), "gatepost explain rbl says what belongs there")
	}
}
