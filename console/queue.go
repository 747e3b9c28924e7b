package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// queueView is what waits in the spool.
type queueView struct {
	*api.QueueList
	Ask url.Values
}

// Asked reports whether anything was asked for.
func (v *queueView) Asked() bool { return len(v.Ask) > 0 }

// queuePages are those of the spool.
func (c *Console) queuePages(mux *http.ServeMux) {
	c.page(mux, "GET /queue", access.QueueRead, c.queuePage)
	c.page(mux, "POST /queue/{verb}", access.QueueChange, c.queueDo)
}

func (c *Console) queuePage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := values("state", q.Get("state"), "from", q.Get("from"), "to", q.Get("to"), "said", q.Get("said"), "route", q.Get("route"))
	v := &queueView{Ask: in}
	var err error
	if v.QueueList, err = ask[*api.QueueList](c, r, "queue list", with(in, "cursor", q.Get("cursor"), "damaged", damaged(r))); err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "queue", "Queue", v)
}

// damaged asks for the files that were set aside, where whoever asks may see all of the spool.
func damaged(r *http.Request) string {
	if a := access.Of(r.Context()); a.Everywhere() {
		return "true"
	}
	return ""
}

// queueDo does something to the messages that were ticked.
func (c *Console) queueDo(w http.ResponseWriter, r *http.Request) {
	verb := r.PathValue("verb")
	if verb == "clear-latch" {
		if _, err := ask[any](c, r, "queue clear-latch", nil); err != nil {
			c.failed(w, r, err)
			return
		}
		c.done(w, r, "/queue", "The spool takes mail again.")
		return
	}
	words := map[string][3]string{"retry": {"is tried now", "are tried now", ""}, "hold": {"is held", "are held", ""}, "release": {"is tried again", "are tried again", ""},
		"bounce": {"was given up", "were given up", "Their senders are told where they may be; where they may not, the mail becomes a dead letter."}, "delete": {"was deleted", "were deleted", "Nobody is told but the log. It cannot be undone."}}
	word, known := words[verb]
	if !known {
		c.nowhere(w, r)
		return
	}
	n := len(r.PostForm["ids"])
	if n == 0 {
		c.done(w, r, back(r, "/queue"), "No message was ticked.")
		return
	}
	if q := (question{Head: "Really " + verb + " " + counted(n, "message", "messages") + "?", Text: word[2], Button: capital(verb), Danger: true}); word[2] != "" && !c.confirmed(w, r, q) {
		return
	}
	out, err := ask[*api.QueueChanged](c, r, "queue "+verb, posted(r, "ids"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	bad := 0
	why := ""
	for _, m := range out.Messages {
		if m.Error != "" {
			bad, why = bad+1, m.Error
		}
	}
	text := counted(len(out.Messages)-bad, "message "+word[0], "messages "+word[1]) + "."
	if bad > 0 {
		text += " Of " + countText(bad) + " it failed: " + why + "."
	}
	c.done(w, r, back(r, "/queue"), text)
}
