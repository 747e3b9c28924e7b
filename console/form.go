package console

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// flashCookie says once what was done, on the page that it led to.
const (
	flashCookie = "__Host-flash"
	maxFlash    = 300 // octets
)

// Names of fields that a form may have beside those of its operation.
const (
	confirmField = "confirm" // "yes" where a question was answered
	proofField   = "proof"   // password or code, where it is asked again
	etagField    = "etag"    // the version that was seen; goes as If-Match
	backField    = "back"    // path to go on to
)

// ask calls an operation for whoever asks, by the names of its fields, and returns what it says.
func ask[Out any](c *Console, r *http.Request, name string, fields url.Values) (out Out, err error) {
	if c.Surface == nil {
		return out, errors.New("console: there are no operations")
	}
	got, err := c.Surface.Ask(r.Context(), name, fields)
	if err != nil {
		return out, err
	}
	out, ok := got.(Out)
	if !ok {
		err = fmt.Errorf("console: %s returns %T", name, got)
	}
	return out, err
}

// offers reports whether the daemon has an operation: pages leave out what it cannot do.
func (c *Console) offers(name string) bool { return c.Surface != nil && c.Surface.Offers(name) }

// posted are the fields of a form that an operation takes, by their names, with If-Match where the form tells a version.
func posted(r *http.Request, names ...string) url.Values {
	v := url.Values{}
	for _, name := range names {
		if texts, given := r.PostForm[name]; given {
			v[name] = texts
		}
	}
	if tag := r.PostFormValue(etagField); tag != "" {
		v.Set("If-Match", tag)
	}
	return v
}

// done goes on to a page, which says once what was done.
func (c *Console) done(w http.ResponseWriter, r *http.Request, to, text string) {
	if token, ok := r.Context().Value(tokenKey{}).(string); ok && text != "" {
		text = cutText(text, maxFlash/4)
		setCookie(w, flashCookie, base64.RawURLEncoding.EncodeToString(append(flashSum(token, text), text...)), 60)
	}
	http.Redirect(w, r, ours(to), http.StatusSeeOther)
}

// back is where a form says that it came from.
func back(r *http.Request, otherwise string) string {
	if to := r.PostFormValue(backField); to != "" {
		return ours(to)
	}
	return otherwise
}

// flashSum binds a text to a session, so that no other host of the domain can put words into a page.
func flashSum(token, text string) []byte { return boundSum(token, "flash "+text)[:16] }

// flash takes the text that done left, if there is one.
func flash(w http.ResponseWriter, r *http.Request) string {
	k, err := r.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	setCookie(w, flashCookie, "", -1)
	token, _ := r.Context().Value(tokenKey{}).(string)
	raw, err := base64.RawURLEncoding.DecodeString(k.Value)
	if err != nil || len(raw) < 16 || len(raw) > 16+maxFlash || token == "" || !hmac.Equal(raw[:16], flashSum(token, string(raw[16:]))) {
		return ""
	}
	return string(raw[16:])
}

// again shows the page of a form again, with what was wrong with it: at its top, and by $.Wrong "field" beside a field. body
// holds what was typed. An error that is no fault becomes the page of a failure.
func (c *Console) again(w http.ResponseWriter, r *http.Request, name, title string, body any, err error) {
	f, ok := errors.AsType[*control.Fault](err)
	if !ok || f.Field == proofField {
		c.failed(w, r, err)
		return
	}
	v := c.view(r, title, body)
	v.Fault = f
	c.sendView(w, r, f.Status, name, v)
}

// question is asked before something is done that cannot be undone.
type question struct {
	Head, Text, Button string
	Danger             bool
}

// asked is what its page shows: the form again, with everything in it.
type asked struct {
	question
	Action, Back string
	Fields       []pair
	Proof        bool   // asks for the password or a code
	Problem      string // of the proof
	Issuer       string // by which somebody proves himself who has no password here; "" for none
}

// Again leads to the issuer, which is to ask anew, and back.
func (a *asked) Again() string {
	return issuerPath + "?" + url.Values{"again": {"1"}, "to": {a.Back}}.Encode()
}

type pair struct{ Name, Value string }

// confirmed reports whether a question was answered with yes. Otherwise it asks, by a page that sends the same form again: it needs
// no script.
func (c *Console) confirmed(w http.ResponseWriter, r *http.Request, q question) bool {
	if r.PostFormValue(confirmField) == "yes" {
		return true
	}
	c.show(w, r, http.StatusOK, "confirm", q.Head, &asked{question: q, Action: r.URL.RequestURI(), Back: back(r, backOf(r)), Fields: repeated(r, confirmField)})
	return false
}

// backOf is the page that a form without a field for it came from.
func backOf(r *http.Request) string {
	path := r.URL.Path
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// repeated are the fields of a form as they came, but for those of ours.
func repeated(r *http.Request, without ...string) (out []pair) {
	without = append(without, formField, proofField)
	for name, texts := range r.PostForm {
		if slices.Contains(without, name) || len(texts) > 0 && strings.Contains(name, "password") {
			continue
		}
		for _, text := range texts {
			out = append(out, pair{name, text})
		}
	}
	slices.SortStableFunc(out, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// askProof asks whoever wants something that matters for his password or a code again; what he gives comes with the same form.
func (c *Console) askProof(w http.ResponseWriter, r *http.Request, status int, problem string) {
	q := question{Head: "Confirm that it is you", Text: "Changes of users, tokens and keys want your password again, or a code of your authenticator where you have one.", Button: "Confirm"}
	c.show(w, r, status, "confirm", q.Head, &asked{question: q, Action: r.URL.RequestURI(), Back: back(r, backOf(r)), Fields: repeated(r), Proof: true, Problem: problem, Issuer: c.doors().Issuer})
}

// proved takes a proof that came with a form. The session goes on under another token.
func (c *Console) proved(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	proof := r.PostForm.Get(proofField)
	if proof == "" {
		return r, true
	}
	r.PostForm.Del(proofField)
	if len(proof) > maxPassword {
		c.askProof(w, r, http.StatusUnauthorized, "That is too long.")
		return r, false
	}
	token, err := c.Accounts.Prove(r.Context(), access.Of(r.Context()), proof)
	if err != nil {
		if f, ok := errors.AsType[*control.Fault](err); ok {
			c.askProof(w, r, f.Status, sentence(f.Error()))
		} else {
			c.failed(w, r, err)
		}
		return r, false
	}
	actor, err := c.Accounts.Session(r.Context(), token, clientOf(r))
	if err != nil {
		c.failed(w, r, err)
		return r, false
	}
	return c.goesOn(w, r, actor, token), true
}

// goesOn has a session go on under another token.
func (c *Console) goesOn(w http.ResponseWriter, r *http.Request, actor access.Actor, token string) *http.Request {
	setCookie(w, sessionCookie, token, 0)
	return inSession(r, actor, token)
}

// values makes fields of names and texts; those with an empty text are left out.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Add(pairs[i], pairs[i+1])
		}
	}
	return v
}

// with are fields and some more; those with an empty text are left out.
func with(v url.Values, pairs ...string) url.Values {
	out := values(pairs...)
	for name, texts := range v {
		out[name] = texts
	}
	return out
}
