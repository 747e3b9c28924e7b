package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"gatepost/internal/control"
)

// Bounds of what is typed into the login.
const (
	maxName     = 200
	maxPassword = 1024
	maxCode     = 64
	maxAgent    = 200
)

// ours returns a path of this host, to go on to; "/" for anything else.
func ours(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") ||
		strings.ContainsAny(to, "\\\r\n\t") || len(to) > maxPath || strings.HasPrefix(u.Path, "/login") || strings.HasPrefix(u.Path, "/logout") {
		return "/"
	}
	return to
}

// loginForm is what the page of the login shows.
type loginForm struct {
	Name, To, Token, Problem string
	More                     bool
	Passkey                  *Ceremony
	NoCode                   bool
	In                       bool // somebody is let in, and goes on to To
	Doors                    Doors
}

// Link leads to the issuer, and back to where somebody wanted to.
func (f loginForm) Link() string { return issuerPath + "?" + url.Values{"to": {f.To}}.Encode() }

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if c.toSetup(w, r) {
		return
	}
	to := ours(r.URL.Query().Get("to"))
	if _, _, err := c.who(r); err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	f := loginForm{To: to, Doors: c.doors()}
	if c.Accounts == nil {
		f.Problem = "There are no accounts yet on this host."
	}
	c.show(w, r, http.StatusOK, "login", "Sign in", f)
}

// login lets in, or asks for the second factor. The answer is the same for an unknown name and a wrong password.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p := r.PostForm
	f := loginForm{Name: p.Get("name"), To: ours(p.Get("to")), Doors: c.doors()}
	a := &Attempt{Name: f.Name, Password: p.Get("password"), Code: p.Get("code"), Token: p.Get("token"), Ticket: p.Get("ticket"), Answer: p.Get("answer"), Address: clientOf(r), Agent: cutText(r.UserAgent(), maxAgent)}
	if c.Accounts == nil || len(a.Name) > maxName || len(a.Password) > maxPassword || len(a.Code) > maxCode || len(a.Token) > maxToken {
		f.Name, f.Problem = "", "Name or password is wrong."
		c.show(w, r, http.StatusUnauthorized, "login", "Sign in", f)
		return
	}
	in, err := c.Accounts.Login(r.Context(), a)
	switch fault, told := errors.AsType[*control.Fault](err); {
	case err == nil && in.More:
		f.More, f.Token, f.Passkey, f.NoCode = true, in.Token, in.Passkey, in.NoCode
		c.show(w, r, http.StatusOK, "login", "Sign in", f)
	case err == nil:
		c.letIn(w, r, in.Token)
		http.Redirect(w, r, f.To, http.StatusSeeOther)
	case told:
		f.Problem, f.More, f.Token = fault.Error(), a.Token != "" && fault.Status != http.StatusUnauthorized, a.Token
		fault.TellRetry(w.Header())
		c.show(w, r, fault.Status, "login", "Sign in", f)
	case errors.Is(err, ErrLogin):
		f.Problem = "Name or password is wrong."
		if a.Token != "" {
			f.Problem = "The code is wrong, or it was used before. Sign in again."
		}
		c.show(w, r, http.StatusUnauthorized, "login", "Sign in", f)
	default:
		c.failed(w, r, err)
	}
}

// letIn has a browser go on with a new session. The one that it had before is no use to anybody; where it cannot be ended, it ends
// by its time.
func (c *Console) letIn(w http.ResponseWriter, r *http.Request, token string) {
	if old := sessionOf(r); old != "" && old != token {
		_ = c.Accounts.Logout(r.Context(), old)
	}
	setCookie(w, sessionCookie, token, 0)
}

// logout ends the session of the cookie, and takes the cookie away whatever comes of that.
func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := sessionOf(r)
	if !formTokenOK(token, r.PostFormValue(formField)) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if c.Accounts != nil {
		if err := c.Accounts.Logout(r.Context(), token); err != nil && c.Logger != nil {
			c.Logger.Warn("console: a session could not be ended", "error", err)
		}
	}
	setCookie(w, sessionCookie, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// theme turns light into dark, and back, for this browser.
func (c *Console) theme(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	to, t := ours(r.PostFormValue("to")), r.PostFormValue("theme")
	if t == "light" || t == "dark" {
		setCookie(w, themeCookie, t, 365*24*3600)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
