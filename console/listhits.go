package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// How long an entry counts that a row of the log leads to, unless somebody writes another day.
const (
	allowDays = 90
	blockDays = 30
)

// How many entries are read of a list, by thousands, and how many messages a trial lists.
const (
	mostThousands = 10
	triedList     = 20
	triedDays     = 7
)

// checkOf is the check whose list it is, without "access."; "" for a list of something else.
func (l *entryList) checkOf() string {
	name, ok := strings.CutPrefix(strings.TrimSuffix(l.Path, ".entry"), "checks.access.")
	if !ok {
		return ""
	}
	return name
}

// hitKey is how an operation names an entry.
type hitKey struct{ list, kind, value string }

// keyOf is the name of an entry as it stands in a document.
func (l *entryList) keyOf(values map[string]string) hitKey {
	k := hitKey{list: l.checkOf(), kind: "block"}
	switch k.list {
	case "client":
		k.value = values["network"]
		if values["list"] == "allow" {
			k.kind = "allow"
		}
		if p, err := netip.ParsePrefix(k.value); err == nil {
			k.value = p.Masked().String()
		}
	case "author":
		k.kind, k.value = "allow", values["address"]
	case "sender":
		for _, name := range [...]string{"helo", "reverse", "address"} {
			if v := values[name]; v != "" && k.value == "" {
				k.value = name + " " + v
			}
		}
	}
	return k
}

// hits puts beside each entry how often it was met, and returns why that is not known; "" where it is. Entries that are not in
// force yet have none.
func (c *Console) hits(r *http.Request, lists []entryList) (trouble string, err error) {
	known := map[hitKey]api.Entry{}
	fields := url.Values{"limit": {"1000"}}
	for range mostThousands {
		got, err := ask[*api.Entries](c, r, "entry list", fields)
		if err != nil {
			return "", err
		}
		for _, e := range got.Entries {
			known[hitKey{e.List, e.Kind, e.Value}] = e
		}
		if trouble = got.Trouble; got.Next == "" {
			break
		}
		fields.Set("cursor", got.Next)
	}
	for i := range lists {
		l := &lists[i]
		for k := range l.Entries {
			if e, ok := known[l.keyOf(l.Entries[k].Values)]; ok {
				l.Entries[k].Met = &e
			}
		}
	}
	return trouble, nil
}

// ruleHits puts beside each rule how often it matched, where whoever asks may know; trouble is why that is not known.
func (c *Console) ruleHits(r *http.Request, rules []ruleLine) (counted bool, trouble string, err error) {
	actor := access.Of(r.Context())
	if !c.offers("entry list") || !actor.May(access.ListsRead) || !actor.Everywhere() {
		return false, "", nil
	}
	got, err := ask[*api.Entries](c, r, "entry list", values("list", "rule", "limit", "1000")) // more than there can be
	if err != nil {
		return false, "", err
	}
	for i := range rules {
		at := slices.IndexFunc(got.Entries, func(e api.Entry) bool { return e.Value == rules[i].Values["name"] })
		if at >= 0 {
			rules[i].Met = &got.Entries[at]
		}
	}
	return true, got.Trouble, nil
}

// countHits reads what the page of allow and block lists shows beside the draft: hits, and recipients' own lists.
func (c *Console) countHits(r *http.Request, b *listsBody) (err error) {
	actor := access.Of(r.Context())
	if b.Counted = c.offers("entry list") && actor.May(access.ListsRead); !b.Counted {
		return nil
	}
	if b.Trouble, err = c.hits(r, b.Lists); err == nil {
		b.Own, err = ask[*api.Entries](c, r, "entry list", values("list", "own", "limit", "50", "cursor", r.URL.Query().Get("cursor")))
	}
	return err
}

