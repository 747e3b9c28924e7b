package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// entryList is a list of the policy that people add to.
type entryList struct {
	Path, Title, Lead string
	Fields            []entryField
	Entries           []entry
	Open              bool        // the form for a new one, with what was typed or is proposed
	Tried             *triedEntry // what that would have done; nil where nobody asked
}

// Tries reports whether an entry of it can be tried on recorded mail.
func (l entryList) Tries() bool { return l.checkOf() != "" }

// entryField is a key of its entries.
type entryField struct {
	Name, Label, Example string
	Value                string // that stands in the form
	Words                []string
	Required             bool
}

// entry is one of them.
type entry struct {
	config.Element
	What    string     // what it is about
	Over    bool       // it does not count any more
	Met     *api.Entry // how often; nil where it is not in force, or not counted
	Pattern string     // the path that takes it away
}

// entryLists are the lists of exceptions, in their order.
func entryLists() []entryList {
	who := []entryField{{Name: "owner", Label: "Owner", Example: "anna", Required: true}, {Name: "reason", Label: "Reason", Example: "ticket 4711", Required: true},
		{Name: "expires", Label: "Last day", Example: "2027-06-30", Required: true}}
	return []entryList{
		{Path: "checks.access.author.entry", Title: "Allowed authors", Lead: "Authors whose mail skips opinions, lists and limits where DMARC proves them. Malware, attachments and impersonation are looked for all the same.",
			Fields: append([]entryField{{Name: "address", Label: "Author", Example: "@partner.example", Required: true}}, who...)},
		{Path: "checks.access.client.entry", Title: "Client networks", Lead: "Networks that are refused, or whose mail skips opinions, lists and limits.",
			Fields: append([]entryField{{Name: "network", Label: "Network", Example: "192.0.2.0/24", Required: true}, {Name: "list", Label: "List", Words: []string{"block", "allow"}}}, who...)},
		{Path: "checks.access.sender.entry", Title: "Blocked senders", Lead: "Names and addresses that are refused: of each entry one of the three.",
			Fields: append([]entryField{{Name: "address", Label: "Sender", Example: "@spammer.example"}, {Name: "helo", Label: "or HELO name", Example: "spammer.example"}, {Name: "reverse", Label: "or reverse name", Example: ".dynamic.example"}}, who...)},
	}
}

// domainLists are the lists of the page of domains and routes.
func domainLists() []entryList {
	return []entryList{
		{Path: "domain", Title: "Domains", Lead: "Mail for any other domain is refused.", Fields: []entryField{{Name: "name", Label: "Domain", Example: "example.org", Required: true}, {Name: "route", Label: "Route", Example: "internal", Required: true}}},
		{Path: "route", Title: "Routes", Lead: "The servers that mail goes to.", Fields: []entryField{{Name: "name", Label: "Name", Example: "internal", Required: true}, {Name: "host", Label: "Server", Example: "mail.example.org", Required: true}, {Name: "port", Label: "Port", Example: "25"}}},
	}
}

// fill reads the entries of a list out of a draft.
func (l *entryList) fill(text string, now time.Time) {
	all, err := config.Elements([]byte(text), l.Path)
	if err != nil {
		return
	}
	for _, e := range all {
		x := entry{Element: e, Pattern: l.Path + "[" + strconv.Itoa(e.Number) + "]"}
		for _, name := range [...]string{"name", "network", "address", "helo", "reverse"} {
			x.What = cmp.Or(x.What, e.Values[name])
		}
		if day, err := time.Parse(time.DateOnly, e.Values["expires"]); err == nil {
			x.Over = now.After(day.AddDate(0, 0, 1))
		}
		l.Entries = append(l.Entries, x)
	}
}

// listsBody is what both pages of lists show.
type listsBody struct {
	*policies
	Lists   []entryList
	Domains []domainKnobs
	Exists  []existRow
	Counted bool             // hits are counted; then also:
	Trouble string           // why they are not known, or not all of them
	Own     *api.Entries     // recipients' own lists
	Note    string           // what cannot be filled in
	From    string           // the message that led here
	Form    *serverForm      // a domain with its server
	Tested  *api.RouteTested // of a route of the draft
}

// listPage is a page of lists: its template, which is its path too, its title, and the lists on it.
type listPage struct {
	name, title string
	lists       []entryList
}

// listPageOf is the page that a request is about.
func listPageOf(r *http.Request) listPage {
	if strings.HasPrefix(r.URL.Path, "/domains") {
		return listPage{"domains", "Domains and routes", domainLists()}
	}
	return listPage{"lists", "Allow and block", entryLists()}
}

// named finds the list that a form names; nil where there is none on the page.
func (l *listPage) named(path string) *entryList {
	i := slices.IndexFunc(l.lists, func(l entryList) bool { return l.Path == path })
	if i < 0 {
		return nil
	}
	return &l.lists[i]
}

