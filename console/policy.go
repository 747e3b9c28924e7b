package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
)

// policyPages are those of the policy. What people change there is in their draft; nothing is in force until it is published.
func (c *Console) policyPages(mux *http.ServeMux) {
	c.page(mux, "GET /policy", access.PolicyRead, c.policyPage)
	c.page(mux, "POST /policy/edit", access.PolicyDraft, c.policyEdit)
	c.page(mux, "GET /policy/text", access.PolicyRead, c.policyText)
	c.page(mux, "POST /policy/text", access.PolicyDraft, c.policySave)
	c.page(mux, "POST /policy/discard", access.PolicyDraft, c.policyDiscard)
	c.page(mux, "POST /policy/keep", access.PolicyDraft, c.policyKeep)
	c.page(mux, "GET /policy/publish", access.PolicyPublish, c.publishPage)
	c.page(mux, "POST /policy/publish", access.PolicyPublish, c.publish)
	c.page(mux, "POST /policy/confirm", access.PolicyPublish, c.policyConfirm)
	c.page(mux, "GET /policy/history", access.PolicyRead, c.historyPage)
	c.page(mux, "GET /policy/v/{number}", access.PolicyRead, c.versionPage)
	c.page(mux, "POST /policy/rollback", access.PolicyPublish, c.rollback)
	c.page(mux, "GET /lists", access.PolicyRead, c.listsPage)
	c.page(mux, "POST /lists", access.PolicyDraft, c.elementAdd)
	c.page(mux, "POST /lists/try", access.PolicyDraft, c.entryTry)
	c.page(mux, "POST /lists/remove", access.PolicyDraft, c.elementRemove)
	c.page(mux, "GET /domains", access.PolicyRead, c.listsPage)
	c.page(mux, "POST /domains", access.PolicyDraft, c.elementAdd)
	c.page(mux, "POST /domains/edit", access.PolicyDraft, c.policyEdit)
	c.page(mux, "POST /domains/remove", access.PolicyDraft, c.elementRemove)
	c.page(mux, "POST /domains/test", access.PolicyDraft, c.domainTest)
	c.page(mux, "POST /domains/recipients", access.PolicyDraft, c.domainRecipients)
	c.page(mux, "POST /domains/server", access.PolicyDraft, c.domainServer)
}

// policies is the state that all these pages begin with.
type policies struct {
	Now   *api.Policy // in force
	Draft *api.Draft
	text  *config.Policy // of the draft; nil where it is no document
	live  *config.Policy // of what is in force
}

// DraftOf is the number that the draft would get. The first publish makes two: what was in force before is version 1.
func (p *policies) DraftOf() int64 {
	if p.Now.Number == 0 && p.Now.File != "" {
		return 2
	}
	return p.Now.Number + 1
}

// Name is what is in force, in a word.
func (p *policies) Name() string {
	if p.Now.Number == 0 {
		return config.PolicyFile
	}
	return "version " + strconv.FormatInt(p.Now.Number, 10)
}

// NeedsConfirm reports whether what is in force goes by itself.
func (p *policies) NeedsConfirm() bool { return !p.Now.Confirm.IsZero() && p.Now.Back > 0 }

// Summary says what the draft changes, in a line.
func (p *policies) Summary() string {
	var parts []string
	for i, c := range p.Draft.Changes {
		if i == 6 {
			parts = append(parts, "and "+countText(len(p.Draft.Changes)-i)+" more")
			break
		}
		switch {
		case c.Before == "":
			parts = append(parts, c.Key+" = "+cutText(c.After, 40))
		case c.After == "":
			parts = append(parts, c.Key+" removed")
		default:
			parts = append(parts, c.Key+" "+cutText(c.Before, 40)+" → "+cutText(c.After, 40))
		}
	}
	if parts == nil {
		return "Nothing is changed yet."
	}
	return strings.Join(parts, ", ")
}

// policies asks for what is in force and for the draft of whoever asks.
func (c *Console) policies(r *http.Request) (*policies, error) {
	now, err := ask[*api.Policy](c, r, "policy show", nil)
	if err != nil {
		return nil, err
	}
	p := &policies{Now: now, Draft: &api.Draft{Base: now.Number, Text: now.Text, Usable: true}}
	if now.Trouble == "" { // else there is no store to have one
		if p.Draft, err = ask[*api.Draft](c, r, "policy draft", nil); err != nil {
			return nil, err
		}
	}
	p.text, p.live = c.decoded(p.Draft.Text), c.decoded(now.Text)
	return p, nil
}

// decoded is what a document says, also without its secrets; nil where it cannot be read.
func (c *Console) decoded(text string) *config.Policy {
	p, problems := config.DecodeRedacted(config.PolicyFile, []byte(text), c.sections())
	if problems.Refused() {
		return nil
	}
	return p
}

func (c *Console) sections() config.Sections {
	if c.Sections == nil {
		return config.Sections{}
	}
	return c.Sections()
}

