package filters

import (
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/links"
)

// sending is who sent a message, as far as earlier rows know it.
type sending struct {
	author string   // its registered domain, where it is authenticated
	path   []string // registered domains that SPF or DKIM passed for: of services that send for others, and of their links
}

func sendingOf(e *gateway.Envelope) (s sending) {
	for i := range e.Findings {
		for k := range e.Findings[i].Auth {
			r := &e.Findings[i].Auth[k]
			if r.Result != "pass" {
				continue
			}
			switch r.Method {
			case "spf":
				s.path = append(s.path, dmarc.Registered(e.From.Domain))
			case "dkim":
				s.path = append(s.path, dmarc.Registered(r.Prop("header", "d")))
			case "dmarc":
				s.author = dmarc.Registered(authorOf(e).Domain)
			}
		}
	}
	return s
}

func (s *sending) has(domain string) bool {
	for _, d := range s.path {
		if d == domain && d != "" {
			return true
		}
	}
	return false
}

// disguise compares what the text of a link says with where it leads. Only a text that is an address says anything: words on
// links of newsletters lead through the services that count who followed them. It is the host that the text names, of another
// organization; "" for none.
func (w *urlWork) disguise(k *links.Link, u, end *links.URI) (host string, sure bool) {
	said, sure := claimed(k.Text)
	if said.Host == "" || said.Host == end.Host || said.Host == u.Host || said.Domain == "" && !said.Addr.IsValid() {
		return "", false
	}
	for _, to := range [...]*links.URI{u, end} {
		if said.Domain != "" && to.Domain == said.Domain || w.allows(to.Host) {
			return "", false
		}
	}
	protected := said.Domain != "" && w.names.Protected(said.Domain) != ""
	switch {
	case said.Domain != "" && said.Domain == w.from.author: // its own name, on whatever link it likes
		return "", false
	case sameOwner(said.Domain, end.Domain, protected):
		return "", false
	case !protected && (links.Tracker(end.Domain) || links.Tracker(u.Domain) || links.Shortener(end.Host) || w.from.has(end.Domain) || w.from.has(u.Domain)):
		return "", false
	case !protected && strings.Contains(strings.ToLower(u.Path), said.Domain): // it leads there through a service
		return "", false
	}
	return said.Host, sure
}

// sameOwner reports whether two domains are likely of one owner: one label under two ends, of which one is a country's where
// others like to pose as it.
func sameOwner(a, b string, protected bool) bool {
	x, _, _ := strings.Cut(a, ".")
	y, end, _ := strings.Cut(b, ".")
	return x == y && len(x) > 2 && (!protected || len(end[strings.LastIndexByte(end, '.')+1:]) == 2)
}

// claimed is the address that a text names: one with a scheme or www., which is sure, or a bare name that is all of the text.
func claimed(text string) (said links.URI, sure bool) {
	if !strings.ContainsAny(text, ".:") {
		return said, false
	}
	lower := strings.ToLower(text)
	at := strings.Index(lower, "http://")
	if at < 0 {
		at = strings.Index(lower, "https://")
	}
	if at >= 0 {
		word, _, _ := strings.Cut(text[at:], " ")
		return links.Read(strings.TrimRight(word, ".,;:!?)]}>\"'…»")), true
	}
	word := strings.Trim(text, " .,;:!?()[]{}<>\"'…»«›‹→|*")
	if strings.ContainsAny(word, " @") || !links.BareHost(word) {
		return said, false
	}
	said = links.Read("http://" + word)
	return said, strings.HasPrefix(lower, "www.") || strings.Contains(word, "/")
}
