package console

// How a page is added. It is a file pages/NAME.html with {{define "main"}}, and a file NAME.go with its handlers and what its
// template gets:
//
//	c.page(mux, "GET /queue", access.QueueRead, c.queuePage)         // in Handler; whoever lacks the right is told who has it
//	c.page(mux, "POST /queue/retry", access.QueueChange, c.queueDo)  // the form's token was checked
//	{"Mail", "Queue", "/queue", "queue", "q", access.QueueRead, "queue list"}, // in places: group, title, path, icon, key
//
// A handler asks operations by ask, never the daemon or its store, so that rights, bounds by domain and the audit log are those of
// the API:
//
//	func (c *Console) queuePage(w http.ResponseWriter, r *http.Request) {
//		page, err := ask[*api.Queue](c, r, "queue list", url.Values{"cursor": {r.URL.Query().Get("cursor")}})
//		if err != nil {
//			c.failed(w, r, err) // says what can be told, or a number that the log has
//			return
//		}
//		c.show(w, r, http.StatusOK, "queue", "Queue", page)
//	}
//
// In a template . is the view and .Body what show was given. Texts of strangers go through {{row .}} (one line, cut) or
// {{template "text" .}} (all of it), inside <bdi>. $.May "queue.change" leaves out what somebody may not do. Each list has an
// {{template "empty" (nothing "No mail waits" "What waits will be a line here.")}} and {{template "more" ($.More .Next)}}, each form
//
//	<form method="post" action="/queue/retry">{{template "form" $}} ... </form>
//
// which brings the token of the session. With <input type="hidden" name="etag" value="{{.ETag}}"> it brings the version that was
// seen, which posted hands on as If-Match: a change of what another changed meanwhile is refused.
//
//	func (c *Console) queueDo(w http.ResponseWriter, r *http.Request) {
//		if !c.confirmed(w, r, question{Head: "Delete 3 messages", Text: "...", Button: "Delete", Danger: true}) {
//			return // it asks, and the form comes again; no script is needed
//		}
//		if _, err := ask[*api.Done](c, r, "queue delete", posted(r, "id")); err != nil {
//			c.failed(w, r, err)  // or c.again, which shows the form with what is wrong: $.Wrong "field"
//			return
//		}
//		c.done(w, r, back(r, "/queue"), "3 messages were deleted.") // goes on, and says so once
//	}
//
// Where an operation wants the password again (a fault of the field "proof"), failed and again ask for it and repeat the form.
//
// What changes by itself is marked: <section id="x" data-refresh="15"> is asked for again after so many seconds, by its page with
// X-Partial: main, while nobody reads or types in it, and says so when the gateway does not answer. What takes long is left to the
// script: <div id="x" data-load="/path?part=1">, whose answer is made by send.

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// parse reads every template at the start, so that a mistake in one ends it and no request.
func (c *Console) parse() (map[string]*template.Template, error) {
	base, err := template.New("layout.html").Funcs(functions(c.assets)).ParseFS(files, "pages/layout.html", "pages/parts.html", "pages/people.html", "pages/parts_whatif.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		key := strings.TrimSuffix(path.Base(name), ".html")
		if key == "layout" || key == "people" || strings.HasPrefix(key, "parts") {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		out[key] = t
	}
	return out, nil
}

// view is what a template gets.
type view struct {
	Title, Path, Theme, Form string
	Alone                    bool           // without navigation: nobody is logged in
	Flash                    string         // what was done
	Fault                    *control.Fault // of the form that is shown again
	Now                      time.Time
	at                       string // path without the query
	simulates                bool   // recorded mail can be judged again
	Frame                    Frame
	Notices                  notices
	Actor                    access.Actor
	Groups                   []group
	Body                     any
}

type group struct {
	Title  string
	Places []place
}

// Other is the theme that the button leads to.
func (v *view) Other() string {
	if v.Theme == "dark" {
		return "light"
	}
	return "dark"
}

// At reports whether a page is the one that is shown, or above it.
func (v *view) At(path string) bool {
	return v.at == path || path != "/" && strings.HasPrefix(v.at, path+"/")
}

// More is the address of the next page of a list; "" after the last.
func (v *view) More(next string) string {
	u, err := url.ParseRequestURI(v.Path)
	if next == "" || err != nil {
		return ""
	}
	q := u.Query()
	q.Set("cursor", next)
	return v.at + "?" + q.Encode()
}

// part is what a template gets that is a part of several pages.
type part struct {
	View *view
	Of   any
}

// With is a part of the page with what it is about.
func (v *view) With(of any) part { return part{v, of} }

// Wrong is what is wrong with a field of the form; "" where nothing is.
func (v *view) Wrong(field string) string {
	if v.Fault == nil || v.Fault.Field != field {
		return ""
	}
	return sentence(v.Fault.Error())
}

// May reports whether whoever asks has a right; templates leave out what he may not do.
func (v *view) May(right access.Right) bool { return v.Actor.May(right) }

// ModeText says what is not in force; "" where all is.
func (v *view) ModeText() string {
	switch v.Frame.Mode {
	case gateway.ObserveOnly:
		return "Observe mode: everything is judged, and but for relaying, recipients, malware and protocol nothing is refused."
	case gateway.Soft:
		return "Soft mode: what would be refused is quarantined, and limits and greylisting only count."
	}
	return ""
}

// MayEnforce reports whether somebody can be shown what enforce would have done.
func (v *view) MayEnforce() bool { return v.May(access.PolicyDraft) && v.simulates }

// view is what all pages have in common.
func (c *Console) view(r *http.Request, title string, body any) *view {
	v := &view{Title: title, Path: r.URL.RequestURI(), Actor: access.Of(r.Context()), Body: body, Now: time.Now(), at: r.URL.Path, simulates: c.offers("policy simulate")}
	if c.Frame != nil {
		v.Frame = c.Options.Frame()
	}
	if r.Method != http.MethodGet {
		v.Path = v.at
	}
	if k, err := r.Cookie(themeCookie); err == nil && (k.Value == "light" || k.Value == "dark") {
		v.Theme = k.Value
	}
	if token, ok := r.Context().Value(tokenKey{}).(string); ok {
		v.Form = formToken(token)
	}
	if v.Alone = v.Form == ""; !v.Alone {
		v.Notices = c.notices(&v.Actor)
	}
	for _, p := range places() {
		if !v.Actor.May(p.right) || p.operation != "" && !c.offers(p.operation) {
			continue
		}
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Title != p.Group {
			v.Groups = append(v.Groups, group{Title: p.Group})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Places = append(g.Places, p)
	}
	return v
}

// show sends a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	c.sendView(w, r, status, name, c.view(r, title, body))
}

// sendView sends a page; to a script that shows it already only what stands between its frame.
func (c *Console) sendView(w http.ResponseWriter, r *http.Request, status int, name string, v *view) {
	if r.Header.Get("X-Partial") == "main" {
		c.send(w, r, status, name, "partial", v)
		return
	}
	v.Flash = flash(w, r)
	c.send(w, r, status, name, "layout.html", v)
}

// send sends a page, or a part of one for the script.
func (c *Console) send(w http.ResponseWriter, r *http.Request, status int, name, part string, data any) {
	var b bytes.Buffer
	if err := c.templates[name].ExecuteTemplate(&b, part, data); err != nil {
		id := c.logged(r, err)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "The page could not be made. The log of the daemon tells why under %s.\n", id)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a client that went away needs no page
}

// problem is what a page says that cannot be shown.
type problem struct {
	Head, Text, Next, ID string
}

// logged notes an error under an id.
func (c *Console) logged(r *http.Request, err error) string {
	id := rand.Text()[:10]
	if c.Logger != nil {
		c.Logger.Error("console: page failed", "id", id, "method", r.Method, "path", cutText(r.URL.Path, 100), "error", err)
	}
	return id
}

// failed shows the page of an error: what can be told, or an id under which the log has it.
func (c *Console) failed(w http.ResponseWriter, r *http.Request, err error) {
	status, p := http.StatusInternalServerError, problem{Head: "This page cannot be shown now", Text: "Mail is not affected: the console only reads what the gateway wrote.", Next: "Try again. The log of the daemon tells why under the number below."}
	f, ok := errors.AsType[*control.Fault](err)
	if ok && f.Field == proofField && r.Method == http.MethodPost && r.Header.Get("X-Partial") == "" {
		c.askProof(w, r, http.StatusForbidden, "")
		return
	}
	if ok {
		status, p = f.Status, problem{Head: map[bool]string{true: "Not shown", false: "Not done"}[r.Method == http.MethodGet], Text: sentence(f.Message), Next: f.Hint}
	} else {
		p.ID = c.logged(r, err)
	}
	if x := r.Header.Get("X-Partial"); x != "" && x != "main" {
		c.send(w, r, status, "problem", "problem", p)
		return
	}
	c.show(w, r, status, "problem", p.Head, p)
}

// forbidden names the roles that may.
func (c *Console) forbidden(w http.ResponseWriter, r *http.Request, right access.Right) {
	var who []string
	for _, role := range access.Roles() {
		if role.Has(right) {
			who = append(who, string(role))
		}
	}
	a := access.Of(r.Context())
	p := problem{Head: "Your role may not see this page", Text: fmt.Sprintf("You are %s. It needs the right %s, which these roles have: %s.", a.Role, right, strings.Join(who, ", ")), Next: "An owner can give you another role."}
	if a.Role.Has(right) {
		p.Text = fmt.Sprintf("Your role %s has the right %s, but not for some domains only.", a.Role, right)
	}
	c.show(w, r, http.StatusForbidden, "problem", "Not allowed", p)
}

// nowhere is the page of what is not there. It is the same for everybody: it tells nobody what there is.
func (c *Console) nowhere(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusNotFound, "problem", "Not found", problem{Head: "There is no such page", Text: "The address may be mistyped, or the page was removed.", Next: "Start again at the overview."})
}
