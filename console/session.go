package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// The cookies. The prefix binds them to this host, to TLS, and to all paths (RFC 6265bis section 4.1.3).
const (
	sessionCookie = "__Host-gatepost"
	themeCookie   = "__Host-theme"
	maxToken      = 512
)

// formField is where forms bring the token of their session; formHeader where programs in a browser do.
const (
	formField  = "form"
	formHeader = "Gatepost-Form"
)

// tokenKey is under what a request's context knows the token of its session.
type tokenKey struct{}

// inSession is a request of whoever asks, in a session.
func inSession(r *http.Request, actor access.Actor, token string) *http.Request {
	return r.WithContext(context.WithValue(access.With(r.Context(), actor), tokenKey{}, token))
}

func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// sessionOf is the token that a request brings; "" for none.
func sessionOf(r *http.Request) string {
	k, err := r.Cookie(sessionCookie)
	if err != nil || len(k.Value) > maxToken {
		return ""
	}
	return k.Value
}

// formToken is what the forms of a session bring: nobody can tell it who does not know the session's own token, which no script reads.
func formToken(session string) string {
	return base64.RawURLEncoding.EncodeToString(boundSum(session, "form"))
}

// boundSum binds a text to a session.
func boundSum(session, text string) []byte {
	m := hmac.New(sha256.New, []byte(session))
	m.Write([]byte("gatepost console " + text))
	return m.Sum(nil)
}

func formTokenOK(session, given string) bool {
	return session != "" && hmac.Equal([]byte(formToken(session)), []byte(given))
}

// who returns who asks, by a session.
func (c *Console) who(r *http.Request) (access.Actor, string, error) {
	token := sessionOf(r)
	if token == "" || c.Accounts == nil {
		return access.Actor{}, "", ErrLogin
	}
	a, err := c.Accounts.Session(r.Context(), token, clientOf(r))
	if err == nil && !a.Role.Known() {
		err = ErrLogin
	}
	return a, token, err
}

// whoAsks is who of the API: by a token, or by a session, whose changes bring the form's token too.
func (c *Console) whoAsks(r *http.Request) (access.Actor, error) {
	out := &control.Fault{Status: http.StatusUnauthorized, Message: "nobody is logged in", Hint: "send Authorization: Bearer and a token, or log in"}
	if bearer := r.Header.Get("Authorization"); bearer != "" {
		kind, token, _ := strings.Cut(bearer, " ")
		token = strings.TrimSpace(token)
		if c.Accounts == nil || !strings.EqualFold(kind, "Bearer") || token == "" || len(token) > maxToken {
			return access.Actor{}, out
		}
		a, err := c.Accounts.Bearer(r.Context(), token, clientOf(r))
		if err != nil || !a.Role.Known() {
			return access.Actor{}, refusal(err, out)
		}
		return a, nil
	}
	a, token, err := c.who(r)
	if err != nil {
		return access.Actor{}, refusal(err, out)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !formTokenOK(token, r.Header.Get(formHeader)) {
		return access.Actor{}, &control.Fault{Status: http.StatusForbidden, Message: "the field " + formHeader + " is missing or of another session"}
	}
	return a, nil
}

// refusal is what a program is told of an error of Accounts.
func refusal(err error, plain *control.Fault) error {
	if f, ok := errors.AsType[*control.Fault](err); ok {
		return f
	}
	if err == nil || errors.Is(err, ErrLogin) {
		return plain
	}
	return err
}

// entered lets in whoever has a right, in his session with its token. Who is nobody is asked to log in, and comes back to the page. false:
// it was answered.
func (c *Console) entered(w http.ResponseWriter, r *http.Request, right access.Right) (in *http.Request, token string, ok bool) {
	if c.toSetup(w, r) {
		return r, "", false
	}
	actor, token, err := c.who(r)
	switch {
	case errors.Is(err, ErrLogin):
		c.toLogin(w, r)
		return r, "", false
	case err != nil:
		c.failed(w, r, err)
		return r, "", false
	}
	if r = inSession(r, actor, token); !actor.May(right) {
		c.forbidden(w, r, right)
		return r, "", false
	}
	return r, token, true
}

// page adds one for whoever has a right.
func (c *Console) page(mux *http.ServeMux, pattern string, right access.Right, show func(http.ResponseWriter, *http.Request)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r, token, ok := c.entered(w, r, right)
		if !ok {
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if !formTokenOK(token, r.PostFormValue(formField)) {
				c.show(w, r, http.StatusForbidden, "problem", "Not done", problem{Head: "This form is of another session", Text: "Open the page again and repeat what you did. Nothing was changed."})
				return
			}
			if r, ok = c.proved(w, r); !ok {
				return
			}
			defer c.board.forget()
		}
		show(w, r)
	})
}

// ofScript reports whether a script asks for a part of a page, or for a live view: no page helps it.
func ofScript(r *http.Request) bool {
	return r.Header.Get("X-Partial") != "" || r.Header.Get("Accept") == "text/event-stream"
}

// toLogin sends to the login, or tells a script that asks for a part of a page.
func (c *Console) toLogin(w http.ResponseWriter, r *http.Request) {
	if ofScript(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	to := "/login"
	if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
		to += "?to=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
