package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
)

// alarmsView is what is wrong, who is told, and which checks are left out.
type alarmsView struct {
	List     any // what the operations of alarms and bypasses answer, of their own types
	All      bool
	Paths    any
	Bypasses any // nil where they cannot be asked
	Form     url.Values
	Test     any // nil where none was asked for
}

// alarmPages are those of alarms and bypasses.
func (c *Console) alarmPages(mux *http.ServeMux) {
	c.page(mux, "GET /alarms", access.AlarmsRead, c.alarmsPage)
	c.page(mux, "POST /alarms/ack", access.AlarmsChange, c.alarmAck)
	c.page(mux, "POST /alarms/unack", access.AlarmsChange, c.alarmUnack)
	c.page(mux, "POST /alarms/test", access.AlarmsChange, c.alarmTest)
	c.page(mux, "POST /bypasses", access.BypassChange, c.bypassStart)
	c.page(mux, "POST /bypasses/end", access.BypassChange, c.bypassEnd)
}

func (c *Console) alarmsView(r *http.Request) (*alarmsView, error) {
	q := r.URL.Query()
	v := &alarmsView{All: q.Get("all") != ""}
	var err error
	if v.List, err = ask[any](c, r, "alarm list", values("all", map[bool]string{true: "true"}[v.All], "cursor", q.Get("cursor"))); err != nil {
		return nil, err
	}
	if v.Paths, err = ask[any](c, r, "alarm paths", nil); err != nil {
		return nil, err
	}
	actor := access.Of(r.Context())
	if c.offers("bypass list") && actor.May(access.StatusRead) {
		if v.Bypasses, err = ask[any](c, r, "bypass list", nil); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (c *Console) alarmsPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("alarm list") {
		c.nowhere(w, r)
		return
	}
	v, err := c.alarmsView(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "alarms", "Alarms", v)
}

// alarmsAgain shows the page again, with what is wrong with a form of it.
func (c *Console) alarmsAgain(w http.ResponseWriter, r *http.Request, err error) {
	v, listErr := c.alarmsView(r)
	if listErr != nil {
		c.failed(w, r, err)
		return
	}
	v.Form = r.PostForm
	c.again(w, r, "alarms", "Alarms", v, err)
}

func (c *Console) alarmAck(w http.ResponseWriter, r *http.Request) {
	_, err := ask[any](c, r, "alarm ack", posted(r, "id", "note", "for", "owner"))
	if err != nil {
		c.alarmsAgain(w, r, err)
		return
	}
	c.done(w, r, "/alarms", r.PostFormValue("id")+" is known of, and is not told again.")
}

func (c *Console) alarmUnack(w http.ResponseWriter, r *http.Request) {
	_, err := ask[any](c, r, "alarm unack", posted(r, "id"))
	if err != nil {
		c.alarmsAgain(w, r, err)
		return
	}
	c.done(w, r, "/alarms", r.PostFormValue("id")+" is told again.")
}

// alarmTest sends a notice by each path, and shows what each answered.
func (c *Console) alarmTest(w http.ResponseWriter, r *http.Request) {
	out, err := ask[any](c, r, "alarm test", posted(r, "path"))
	if err != nil {
		c.alarmsAgain(w, r, err)
		return
	}
	v, err := c.alarmsView(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Test = out
	c.show(w, r, http.StatusOK, "alarms", "Alarms", v)
}

func (c *Console) bypassStart(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Leave out " + r.PostFormValue("check") + " for " + r.PostFormValue("for") + "?", Text: "Mail that it would stop gets in meanwhile. An alarm tells of it, and it ends by itself.", Button: "Leave it out", Danger: true}) {
		return
	}
	_, err := ask[any](c, r, "bypass", posted(r, "check", "for", "reason"))
	if err != nil {
		c.alarmsAgain(w, r, err)
		return
	}
	c.done(w, r, "/alarms", r.PostFormValue("check")+" is left out for "+r.PostFormValue("for")+".")
}

func (c *Console) bypassEnd(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[any](c, r, "bypass end", posted(r, "check")); err != nil {
		c.alarmsAgain(w, r, err)
		return
	}
	c.done(w, r, back(r, "/alarms"), r.PostFormValue("check")+" counts again.")
}