// policyBody is what the page of knobs shows.
type policyBody struct {
	*policies
	Plain      []knob // of few words
	Thresholds []knob
	Checks     []checkKnobs
	Rules      []ruleLine
	Counted    bool // how often each rule matched
	Recent     []api.Version
	WhatIf     bool
	Shadow     *api.Shadow // nil: there is no such thing here
}

func (c *Console) policyPage(w http.ResponseWriter, r *http.Request) {
	p, err := c.policies(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "policy", "Policy", c.policyBody(r, p))
}

func (c *Console) policyBody(r *http.Request, p *policies) *policyBody {
	b := &policyBody{policies: p, WhatIf: c.offers("policy simulate")}
	if p.text != nil {
		b.Plain, b.Thresholds, b.Checks = plainKnobs(p.text, p.live), thresholdKnobs(p.text, p.live), checksOf(c.sections(), p.text, p.live)
		b.Rules = ruleLines(p.Draft.Text)
		b.Counted, _, _ = c.ruleHits(r, b.Rules) // the page of rules tells of trouble
	}
	if c.offers("policy shadow show") {
		b.Shadow, _ = ask[*api.Shadow](c, r, "policy shadow show", nil) // it waits for nothing
	}
	if list, err := ask[*api.Versions](c, r, "policy versions", url.Values{"limit": {"5"}}); err == nil { // without a store there is no list
		b.Recent = list.Versions
	}
	return b
}

// policyEdit sets the knobs of a form that stand otherwise than the draft says. Its fields are k: and the key, with the value.
func (c *Console) policyEdit(w http.ResponseWriter, r *http.Request) {
	p, err := c.policies(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	var set, remove []string
	known := knobsOf(c.sections(), p)
	for name, texts := range r.PostForm {
		key, ours := strings.CutPrefix(name, "k:")
		k, there := known[key]
		if !ours || !there || len(texts) != 1 || sameValue(texts[0], k.Value) {
			continue
		}
		if value := strings.TrimSpace(texts[0]); value == "" {
			remove = append(remove, key)
		} else {
			set = append(set, key+"="+k.literal(value))
		}
	}
	to := back(r, "/policy")
	if len(set)+len(remove) == 0 {
		c.done(w, r, to, "Nothing was changed.")
		return
	}
	slices.Sort(set)
	c.draftDone(w, r, to, url.Values{"set": set, "remove": remove})
}

// draftDone changes the draft, and tells what came of it.
func (c *Console) draftDone(w http.ResponseWriter, r *http.Request, to string, fields url.Values) {
	if tag := r.PostFormValue(etagField); tag != "" {
		fields.Set("If-Match", tag)
	}
	for name, texts := range fields {
		if len(texts) == 0 {
			delete(fields, name)
		}
	}
	d, err := ask[*api.Draft](c, r, "policy edit", fields)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	text := "The draft was saved. Nothing is in force until it is published."
	if !d.Usable {
		text = "The draft was saved, and cannot be published like this: " + d.Problems[0].Message
	}
	c.done(w, r, to, text)
}

func (c *Console) policyText(w http.ResponseWriter, r *http.Request) {
	p, err := c.policies(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "policytext", "Policy as text", p)
}

// policySave keeps the whole text of a draft, whatever is wrong with it.
func (c *Console) policySave(w http.ResponseWriter, r *http.Request) {
	fields := posted(r, "text")
	if fields.Get("If-Match") == "0" {
		fields.Del("If-Match")
	}
	d, err := ask[*api.Draft](c, r, "policy save", fields)
	if err != nil {
		if p, other := c.policies(r); other == nil {
			p.Draft.Text = r.PostFormValue("text") // what was typed stays
			c.again(w, r, "policytext", "Policy as text", p, err)
			return
		}
		c.failed(w, r, err)
		return
	}
	if !d.Usable {
		c.done(w, r, "/policy/text", "The draft was saved, and cannot be published like this.")
		return
	}
	c.done(w, r, "/policy", "The draft was saved. Nothing is in force until it is published.")
}

func (c *Console) policyDiscard(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Discard your draft?", Text: "What you changed and did not publish goes. What is in force stays as it is.", Button: "Discard the draft", Danger: true}) {
		return
	}
	if _, err := ask[*api.Draft](c, r, "policy discard", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/policy"), "The draft is gone.")
}

// policyKeep makes the draft one of the version that is in force by now: its text stays as it is.
func (c *Console) policyKeep(w http.ResponseWriter, r *http.Request) {
	p, err := c.policies(r)
	if err == nil {
		_, err = ask[*api.Draft](c, r, "policy save", url.Values{"text": {p.Draft.Text}, "base": {strconv.FormatInt(p.Now.Number, 10)}, "If-Match": {p.Draft.ETag()}})
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/policy/publish", "Your draft would now replace "+p.Name()+". Look at what differs.")
}

// MayDraft reports whether somebody may write drafts here.
func (v *view) MayDraft() bool { return v.May(access.PolicyDraft) }

// MayPublish reports whether somebody may publish.
func (v *view) MayPublish() bool { return v.May(access.PolicyPublish) }
