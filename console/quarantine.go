package console

import (
	"net/http"
	"net/url"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
)

// keptView is the list of mail in quarantine.
type keptView struct {
	*api.KeptList
	Ask url.Values
}

// Asked reports whether anything was asked for.
func (v *keptView) Asked() bool { return len(v.Ask) > 0 }

// keptMessage is one of them.
type keptMessage struct {
	Looked any // what the operation tells, of the quarantine's own type
	ID     string
	Why    string // what it was read for
	Inside bool   // what is in it is shown
}

// quarantinePages are those of the quarantine.
func (c *Console) quarantinePages(mux *http.ServeMux) {
	c.page(mux, "GET /quarantine", access.QuarantineRead, c.quarantinePage)
	c.page(mux, "GET /quarantine/{id}", access.QuarantineRead, c.keptPage)
	c.page(mux, "POST /quarantine/{id}/look", access.QuarantineView, c.keptLook)
	c.page(mux, "GET /quarantine/{id}/look", access.QuarantineRead, func(w http.ResponseWriter, r *http.Request) { // a reload, or a form of that page that leads back
		http.Redirect(w, r, "/quarantine/"+url.PathEscape(r.PathValue("id")), http.StatusSeeOther)
	})
	c.page(mux, "POST /quarantine/{verb}", access.QuarantineChange, c.quarantineDo)
}

func (c *Console) quarantinePage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := &keptView{Ask: values("from", q.Get("from"), "to", q.Get("to"), "subject", q.Get("subject"), "class", q.Get("class"), "state", q.Get("state"))}
	var err error
	if v.KeptList, err = ask[*api.KeptList](c, r, "quarantine list", with(v.Ask, "cursor", q.Get("cursor"))); err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "quarantine", "Quarantine", v)
}

func (c *Console) keptPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := gateway.ParseID(id); err != nil {
		c.nowhere(w, r)
		return
	}
	got, err := ask[any](c, r, "quarantine show", values("id", id))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "kept", id, &keptMessage{Looked: got, ID: id})
}

// keptLook shows what is in a message, as text; the audit log keeps who looked, and what for. It is a form, so that no link of a
// stranger has anybody look.
func (c *Console) keptLook(w http.ResponseWriter, r *http.Request) {
	id, why := r.PathValue("id"), r.PostFormValue("why")
	got, err := ask[any](c, r, "quarantine view", values("id", id, "why", why))
	if err == nil {
		c.show(w, r, http.StatusOK, "kept", id, &keptMessage{Looked: got, ID: id, Why: why, Inside: true})
		return
	}
	told, showErr := ask[any](c, r, "quarantine show", values("id", id))
	if showErr != nil {
		c.failed(w, r, err)
		return
	}
	c.again(w, r, "kept", id, &keptMessage{Looked: told, ID: id, Why: why}, err)
}

// quarantineDo does something to the messages that were ticked, or to one.
func (c *Console) quarantineDo(w http.ResponseWriter, r *http.Request) {
	verb, n := r.PathValue("verb"), len(r.PostForm["ids"])
	fields, op, word := posted(r, "ids"), "quarantine "+verb, ""
	switch verb {
	case "release":
		word = "released"
		fields = posted(r, "ids", "rcpts", "force")
	case "delete":
		word = "deleted"
	case "spam", "ham":
		op, word = "quarantine report", map[string]string{"spam": "reported as spam", "ham": "reported as no spam"}[verb]
		fields.Set("as", verb)
	default:
		c.nowhere(w, r)
		return
	}
	if n == 0 {
		c.done(w, r, back(r, "/quarantine"), "No message was ticked.")
		return
	}
	switch {
	case verb == "delete" && !c.confirmed(w, r, question{Head: "Delete " + counted(n, "message", "messages") + "?", Text: "Nobody is told but the log. It cannot be undone.", Button: "Delete", Danger: true}):
		return
	case fields.Get("force") != "" && !c.confirmed(w, r, question{Head: "Release what may be malware?", Text: "Malware was found in it, or nobody could look. The recipients get it as it is.", Button: "Release", Danger: true}):
		return
	}
	out, err := ask[*api.KeptChanged](c, r, op, fields)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/quarantine"), keptText(out, word))
}

// keptText says what became of messages.
func keptText(out *api.KeptChanged, word string) string {
	var bad []string
	for _, m := range out.Messages {
		why := m.Error
		for _, x := range m.Results {
			if !x.Done && why == "" {
				why = x.Said
			}
		}
		if why != "" {
			bad = append(bad, why)
		}
	}
	text := ""
	if n := len(out.Messages) - len(bad); n > 0 || len(bad) == 0 {
		text = counted(n, "message was ", "messages were ") + word + ". "
	}
	if len(bad) > 0 {
		text += "Not of " + countText(len(bad)) + ": " + strings.TrimSuffix(bad[0], ".") + "."
	}
	return strings.TrimSpace(text)
}
