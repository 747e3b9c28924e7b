package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gatepost/internal/control"
)

// Outside is who lets in people that have no password of ours. Its methods bound themselves in time, and in how often a client may
// try.
type Outside interface {
	// Doors tells what the page of the login offers. It waits for nothing.
	Doors() Doors
	// Start begins a login at the issuer, from which the browser comes back to path of origin, one of Doors.Origins. The ticket is for
	// this browser alone, and carry comes back with it. again has the issuer ask anew who it is.
	Start(ctx context.Context, origin, path, carry string, again bool) (address, ticket string, err error)
	// Finish ends it by what the browser brought back. Its errors are those of Accounts.
	Finish(ctx context.Context, query url.Values, ticket string, from netip.Addr, agent string) (in Login, carry string, err error)
}

// Doors are by what people get in, besides accounts of ours.
type Doors struct {
	Directory bool     // names and passwords of a directory are taken too
	Issuer    string   // what people call the issuer; "" for none
	Away      []string // of them those that do not answer, as a sentence names them
	Origins   []string // where browsers may reach the console, as https://name:port; the last is the best
}

// The paths and the cookie of a login at an issuer.
const (
	issuerPath   = "/login/oidc"
	issuerBack   = "/login/oidc/back"
	issuerCookie = "__Host-gatepost-issuer"
	issuerTime   = 600 // seconds
)

// doors are what the page of the login offers.
func (c *Console) doors() Doors {
	if c.Outside == nil {
		return Doors{}
	}
	return c.Outside.Doors()
}

// setIssuerCookie keeps a ticket. It goes along when the browser comes back from the issuer, which no stricter cookie does.
func setIssuerCookie(w http.ResponseWriter, ticket string, age int) {
	http.SetCookie(w, &http.Cookie{Name: issuerCookie, Value: ticket, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// toIssuer sends a browser to the issuer. Whoever reached the console by another name goes to the one first that the issuer knows,
// since the cookie is of a name.
func (c *Console) toIssuer(w http.ResponseWriter, r *http.Request) {
	d := c.doors()
	if d.Issuer == "" || len(d.Origins) == 0 {
		c.nowhere(w, r)
		return
	}
	to, again := ours(r.URL.Query().Get("to")), r.URL.Query().Get("again") != ""
	origin := "https://" + strings.ToLower(r.Host)
	if !slices.Contains(d.Origins, origin) {
		http.Redirect(w, r, d.Origins[len(d.Origins)-1]+issuerPath+"?"+url.Values{"to": {to}}.Encode(), http.StatusSeeOther)
		return
	}
	if len(to) > 400 {
		to = "/" // it goes through a cookie
	}
	address, ticket, err := c.Outside.Start(r.Context(), origin, issuerBack, to+"\n"+sessionOf(r), again)
	if err != nil {
		c.loginFailed(w, r, to, err)
		return
	}
	setIssuerCookie(w, ticket, issuerTime)
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// fromIssuer takes a browser that comes back. The answer is a page and no redirect: the cookie of the session goes along only with
// what this site itself leads to.
func (c *Console) fromIssuer(w http.ResponseWriter, r *http.Request) {
	if c.doors().Issuer == "" {
		c.nowhere(w, r)
		return
	}
	ticket := ""
	if k, err := r.Cookie(issuerCookie); err == nil {
		ticket = k.Value
	}
	setIssuerCookie(w, "", -1)
	in, carry, err := c.Outside.Finish(r.Context(), r.URL.Query(), ticket, clientOf(r), cutText(r.UserAgent(), maxAgent))
	if err != nil {
		c.loginFailed(w, r, "/", err)
		return
	}
	to, old, _ := strings.Cut(carry, "\n")
	f := loginForm{To: ours(to)}
	if in.More {
		f.More, f.Token, f.Passkey, f.NoCode = true, in.Token, in.Passkey, in.NoCode
		c.show(w, r, http.StatusOK, "login", "Sign in", f)
		return
	}
	if old != "" {
		_ = c.Accounts.Logout(r.Context(), old) // else it ends by its time
	}
	setCookie(w, sessionCookie, in.Token, 0)
	w.Header().Set("Refresh", "0; url="+f.To)
	f.In = true
	c.show(w, r, http.StatusOK, "login", "Signed in", f)
}

// loginFailed shows the page of the login with why nobody was let in.
func (c *Console) loginFailed(w http.ResponseWriter, r *http.Request, to string, err error) {
	f := loginForm{To: to, Doors: c.doors()}
	fault, told := errors.AsType[*control.Fault](err)
	switch {
	case told:
		f.Problem = sentence(fault.Error())
		fault.TellRetry(w.Header())
		c.show(w, r, fault.Status, "login", "Sign in", f)
	case errors.Is(err, ErrLogin):
		f.Problem = "What came back proves nobody. Sign in again."
		c.show(w, r, http.StatusUnauthorized, "login", "Sign in", f)
	default:
		c.failed(w, r, err)
	}
}