func (c *Console) listsPage(w http.ResponseWriter, r *http.Request) {
	c.showLists(w, r, listPageOf(r), nil)
}

// showLists shows a page of lists, or shows it again with what was wrong.
func (c *Console) showLists(w http.ResponseWriter, r *http.Request, l listPage, wrong error) {
	b, err := c.listsBody(r, l)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.sendLists(w, r, l, b, wrong)
}

// listsBody gathers what a page of lists shows.
func (c *Console) listsBody(r *http.Request, l listPage) (*listsBody, error) {
	p, err := c.policies(r)
	if err != nil {
		return nil, err
	}
	b := &listsBody{policies: p, Lists: l.lists}
	for i := range b.Lists {
		b.Lists[i].fill(p.Draft.Text, time.Now())
	}
	if l.name == "domains" {
		b.Domains, b.Exists, b.Form = domainsOf(p), existRows(p), serverFormOf(r, p, "/domains/server", "Save in the draft")
	} else if err := c.countHits(r, b); err != nil {
		return nil, err
	}
	if named := l.named(r.PostFormValue("list")); named != nil {
		named.fillForm(r.PostForm)
	} else if l.name == "lists" {
		b.prefill(r.URL.Query(), access.Of(r.Context()).Name, time.Now())
	}
	return b, nil
}

// sendLists shows what was gathered.
func (c *Console) sendLists(w http.ResponseWriter, r *http.Request, l listPage, b *listsBody, wrong error) {
	if wrong != nil {
		c.again(w, r, l.name, l.title, b, wrong)
		return
	}
	c.show(w, r, http.StatusOK, l.name, l.title, b)
}

// elementAdd adds an entry to the draft, by the fields that its list has.
func (c *Console) elementAdd(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	l := page.named(r.PostFormValue("list"))
	if l == nil {
		c.failed(w, r, &control.Fault{Status: http.StatusBadRequest, Message: "there is no such list"})
		return
	}
	var parts []string
	for _, f := range l.Fields {
		value := strings.TrimSpace(r.PostFormValue("f:" + f.Name))
		switch {
		case value == "" && f.Required:
			c.showLists(w, r, page, &control.Fault{Status: http.StatusBadRequest, Message: f.Label + " is needed", Field: "f:" + f.Name})
			return
		case value == "" || l.Path == "route" && f.Name != "name":
		default:
			parts = append(parts, f.Name+" = "+tomlText(value))
		}
	}
	if l.Path == "route" {
		hop := "host = " + tomlText(strings.TrimSpace(r.PostFormValue("f:host")))
		if port, err := strconv.Atoi(r.PostFormValue("f:port")); err == nil {
			hop += ", port = " + strconv.Itoa(port)
		}
		parts = append(parts, "next_hop = [{ "+hop+" }]")
	}
	c.draftDone(w, r, "/"+page.name, url.Values{"set": {l.Path + "[]={ " + strings.Join(parts, ", ") + " }"}})
}

// tomlText writes text as a document has it.
func tomlText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// elementRemove takes an entry out of the draft. The form names it by its number, and the state of the draft that was seen.
func (c *Console) elementRemove(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	l := page.named(r.PostFormValue("list"))
	n, err := strconv.Atoi(r.PostFormValue("number"))
	if l == nil || err != nil || n < 1 {
		c.failed(w, r, &control.Fault{Status: http.StatusBadRequest, Message: "there is no such entry"})
		return
	}
	c.draftDone(w, r, "/"+page.name, url.Values{"remove": {l.Path + "[" + strconv.Itoa(n) + "]"}})
}

// domainKnobs are what the page sets of one domain.
type domainKnobs struct {
	Name  string
	Knobs []knob
}

// domainsOf are the domains of a draft.
func domainsOf(p *policies) (out []domainKnobs) {
	if p.text == nil {
		return nil
	}
	var routes []string
	for i := range p.text.Routes {
		routes = append(routes, p.text.Routes[i].Name)
	}
	for i := range p.text.Domains {
		d := &p.text.Domains[i]
		at := "domain[" + strconv.Itoa(i+1) + "]"
		k := domainKnobs{Name: d.Name, Knobs: []knob{
			{Key: at + ".route", Name: "Route", Value: d.Route, Words: routes, text: true},
			{Key: at + ".level", Name: "Level", Value: string(d.Level), Words: []string{"", "relaxed", "normal", "strict"}, text: true},
			{Key: at + ".catch_all", Name: "Catch-all", Value: d.CatchAll, text: true},
			{Key: at + ".contact", Name: "Contact in refusals", Value: d.Contact, text: true}}}
		for j := range k.Knobs {
			k.Knobs[j].Live = k.Knobs[j].Value
		}
		out = append(out, k)
	}
	return out
}
