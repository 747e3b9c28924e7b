package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// shadowPages are those of the draft that judges live mail beside what is in force.
func (c *Console) shadowPages(mux *http.ServeMux) {
	c.page(mux, "GET /policy/shadow", access.PolicyRead, c.shadowPage)
	c.page(mux, "POST /policy/shadow", access.PolicyDraft, c.shadowStart)
	c.page(mux, "POST /policy/shadow/stop", access.PolicyDraft, c.shadowStop)
}

// shadowBody is what its page shows.
type shadowBody struct {
	*policies
	Run    *api.Shadow
	Result *whatIfView // nil where there was no run
	For    []pair      // how long one may last
	Form   url.Values
}

func (c *Console) shadowBody(r *http.Request) (*shadowBody, error) {
	p, err := c.policies(r)
	if err != nil {
		return nil, err
	}
	b := &shadowBody{policies: p, For: []pair{{"1h", "an hour"}, {"6h", "six hours"}, {"24h", "a day"}, {"7d", "a week"}}, Form: r.PostForm}
	if b.Run, err = ask[*api.Shadow](c, r, "policy shadow show", nil); err != nil {
		return nil, err
	}
	if b.Run.Result != nil {
		b.Result = whatIfOf(b.Run.Result)
		b.Result.Head = "What it would have done to the mail that came"
		b.Result.Drafted = true
	}
	return b, nil
}

func (c *Console) shadowPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("policy shadow show") {
		c.nowhere(w, r)
		return
	}
	b, err := c.shadowBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "shadow", "Shadow run", b)
}

// shadowStart lets the draft of whoever asks run.
func (c *Console) shadowStart(w http.ResponseWriter, r *http.Request) {
	b, err := c.shadowBody(r)
	if err == nil && !b.Draft.Exists {
		err = &control.Fault{Status: http.StatusConflict, Message: "you have no draft that could run", Hint: "change something on the page of the policy first"}
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	fields := posted(r, "for", "comment")
	fields.Set("text", b.Draft.Text)
	if _, err := ask[*api.Shadow](c, r, "policy shadow start", fields); err != nil {
		c.again(w, r, "shadow", "Shadow run", b, err)
		return
	}
	c.done(w, r, "/policy/shadow", "Your draft judges live mail beside what is in force, and decides nothing.")
}

func (c *Console) shadowStop(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.Shadow](c, r, "policy shadow stop", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/policy/shadow", "It is over. What was counted stays until the next one begins.")
}
