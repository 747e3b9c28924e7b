package portal

import (
	"context"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Ways are how users log in besides a link that is mailed to them.
type Ways struct {
	Directory bool
	Issuer    string // what pages call it; "" for none
}

// Outside proves users by a directory or an issuer of OpenID Connect. A session is of the addresses that are theirs there.
type Outside interface {
	// Ways are those that are open now.
	Ways() Ways
	// Password logs in by name and password of the directory: Wrong, Often, NoMailbox or Away where it does not.
	Password(ctx context.Context, from netip.Addr, name, password string) (session string, ends time.Time, fault Fault)
	// Depart begins a login by the issuer: the browser goes to the address, and brings the ticket back.
	Depart(ctx context.Context) (address, ticket string, fault Fault)
	// Arrive ends it by what the browser brings.
	Arrive(ctx context.Context, query url.Values, ticket string) (session string, ends time.Time, fault Fault)
}

// ticketCookie holds a ticket. It goes along when the issuer's page leads back here, and no longer than a login may take.
const (
	ticketCookie = "__Host-portal-issuer"
	ticketTime   = 10 * time.Minute
	maxTicket    = 2048
	maxSession   = 2560 // octets of a session
)

// outsideWords are those of such logins, in one language.
type outsideWords struct {
	Directory, Name, Password, Issuer, Arrived, Go string
	Wrong, Often, NoMailbox, Away                  string
}

func outsideWordsOf(language string) outsideWords {
	if language == "de" {
		return outsideWords{Directory: "Mit Benutzername und Passwort", Name: "Benutzername", Password: "Passwort", Issuer: "Anmelden mit", Arrived: "Sie sind angemeldet.", Go: "Weiter zu Ihrer Quarantäne",
			Wrong: "Die Anmeldung ist nicht gelungen. Prüfen Sie Name und Passwort.", Often: "Zu viele Versuche. Warten Sie einige Minuten, oder lassen Sie sich einen Link senden.",
			NoMailbox: "Zu Ihrem Konto gehört keine Adresse, für die hier Post angenommen wird.", Away: "Diese Anmeldung ist gerade nicht möglich. Lassen Sie sich einen Link senden."}
	}
	return outsideWords{Directory: "With user name and password", Name: "User name", Password: "Password", Issuer: "Log in with", Arrived: "You are logged in.", Go: "Go to your quarantine",
		Wrong: "You could not be logged in. Check name and password.", Often: "Too many tries. Wait some minutes, or have a link sent.",
		NoMailbox: "Your account has no address that mail is taken for here.", Away: "This login is not possible now. Have a link sent."}
}

// outsidePages adds those of such logins.
func (p *Portal) outsidePages(mux *http.ServeMux, pages *template.Template) {
	mux.HandleFunc("POST /login/password", p.opened(pages, p.password))
	mux.HandleFunc("GET /issuer", p.opened(pages, p.depart))
	mux.HandleFunc("GET /issuer/back", p.opened(pages, p.arrive))
}

// loginPage is what the start shows.
type loginPage struct {
	Ways
	Said, Name string
}

func (p *Portal) ways() (out Ways) {
	if o := p.Users.Outside(); o != nil {
		return o.Ways()
	}
	return out
}

func (p *Portal) showLogin(v *visit, status int, said string) {
	v.page(status, "login", loginPage{p.ways(), said, v.field("name")})
}

// refuse shows the start with why somebody did not get in.
func (p *Portal) refuse(v *visit, fault Fault) {
	w := &v.words.Out
	switch fault {
	case Often:
		p.showLogin(v, http.StatusTooManyRequests, w.Often)
	case NoMailbox:
		p.showLogin(v, http.StatusForbidden, w.NoMailbox)
	case Away:
		p.showLogin(v, http.StatusServiceUnavailable, w.Away)
	default:
		p.showLogin(v, http.StatusForbidden, w.Wrong)
	}
}

// password is taken from the form as it was typed.
func (p *Portal) password(v *visit) {
	if !p.ways().Directory {
		http.NotFound(v.w, v.r)
		return
	}
	from, _ := netip.ParseAddrPort(v.r.RemoteAddr)
	session, ends, fault := p.Users.Outside().Password(v.r.Context(), from.Addr(), v.field("name"), v.r.PostForm.Get("password"))
	if fault != Fine {
		p.refuse(v, fault)
		return
	}
	p.begin(v, session, ends)
	v.to("/mine")
}

func (p *Portal) depart(v *visit) {
	if p.ways().Issuer == "" {
		http.NotFound(v.w, v.r)
		return
	}
	address, ticket, fault := p.Users.Outside().Depart(v.r.Context())
	if fault != Fine {
		p.refuse(v, fault)
		return
	}
	v.ticket(ticket)
	v.to(address)
}

// ticket keeps a ticket in the browser; "" has it forgotten.
func (v *visit) ticket(text string) {
	age := int(ticketTime / time.Second)
	if text == "" {
		age = -1
	}
	http.SetCookie(v.w, &http.Cookie{Name: ticketCookie, Value: text, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// arrive logs in who comes back from the issuer. The page that follows is asked for by a page of ours: browsers keep the session's
// cookie from a request that another site's page led to.
func (p *Portal) arrive(v *visit) {
	if p.ways().Issuer == "" {
		http.NotFound(v.w, v.r)
		return
	}
	c, err := v.r.Cookie(ticketCookie)
	v.ticket("")
	if err != nil || len(c.Value) > maxTicket {
		p.refuse(v, Wrong)
		return
	}
	session, ends, fault := p.Users.Outside().Arrive(v.r.Context(), v.r.URL.Query(), c.Value)
	if fault != Fine {
		p.refuse(v, fault)
		return
	}
	p.begin(v, session, ends)
	v.w.Header().Set("Refresh", "0; url=/mine")
	v.page(http.StatusOK, "arrived", nil)
}
