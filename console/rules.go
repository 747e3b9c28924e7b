package console

import (
	"fmt"
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

// rulePages are those of the rules. They change the draft, key by key, as the knobs do.
func (c *Console) rulePages(mux *http.ServeMux) {
	c.page(mux, "GET /policy/rules", access.PolicyRead, c.rulesPage)
	c.page(mux, "GET /policy/rules/{number}", access.PolicyDraft, c.rulePage)
	c.page(mux, "POST /policy/rules/{number}", access.PolicyDraft, c.ruleSave)
	c.page(mux, "POST /policy/rules/{number}/{verb}", access.PolicyDraft, c.ruleDo)
}

// ruleLine is a rule in the list.
type ruleLine struct {
	config.Element
	Last, Over bool
	Met        *api.Entry // how often it matched; nil where that is not known, or it is not in force
}

// rulesBody is the list, in the order in which rules are looked at.
type rulesBody struct {
	*policies
	Rules   []ruleLine
	Counted bool   // hits are counted
	Trouble string // why they are not known, or not all of them
}

// ruleLines are the rules of a document.
func ruleLines(text string) (out []ruleLine) {
	all, err := config.Elements([]byte(text), "rule")
	if err != nil {
		return nil
	}
	for i, e := range all {
		day, err := time.Parse(time.DateOnly, e.Values["expires"])
		out = append(out, ruleLine{Element: e, Last: i == len(all)-1, Over: err == nil && time.Now().After(day.AddDate(0, 0, 1))})
	}
	return out
}

// About says in a line whom and what the rule is about; its condition stands by itself.
func (l *ruleLine) About() string {
	var parts []string
	for _, f := range ruleFields() {
		if v := l.Values[f.Name]; v != "" && !slices.Contains([]string{"name", "action", "when", "observe", "owner", "reason"}, f.Name) {
			parts = append(parts, f.Name+" = "+v)
		}
	}
	return strings.Join(parts, "; ")
}

func (c *Console) rulesPage(w http.ResponseWriter, r *http.Request) {
	p, err := c.policies(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	b := &rulesBody{policies: p, Rules: ruleLines(p.Draft.Text)}
	if b.Counted, b.Trouble, err = c.ruleHits(r, b.Rules); err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "rules", "Rules", b)
}

// ruleBody is the form of a rule.
type ruleBody struct {
	*policies
	Number   string // "new", or from 1
	Fields   []ruleField
	Facts    *api.Facts
	Mistakes []markedLine
	Problems []api.Problem
	WhatIf   bool
}

// Title is what the page is called.
func (b *ruleBody) Title() string {
	if b.Number == "new" {
		return "A new rule"
	}
	return "Rule " + b.Number
}

// markedLine is a line of a condition with the character at which a mistake was found.
type markedLine struct {
	Line, Column        int
	Before, Mark, After string
	Message             string
}

// marked finds the places of mistakes in a condition.
func marked(text string, all []api.Mistake) (out []markedLine) {
	lines := strings.Split(text, "\n")
	for _, m := range all {
		l := markedLine{Line: m.Line, Column: m.Column, Message: m.Message, Mark: "\u00a0"}
		if m.Line >= 1 && m.Line <= len(lines) {
			chars := []rune(lines[m.Line-1])
			at := max(0, min(m.Column-1, len(chars)))
			l.Before = string(chars[:at])
			if at < len(chars) {
				l.Mark, l.After = string(chars[at]), string(chars[at+1:])
			}
		}
		out = append(out, l)
	}
	return out
}

// ruleBody makes the form of a rule ready; nil where there is no such rule.
func (c *Console) ruleBody(r *http.Request) (*ruleBody, error) {
	p, err := c.policies(r)
	if err != nil {
		return nil, err
	}
	b := &ruleBody{policies: p, Number: r.PathValue("number"), WhatIf: c.offers("policy simulate")}
	if p.text == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "your draft is no policy that can be read", Hint: "mend it in the text first"}
	}
	rule := &config.Rule{Action: "tag", Observe: true}
	if b.Number != "new" {
		n, err := strconv.Atoi(b.Number)
		if err != nil || n < 1 || n > len(p.text.Rules) {
			return nil, &control.Fault{Status: http.StatusNotFound, Message: "the draft has no such rule"}
		}
		rule, b.Number = &p.text.Rules[n-1], strconv.Itoa(n)
	}
	b.Fields = ruleFields()
	for i := range b.Fields {
		b.Fields[i].Value = b.Fields[i].of(rule)
	}
	if c.offers("policy facts") {
		if b.Facts, err = ask[*api.Facts](c, r, "policy facts", nil); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (c *Console) rulePage(w http.ResponseWriter, r *http.Request) {
	b, err := c.ruleBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "rule", b.Title(), b)
}

