package portal

import (
	"context"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// Item is a message of a user's own quarantine. All in it but its state is of strangers.
type Item struct {
	Reference string
	For       string // the address of the user that it is kept for
	Arrived   string
	From      string // reverse-path
	Author    string // of the field From
	Subject   string
	Why       string
	State     State // Ready, Released, Forbidden or Busy
}

// Users knows who may see a quarantine of his own. A user is an address; he proves that it is his by a link that is mailed to it.
type Users interface {
	// Open reports whether users may log in, and the language of the pages.
	Open() (open bool, language string)
	// Ask mails a link to an address that may have one. It does not wait, and says nothing of whether there is such a mailbox.
	Ask(address string)
	// Enter makes a session of a link, once; ok is false for what is no link, was used or has ended.
	Enter(ctx context.Context, link string) (session string, ends time.Time, ok bool)
	// May says whose link it is, without using it.
	May(ctx context.Context, link string) (address string, ok bool)
	// Who is whose session it is: his address, and others that were proved when he logged in.
	Who(ctx context.Context, session string) (addresses []string, ok bool)
	// Outside proves users by a directory or an issuer; nil: nothing does.
	Outside() Outside
	// Leave ends a session.
	Leave(ctx context.Context, session string)
	// Mine lists what is kept for addresses, the newest first, behind a reference ("": from the start). next is "" at the end.
	Mine(ctx context.Context, addresses []string, before string) (items []Item, next string, err error)
	// Lists are a user's own allow and block list; none where they cannot be had.
	Lists() Lists
	// Links are further addresses of users; none where they cannot be had.
	Links() Links
	// Let releases a message to an address of a user and nobody else.
	Let(ctx context.Context, user, address, reference string) Answer
}

// cookie holds the session. Its prefix has browsers take it over HTTPS, for this host and all of its pages alone.
const cookie = "__Host-portal"

// userPages adds the pages of users.
func (p *Portal) userPages(mux *http.ServeMux) {
	pages := pages()
	mux.HandleFunc("GET /{$}", p.opened(pages, p.home))
	mux.HandleFunc("POST /login", p.opened(pages, p.ask))
	mux.HandleFunc("GET /login/{link}", p.opened(pages, p.link))
	mux.HandleFunc("POST /session", p.opened(pages, p.enter))
	p.outsidePages(mux, pages)
	mux.HandleFunc("GET /mine", p.opened(pages, loggedIn(p.mine)))
	mux.HandleFunc("POST /mine/release", p.opened(pages, loggedIn(p.let)))
	mux.HandleFunc("GET /lists", p.opened(pages, loggedIn(p.ownLists)))
	mux.HandleFunc("POST /lists/add", p.opened(pages, loggedIn(p.addEntry)))
	mux.HandleFunc("POST /lists/remove", p.opened(pages, loggedIn(p.removeEntry)))
	p.linkPages(mux, pages)
	mux.HandleFunc("POST /logout", p.opened(pages, p.leave))
}

// visit is a request while users may log in.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	words   *userWords
	address string   // who is logged in; "" for nobody
	proved  []string // other addresses that were proved when he logged in
	session string
	pages   *template.Template
}

// opened answers 404 where users cannot log in, as if there were no such page, and reads forms within their bound.
func (p *Portal) opened(pages *template.Template, next func(*visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.Users == nil {
			http.NotFound(w, r)
			return
		}
		open, language := p.Users.Open()
		if !open {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			if err := r.ParseForm(); err != nil {
				http.Error(w, "not a form of ours", http.StatusBadRequest)
				return
			}
		}
		v := &visit{w: w, r: r, words: userWordsOf(language), pages: pages}
		if c, err := r.Cookie(cookie); err == nil && len(c.Value) <= maxSession {
			if addresses, ok := p.Users.Who(r.Context(), c.Value); ok && len(addresses) > 0 {
				v.address, v.proved, v.session = addresses[0], addresses[1:], c.Value
			}
		}
		next(v)
	}
}