// prefill fills the form of a list as a row of the log wants it, and puts the list first: ?action=allow|block&kind=…&value=…&from=REFERENCE.
func (b *listsBody) prefill(q url.Values, actor string, now time.Time) {
	action, kind, value := q.Get("action"), q.Get("kind"), strings.TrimSpace(visible(q.Get("value")))
	if action == "" || value == "" || len(value) > 320 {
		return
	}
	check := map[string]string{"allow author": "author", "allow client": "client", "block client": "client", "block sender": "sender", "block helo": "sender", "block reverse": "sender"}[action+" "+kind]
	i := slices.IndexFunc(b.Lists, func(l entryList) bool { return check != "" && l.checkOf() == check })
	if i < 0 {
		b.Note = "There is no such entry: authors whom DMARC proves and networks are allowed; networks, senders, HELO names and reverse names are blocked."
		return
	}
	days, reason := allowDays, ""
	if action == "block" {
		days = blockDays
	}
	if id, err := gateway.ParseID(q.Get("from")); err == nil {
		b.From, reason = id.String(), "message "+id.String()
	}
	fields := url.Values{"f:owner": {cutText(actor, 100)}, "f:reason": {reason}, "f:expires": {now.UTC().AddDate(0, 0, days).Format(time.DateOnly)}}
	switch {
	case check == "client":
		if a, err := netip.ParseAddr(value); err == nil {
			a = a.Unmap().WithZone("")
			value = netip.PrefixFrom(a, a.BitLen()).String()
		}
		fields.Set("f:network", value)
		fields.Set("f:list", action)
	case kind == "helo", kind == "reverse":
		fields.Set("f:"+kind, value)
	default:
		fields.Set("f:address", value)
	}
	l := b.Lists[i]
	l.fillForm(fields)
	b.Lists = slices.Insert(slices.Delete(b.Lists, i, i+1), 0, l)
}

// fillForm puts what was typed, or is proposed, into the form of the list.
func (l *entryList) fillForm(fields url.Values) {
	l.Open = true
	for i := range l.Fields {
		l.Fields[i].Value = fields.Get("f:" + l.Fields[i].Name)
	}
}

// triedEntry is what an entry would have done, as the page shows it.
type triedEntry struct {
	*api.EntryTried
	Days    int
	Moves   []string // from what to what, how many
	Changes []whatIfChange
}

// entryTry tells what an entry would have done to the mail of the last days, before it is in any draft.
func (c *Console) entryTry(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	l := page.named(r.PostFormValue("list"))
	if l == nil || l.checkOf() == "" {
		c.failed(w, r, &control.Fault{Status: http.StatusBadRequest, Message: "there is no such list"})
		return
	}
	field := "address"
	if l.checkOf() == "client" {
		field = "network"
	}
	fields := values("list", l.checkOf(), "days", strconv.Itoa(triedDays), "limit", strconv.Itoa(triedList))
	if kind := r.PostFormValue("f:list"); kind != "" {
		fields.Set("kind", kind)
	}
	if l.checkOf() == "author" {
		fields.Set("kind", "allow")
	}
	for _, name := range [...]string{"reverse", "helo", "address", "network"} {
		if v := strings.TrimSpace(r.PostFormValue("f:" + name)); v != "" {
			field = name
			fields.Set("value", v)
		}
	}
	if l.checkOf() == "sender" {
		fields.Set("name", field)
	}
	if fields.Get("value") == "" {
		c.showLists(w, r, page, &control.Fault{Status: http.StatusBadRequest, Message: "say what stands in the entry", Field: "f:" + field})
		return
	}
	got, err := ask[*api.EntryTried](c, r, "entry try", fields)
	if err != nil {
		c.showLists(w, r, page, err)
		return
	}
	l.Tried = triedOf(got)
	c.showLists(w, r, page, nil)
}

func triedOf(s *api.EntryTried) *triedEntry {
	v := &triedEntry{EntryTried: s, Days: triedDays}
	for i := range s.Matrix {
		for o := gateway.Accept; o <= gateway.Drop; o++ {
			if n := *s.Matrix[i].Of(o); n > 0 && s.Matrix[i].Live != o {
				v.Moves = append(v.Moves, fmt.Sprintf("%s %s → %s", countText(n), s.Matrix[i].Live, o))
			}
		}
	}
	for i := range s.List {
		v.Changes = append(v.Changes, whatIfChange{&s.List[i]})
	}
	return v
}
