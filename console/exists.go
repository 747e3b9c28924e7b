package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// existRow is a route or a domain of the draft, with who tells of its recipients whether they exist.
type existRow struct {
	At   string // in the document
	Kind string // "Route" or "Domain"
	Name string
	Way  string // as wayOf writes it; "" of a domain: as its route
	Ways []pair // that can be chosen: the words of a way, and what people call it
	Note string // what the way brings with it
	had  map[string]string
}

// noneVerified is what nobody asked brings with it.
const noneVerified = "Nobody is verified: its mail is never put in the spool, and while the server is away senders are told to come again."

// wayOf is how recipients are checked in words of a form: the key recipients, and the directories behind it.
func wayOf(recipients string, directories []string) string {
	if recipients != config.RecipientsDirectory {
		return recipients
	}
	return strings.Join(append([]string{recipients}, directories...), " ")
}

// waysOf are the ways that a draft has: a directory by itself can be chosen, and several where they are already.
func waysOf(p *config.Policy, now string) []pair {
	out := []pair{{config.RecipientsCallAhead, "The server is asked"}}
	if p != nil {
		for i := range p.Directories {
			name := p.Directories[i].Name
			out = append(out, pair{wayOf(config.RecipientsDirectory, []string{name}), "Directory " + name})
		}
	}
	if names, ok := strings.CutPrefix(now, config.RecipientsDirectory+" "); ok && !slices.ContainsFunc(out, func(w pair) bool { return strings.EqualFold(w.Name, now) }) {
		out = append(out, pair{now, "Directories " + strings.Join(strings.Fields(names), ", ")})
	}
	return append(out, pair{config.RecipientsNone, "Nobody is asked"})
}

// existRows are the routes and domains of a draft; none where it cannot be read.
func existRows(p *policies) (out []existRow) {
	if p.text == nil {
		return nil
	}
	routes, domains := elementsOf(p.Draft.Text, "route"), elementsOf(p.Draft.Text, "domain")
	add := func(list, kind, name, way string, i int, had map[string]string) {
		row := existRow{At: elementAt(list, i), Kind: kind, Name: name, Way: way, Ways: waysOf(p.text, way), had: had}
		if kind == "Domain" {
			row.Ways = slices.Insert(row.Ways, 0, pair{"", "As its route"})
		}
		if way == config.RecipientsNone {
			row.Note = noneVerified
		}
		out = append(out, row)
	}
	for i := range p.text.Routes {
		if r := &p.text.Routes[i]; r.Kind != config.RouteReport {
			add("route", "Route", r.Name, wayOf(r.Recipients, r.Directories), i, routes[i])
		}
	}
	for i := range p.text.Domains {
		d := &p.text.Domains[i]
		add("domain", "Domain", d.Name, wayOf(d.Recipients, d.Directories), i, domains[i])
	}
	return out
}

// wayKeys are the keys of a way, as a document has them.
func wayKeys(way string) (recipients, directories string) {
	words := strings.Fields(way)
	if len(words) == 0 {
		return "", ""
	}
	for i, w := range words {
		words[i] = tomlText(w)
	}
	if len(words) > 1 {
		directories = "[" + strings.Join(words[1:], ", ") + "]"
	}
	return words[0], directories
}

// edit is how the draft says another way. What belongs to directories goes with the last of them.
func (e *existRow) edit(way string) (set, remove []string) {
	recipients, directories := wayKeys(way)
	for _, x := range [...]pair{{"recipients", recipients}, {"directories", directories}, {"unlisted", ""}} {
		switch _, there := e.had[x.Name]; {
		case x.Value != "":
			set = append(set, e.At+"."+x.Name+"="+x.Value)
		case there && (x.Name != "unlisted" || directories == ""):
			remove = append(remove, e.At+"."+x.Name)
		}
	}
	return set, remove
}

// domainRecipients saves in the draft who tells of which recipients whether they exist, where the draft can be published then.
func (c *Console) domainRecipients(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	b, err := c.listsBody(r, page)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	var set, remove []string
	for i := range b.Exists {
		e := &b.Exists[i]
		typed, there := r.PostForm["r:"+e.At]
		if !there || len(typed) != 1 || typed[0] == e.Way {
			continue
		}
		if !slices.ContainsFunc(e.Ways, func(x pair) bool { return x.Name == typed[0] }) {
			c.sendLists(w, r, page, b, &control.Fault{Status: http.StatusBadRequest, Message: "there is no such way to check recipients"})
			return
		}
		s, gone := e.edit(typed[0])
		set, remove, e.Way = append(set, s...), append(remove, gone...), typed[0] // what was chosen stays in the form
	}
	if len(set)+len(remove) == 0 {
		c.done(w, r, "/domains", "Nothing was changed.")
		return
	}
	if wrong := c.tried(b.Draft.Text, set, remove); wrong != nil {
		c.sendLists(w, r, page, b, notSaved(wrong))
		return
	}
	c.draftDone(w, r, "/domains", url.Values{"set": set, "remove": remove})
}

// notSaved is the fault of what would keep a draft from being published.
func notSaved(wrong []api.Problem) error {
	return &control.Fault{Status: http.StatusUnprocessableEntity, Message: "nothing was saved: " + strings.TrimSpace(wrong[0].Key+" "+wrong[0].Message), Hint: wrong[0].Instead}
}

// Directories reports whether the draft has any.
func (b *listsBody) Directories() bool { return b.text != nil && len(b.text.Directories) > 0 }
