// Package portal is the pages of users: the one that links of digests lead to, which needs no login, and a user's own
// quarantine, behind a link that is mailed to him. Nothing but POST changes anything, so that whoever looks at links before
// people do releases no mail and logs nobody in. It knows nothing of tokens: its Desk and its Users do.
package portal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"gatepost/internal/seats"
)

// State is what a link can do now.
type State uint8

// The states. The zero value says that it is no link of ours.
const (
	Unknown   State = iota
	Ready           // a person may press the button
	Released        // it is on its way, or was
	Expired         // the link is too old
	Forbidden       // the message is not one that users release
	Gone            // it was deleted, or its time was over
	Busy            // somebody is at work on it
	Failed          // it could not be delivered now; the link stays good
)

// Answer is what is said of a link. All but its state is of strangers, and is made safe when it is shown.
type Answer struct {
	State     State
	Reference string
	Rcpt      string
	From      string // reverse-path
	Author    string // of the field From
	Arrived   string
	Why       string
	Language  string // "de"; any other is English
}

// Desk knows what links are for.
type Desk interface {
	// Look says what a token is for, and changes nothing.
	Look(ctx context.Context, token string) Answer
	// Release does it, once.
	Release(ctx context.Context, token string) Answer
}

// Bounds of what strangers may ask.
const (
	maxToken  = 1024
	maxBody   = 2 << 10
	perClient = 30   // requests of an IPv4 address or an IPv6 /64 in a minute
	perProxy  = 3000 // of the host itself, where a proxy that passes connections on speaks for many
	clients   = 10_000
	minute    = time.Minute
	longest   = 2 * time.Minute // a request: a release waits for a virus scanner, and then for a next hop
)

// Longest is how long an answer takes at most.
func Longest() time.Duration { return longest }

// style is all that makes the page look like one. Its hash is in the policy that browsers get: they apply no other.
const style = ":root{color-scheme:light dark;background:light-dark(#fff,#14171c);color:light-dark(#111,#eee)}a{color:light-dark(#0b5cad,#8ab4f8)}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:0 auto;padding:1rem}h1{font-size:1.4rem}" +
	"table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:normal;opacity:.75;padding:.2rem 1rem .2rem 0;vertical-align:top}@media(min-width:30rem){th{white-space:nowrap}}" +
	"td{padding:.2rem 0;vertical-align:top;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:1.5rem 0 .25rem;overflow-wrap:anywhere}input,select{font:inherit;padding:.5rem;width:100%;max-width:24rem;box-sizing:border-box}button{font:inherit;padding:.6rem 1.5rem;border:0;border-radius:.4rem;background:#0b5cad;color:#fff;cursor:pointer}"

// policy is what browsers may do with a page: show it, and send its form to where it came from.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

// Portal answers. The zero value, with a Desk, is ready for use.
type Portal struct {
	Desk  Desk
	Users Users // nil: nobody can log in

	mu     sync.Mutex
	window time.Time
	asked  map[netip.Prefix]int
	counts map[Count]uint64
}

// Count is what is counted of a request: its method, and the status it got.
type Count struct {
	Method string // GET, POST or other
	Status int
}

// Counts returns how many requests there were.
func (p *Portal) Counts() map[Count]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[Count]uint64, len(p.counts))
	for c, n := range p.counts {
		out[c] = n
	}
	return out
}

const prefix = "/release/"

// Handler is what a server asks.
func (p *Portal) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"{token}", p.look) // HEAD as well
	mux.HandleFunc("POST /release", p.release)
	p.userPages(mux)
	return p.guard(http.TimeoutHandler(http.NewCrossOriginProtection().Handler(mux), longest, "try again later"))
}

// guard bounds and counts requests, and says what browsers may do with any answer.
func (p *Portal) guard(next http.Handler) http.Handler {
	policy := policy()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Robots-Tag", "noindex")
		if r.ContentLength != 0 {
			h.Set("Connection", "close") // what nobody reads is not waited for
		}
		s := &status{ResponseWriter: w, code: http.StatusOK}
		if p.over(clientOf(r.RemoteAddr), time.Now()) {
			h.Set("Retry-After", "60")
			http.Error(s, "too many requests", http.StatusTooManyRequests)
		} else {
			next.ServeHTTP(s, r)
		}
		c := Count{"other", s.code}
		if r.Method == http.MethodGet || r.Method == http.MethodPost {
			c.Method = r.Method
		}
		p.mu.Lock()
		if p.counts == nil {
			p.counts = map[Count]uint64{}
		}
		p.counts[c]++
		p.mu.Unlock()
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

// WriteHeader notes it.
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// over counts a request, and reports whether its client, or all clients together, had too many.
func (p *Portal) over(client netip.Prefix, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil || now.Sub(p.window) >= minute {
		p.window, p.asked = now, make(map[netip.Prefix]int)
	}
	most := perClient
	if client.Addr().IsLoopback() {
		most = perProxy
	}
	n, known := p.asked[client]
	if n >= most || !known && len(p.asked) >= clients {
		return true
	}
	p.asked[client] = n + 1
	return false
}

// clientOf is whom requests are counted for.
func clientOf(remote string) netip.Prefix {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	return seats.Client(a.Addr().Unmap().WithZone(""))
}

func (p *Portal) look(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	if len(token) > maxToken {
		token = ""
	}
	a := p.Desk.Look(r.Context(), token)
	show(w, a, token)
}

func (p *Portal) release(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "not a form of ours", http.StatusBadRequest)
		return
	}
	token := r.PostForm.Get("token")
	if len(token) > maxToken {
		token = ""
	}
	a := p.Desk.Release(r.Context(), token)
	if a.State == Ready { // it is only shown
		a.State = Failed
	}
	show(w, a, token)
}

// show writes the page of an answer. Only a link that can be used has a button.
func show(w http.ResponseWriter, a Answer, token string) {
	t := textsOf(a.Language)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"" + t.lang + "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>" +
		html.EscapeString(t.title) + "</title><style>" + style + "</style></head><body>\n<h1>" + html.EscapeString(t.title) + "</h1>\n")
	if a.State != Unknown && a.State != Expired {
		b.WriteString("<table>\n")
		for _, row := range [...][2]string{{t.date, a.Arrived}, {t.from, a.From}, {t.author, a.Author}, {t.to, a.Rcpt}, {t.why, a.Why}, {t.reference, a.Reference}} {
			if row[1] != "" {
				b.WriteString("<tr><th scope=\"row\">" + html.EscapeString(row[0]) + "</th><td><bdi>" + html.EscapeString(row[1]) + "</bdi></td></tr>\n")
			}
		}
		b.WriteString("</table>\n")
	}
	b.WriteString("<p>" + html.EscapeString(t.say[a.State]) + "</p>\n")
	if a.State == Ready || a.State == Busy || a.State == Failed {
		b.WriteString("<form method=\"post\" action=\"/release\"><input type=\"hidden\" name=\"token\" value=\"" + html.EscapeString(token) + "\"><button type=\"submit\">" +
			html.EscapeString(t.button) + "</button></form>\n")
	}
	b.WriteString("</body></html>\n")
	w.WriteHeader(code(a.State))
	_, _ = io.WriteString(w, b.String())
}

func code(s State) int {
	switch s {
	case Ready, Released:
		return http.StatusOK
	case Expired, Gone:
		return http.StatusGone
	case Forbidden:
		return http.StatusForbidden
	case Busy:
		return http.StatusConflict
	case Failed:
		return http.StatusServiceUnavailable
	}
	return http.StatusNotFound
}