// loggedIn leads whoever is not logged in to the start.
func loggedIn(next func(*visit)) func(*visit) {
	return func(v *visit) {
		if v.address == "" {
			v.to("/")
			return
		}
		next(v)
	}
}

// field is one of the form, bounded; "" where it is too long to be anything of ours.
func (v *visit) field(name string) string {
	if text := v.r.PostForm.Get(name); len(text) <= maxToken {
		return strings.TrimSpace(text)
	}
	return ""
}

func (v *visit) to(path string) {
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
}

func (v *visit) keep(session string, ends time.Time) {
	age := -1
	if session != "" {
		age = max(1, int(time.Until(ends)/time.Second))
	}
	http.SetCookie(v.w, &http.Cookie{Name: cookie, Value: session, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

func (p *Portal) home(v *visit) {
	if v.address != "" {
		v.to("/mine")
		return
	}
	p.showLogin(v, http.StatusOK, "")
}

// ask says the same whoever is asked for, at once: it tells nobody which mailboxes there are.
func (p *Portal) ask(v *visit) {
	address := v.field("address")
	if address == "" || !strings.Contains(address, "@") {
		p.showLogin(v, http.StatusUnprocessableEntity, v.words.NoAddress)
		return
	}
	p.Users.Ask(address)
	v.page(http.StatusOK, "asked", nil)
}

// link shows a button and does nothing: whoever looks at links before people do uses none up.
func (p *Portal) link(v *visit) {
	link := v.r.PathValue("link")
	address, ok := "", false
	if len(link) <= maxToken {
		address, ok = p.Users.May(v.r.Context(), link)
	}
	if !ok {
		p.showLogin(v, http.StatusNotFound, v.words.NoLink)
		return
	}
	v.page(http.StatusOK, "enter", map[string]string{"Link": link, "Address": address})
}

// enter begins a session, always a new one: what the browser held before is ended.
func (p *Portal) enter(v *visit) {
	session, ends, ok := p.Users.Enter(v.r.Context(), v.field("link"))
	if !ok {
		p.showLogin(v, http.StatusNotFound, v.words.NoLink)
		return
	}
	p.begin(v, session, ends)
	v.to("/mine")
}

// begin keeps a session in the browser, and ends what it held before.
func (p *Portal) begin(v *visit, session string, ends time.Time) {
	if v.session != "" {
		p.Users.Leave(v.r.Context(), v.session)
	}
	v.keep(session, ends)
}

func (p *Portal) leave(v *visit) {
	if v.session != "" {
		p.Users.Leave(v.r.Context(), v.session)
	}
	v.keep("", time.Time{})
	v.to("/")
}

// own is what the page of a user's quarantine shows.
type own struct {
	Addresses []string // the first is who is logged in
	Items     []Item
	Next      string
	Later     bool // it is not the first page
	Said      string
	Failed    bool
	Part      bool // his further addresses are not known now
}

func (p *Portal) mine(v *visit) {
	before := v.r.URL.Query().Get("before")
	if len(before) > 64 {
		before = ""
	}
	p.list(v, http.StatusOK, before, "")
}

// list shows the quarantine. Where it cannot be read the page says so, and not that it is empty.
func (p *Portal) list(v *visit, status int, before, said string) {
	o := own{Later: before != "", Said: said}
	var err error
	var whole bool
	o.Addresses, whole = p.addresses(v)
	o.Part = !whole
	if o.Items, o.Next, err = p.Users.Mine(v.r.Context(), o.Addresses, before); err != nil {
		o.Failed, status = true, http.StatusServiceUnavailable
	}
	v.page(status, "mine", o)
}

func (p *Portal) let(v *visit) {
	address, mine, known := p.chosen(v)
	a := Answer{State: Gone}
	switch {
	case mine:
		a = p.Users.Let(v.r.Context(), v.address, address, v.field("reference"))
	case !known:
		a.State = Failed
	}
	if a.State == Ready { // it is only shown
		a.State = Failed
	}
	p.list(v, code(a.State), "", textsOf(v.words.Lang).say[a.State])
}