// ruleSave keeps a rule in the draft. What cannot be a rule is not saved: the form comes again, with what is wrong and where.
func (c *Console) ruleSave(w http.ResponseWriter, r *http.Request) {
	b, err := c.ruleBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	set, remove := b.changes(r.PostForm)
	again := func(err error) { c.again(w, r, "rule", b.Title(), b, err) }
	if when := b.field("when").Value; when != "" && c.offers("policy condition") {
		fields := url.Values{"when": {when}}
		if b.field("check").Value != "" {
			fields.Set("check", "true")
		}
		got, err := ask[*api.ConditionChecked](c, r, "policy condition", fields)
		if err != nil {
			again(err)
			return
		}
		if b.Mistakes = marked(when, got.Mistakes); len(b.Mistakes) > 0 {
			again(&control.Fault{Status: http.StatusUnprocessableEntity, Message: "The condition cannot be worked out; nothing was saved.", Field: "when"})
			return
		}
	}
	if len(set)+len(remove) == 0 {
		c.done(w, r, "/policy/rules", "Nothing was changed.")
		return
	}
	if b.Problems = c.tried(b.Draft.Text, set, remove); b.Problems != nil {
		again(&control.Fault{Status: http.StatusUnprocessableEntity, Message: "The rule cannot be so; nothing was saved."})
		return
	}
	c.draftDone(w, r, "/policy/rules", url.Values{"set": set, "remove": remove})
}

// field is one of the form.
func (b *ruleBody) field(name string) *ruleField {
	return &b.Fields[slices.IndexFunc(b.Fields, func(f ruleField) bool { return f.Name == name })]
}

// changes are those of the draft that a form asks for; the fields hold what was typed from then on.
func (b *ruleBody) changes(form url.Values) (set, remove []string) {
	at, begin := "rule["+b.Number+"].", []string{}
	for i := range b.Fields {
		f := &b.Fields[i]
		was, is := f.Value, f.typed(form)
		if f.Value = is; b.Number == "new" {
			was = ""
		}
		switch {
		case b.Number == "new" && (f.Name == "name" || f.Name == "action"):
			begin = append(begin, f.Name+" = "+f.literal(is))
		case was == is:
		case is == "":
			remove = append(remove, at+f.Name)
		default:
			set = append(set, at+f.Name+"="+f.literal(is))
		}
	}
	if b.Number == "new" {
		at := fmt.Sprintf("rule[%d].", len(b.text.Rules)+1)
		for i := range set {
			set[i] = at + strings.TrimPrefix(set[i], "rule[new].")
		}
		set = append([]string{"rule[]={ " + strings.Join(begin, ", ") + " }"}, set...)
	}
	return set, remove
}

// tried says why a draft could not be published after a change; nil where it could.
func (c *Console) tried(text string, set, remove []string) []api.Problem {
	var changes []config.Change
	for _, s := range set {
		x, _ := config.ChangeOf(s)
		changes = append(changes, x)
	}
	for _, key := range remove {
		changes = append(changes, config.Change{Key: key, Remove: true})
	}
	after, err := config.Edit([]byte(text), changes)
	if err != nil {
		return []api.Problem{{Message: err.Error()}}
	}
	_, problems := config.DecodePolicy(config.PolicyFile, after, c.sections())
	if !problems.Refused() {
		return nil
	}
	var out []api.Problem
	for _, p := range problems {
		if !p.Warning {
			out = append(out, api.Problem{Key: p.Key, Message: p.Message, Instead: p.Instead})
		}
	}
	return out
}

// ruleDo moves a rule, has it count or only observed, or takes it away.
func (c *Console) ruleDo(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 1 {
		c.nowhere(w, r)
		return
	}
	key, fields := "rule["+strconv.Itoa(n)+"]", url.Values{}
	switch r.PathValue("verb") {
	case "up":
		fields.Set("move", key+"="+strconv.Itoa(n-1))
	case "down":
		fields.Set("move", key+"="+strconv.Itoa(n+1))
	case "observe":
		fields.Set("set", key+".observe=true")
	case "count":
		fields.Set("remove", key+".observe")
	case "delete":
		if !c.confirmed(w, r, question{Head: "Take rule " + strconv.Itoa(n) + " out of the draft?", Text: "Nothing changes in force until the draft is published.", Button: "Take it out", Danger: true}) {
			return
		}
		fields.Set("remove", key)
	default:
		c.nowhere(w, r)
		return
	}
	c.draftDone(w, r, "/policy/rules", fields)
}
