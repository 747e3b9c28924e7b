package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatepost/internal/api"
	"gatepost/internal/control"
)

// publishBody is what the page before a publish shows.
type publishBody struct {
	*policies
	Checked *api.Checked
	Comment string
	Confirm string
}

func (c *Console) publishPage(w http.ResponseWriter, r *http.Request) {
	b, err := c.publishBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "policypublish", "Publish", b)
}

func (c *Console) publishBody(r *http.Request) (*publishBody, error) {
	p, err := c.policies(r)
	if err != nil {
		return nil, err
	}
	b := &publishBody{policies: p, Confirm: "10m", Comment: r.PostFormValue("comment")}
	if b.Checked, err = ask[*api.Checked](c, r, "policy check", url.Values{"text": {p.Draft.Text}}); err != nil {
		return nil, err
	}
	if text := r.PostFormValue("wait"); text != "" {
		b.Confirm = text
	}
	return b, nil
}

// publish publishes the draft. The form says of which version it is a change, and which state of the draft was seen.
func (c *Console) publish(w http.ResponseWriter, r *http.Request) {
	b, err := c.publishBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if seen := r.PostFormValue("seq"); seen != b.Draft.ETag() || !b.Draft.Exists {
		c.again(w, r, "policypublish", "Publish", b, &control.Fault{Status: http.StatusPreconditionFailed, Message: "your draft was changed meanwhile: look at it again"})
		return
	}
	fields := url.Values{"text": {b.Draft.Text}, "comment": {b.Comment}, "confirm": {b.Confirm}, "If-Match": {r.PostFormValue(etagField)}}
	done, err := ask[*api.Published](c, r, "policy apply", fields)
	if err != nil {
		if f, ok := errors.AsType[*control.Fault](err); ok && f.Status == http.StatusPreconditionFailed {
			b.Draft.Moved = true
		}
		c.again(w, r, "policypublish", "Publish", b, err)
		return
	}
	_, _ = ask[*api.Draft](c, r, "policy discard", nil) // it says the same as what is in force now; a later look says so
	c.done(w, r, "/policy", publishedText(done))
}

func publishedText(p *api.Published) string {
	text := "Version " + strconv.FormatInt(p.Number, 10) + " is in force for new sessions, on all nodes."
	switch {
	case p.Unchanged:
		return "Nothing was changed: version " + strconv.FormatInt(p.Number, 10) + " says the same."
	case !p.Confirm.IsZero():
		text += " It goes by itself unless you confirm it by " + p.Confirm.Local().Format("15:04:05") + "."
	}
	return text
}

func (c *Console) policyConfirm(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.Policy](c, r, "policy confirm", posted(r, "version")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/policy"), "It stays.")
}

// historyBody is the list of versions.
type historyBody struct {
	*api.Versions
	Now *api.Policy
}

func (c *Console) historyPage(w http.ResponseWriter, r *http.Request) {
	now, err := ask[*api.Policy](c, r, "policy show", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	fields := url.Values{"limit": {"50"}}
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		fields.Set("cursor", cursor)
	}
	list, err := ask[*api.Versions](c, r, "policy versions", fields)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "policyhistory", "Versions", &historyBody{list, now})
}

// versionBody is one version.
type versionBody struct {
	*api.Policy
	Now    *api.Policy
	Before *api.Diff // from the version in front of it; nil for the first
	ToNow  *api.Diff // to what is in force; nil where it is
}

func (c *Console) versionPage(w http.ResponseWriter, r *http.Request) {
	number := r.PathValue("number")
	v, err := ask[*api.Policy](c, r, "policy show", url.Values{"version": {number}})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	b := &versionBody{Policy: v}
	if b.Now, err = ask[*api.Policy](c, r, "policy show", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	b.Before, _ = ask[*api.Diff](c, r, "policy diff", url.Values{"to": {number}}) // the first has none before it
	if b.Now.Number != v.Number {
		b.ToNow, _ = ask[*api.Diff](c, r, "policy diff", url.Values{"from": {number}})
	}
	c.show(w, r, http.StatusOK, "policyversion", "Version "+number, b)
}

func (c *Console) rollback(w http.ResponseWriter, r *http.Request) {
	number := r.PostFormValue("version")
	if !c.confirmed(w, r, question{Head: "Go back to version " + number + "?", Text: "Its text is published again, as a new version, and is in force for new sessions on all nodes. Nothing is lost: the version in force now stays in the list.", Button: "Go back to version " + number}) {
		return
	}
	done, err := ask[*api.Published](c, r, "policy rollback", posted(r, "version", "comment"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/policy", publishedText(done))
}

// diffLine is one line of a difference, for a page.
type diffLine struct{ Class, Text string }

// diffLines reads what diff -u writes.
func diffLines(text string) (out []diffLine) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		class := ""
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "@@"):
			class = "at"
		case strings.HasPrefix(line, "+"):
			class = "add"
		case strings.HasPrefix(line, "-"):
			class = "del"
		}
		out = append(out, diffLine{class, line})
	}
	return out
}
