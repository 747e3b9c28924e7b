package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// senderPages are those of strangers, of what is known of senders, of reports that others sent, and of TLS and DNS.
func (c *Console) senderPages(mux *http.ServeMux) {
	c.page(mux, "GET /greylist", access.SendersRead, c.greylistPage)
	c.page(mux, "POST /greylist/release", access.SendersChange, c.greylistRelease)
	c.page(mux, "GET /senders", access.SendersRead, c.sendersPage)
	c.page(mux, "GET /reports", access.ReportsRead, c.reportsPage)
	c.page(mux, "GET /tls", access.SystemRead, c.tlsPage)
	c.page(mux, "POST /tls/check", access.SystemChange, c.tlsCheck)
}

func (c *Console) greylistPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("greylist list") {
		c.nowhere(w, r)
		return
	}
	l := &listing{Title: "Greylist", Note: "Strangers that must come again. Each passes by itself at a try from its time on."}
	c.listedPage(w, r, l, func() (section, error) {
		s, err := c.listSection(r, "Waiting", "Nobody waits.", "greylist list", values("limit", "500"))
		if actor := access.Of(r.Context()); err == nil && actor.May(access.SendersChange) {
			s.button("/greylist/release", "key", "Let it pass")
		}
		return s, err
	})
}

func (c *Console) greylistRelease(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[any](c, r, "greylist release", posted(r, "key")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/greylist", "It passes from its next try on.")
}

func (c *Console) sendersPage(w http.ResponseWriter, r *http.Request) {
	of := r.URL.Query().Get("of")
	l := &listing{Title: "Senders", Note: "What came of earlier mail, by client, network, organization and domain.", Ask: &asking{"/senders", "of", "An address, a network, a domain", of}}
	parts := []func() (section, error){c.sectionOf(r, access.SendersRead, "Who brought the worst lately", "Nobody did.", "reputation top", values("n", "50")),
		c.sectionOf(r, access.SystemRead, "Close to a limit now", "Nobody is.", "limits top", nil)}
	if of != "" {
		parts = append([]func() (section, error){c.sectionOf(r, access.SendersRead, of, "Nothing is remembered.", "reputation show", values("of", of))}, parts...)
	}
	c.listedPage(w, r, l, parts...)
}

func (c *Console) reportsPage(w http.ResponseWriter, r *http.Request) {
	domain := r.URL.Query().Get("domain")
	l := &listing{Title: "Reports received", Note: "What others report about mail in the name of our domains (DMARC), and about TLS to us.", Ask: &asking{"/reports", "domain", "About a domain", domain}}
	c.listedPage(w, r, l, c.sectionOf(r, access.ReportsRead, "Reports, the newest first", "None came yet. The DMARC and TLS-RPT records of a domain say where they are sent.", "reports list", values("domain", domain, "limit", "200")))
}

func (c *Console) tlsPage(w http.ResponseWriter, r *http.Request) {
	l := &listing{Title: "TLS and DNS", Note: "What senders see of us.", Doctor: c.lookOf(r, "dns.", "domain.", "host.", "listener.", "web.")}
	c.listedPage(w, r, l, c.sectionOf(r, access.SystemRead, "Certificates", "There is none.", "tls status", nil), c.sectionOf(r, access.SystemRead, "TLSA records", "None is published.", "tls tlsa", nil),
		c.sectionOf(r, access.SystemRead, "MTA-STS policies", "None is published or known.", "mta-sts show", nil), c.sectionOf(r, access.SystemRead, "DNS lists", "None is asked.", "rbl status", nil))
}

// tlsCheck has the doctor look at what senders see.
func (c *Console) tlsCheck(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.DoctorLook](c, r, "doctor run", url.Values{"only": {"dns", "domain", "host", "listener", "web"}}); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/tls", "It is being looked at. What is found stands here in a minute at most.")
}
