package config

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// Reports is what the gateway tells others about.
type Reports struct {
	DMARC DMARCReports `toml:"dmarc" doc:"Aggregate reports to the owners of domains: what became of mail in their name. Off until from is set."`
}

// DMARCReports are DMARC aggregate reports.
type DMARCReports struct {
	From         string        `toml:"from" max:"254" example:"dmarc@reports.example.org" rfc:"RFC 9990" doc:"The address that reports come from, and that answers go to. Its domain must not ask for reports itself (no rua in its DMARC record), and the mail must pass DMARC: by DKIM below, or by SPF of via. Not set: nothing is counted and nothing is sent."`
	Org          string        `toml:"org" max:"200" example:"Example Ltd" doc:"Who reports. Not set: the host name."`
	Contact      string        `toml:"contact" max:"200" example:"https://example.org/postmaster" doc:"Where more can be learned, shown in the reports."`
	Via          string        `toml:"via" max:"260" example:"smarthost.example.org:25" doc:"The way out: the host:port of a server that relays for us, or the name of a route whose next hop relays to the internet."`
	Format       string        `toml:"format" enum:"9990,7489" default:"9990" rfc:"RFC 9990, RFC 7489 appendix C" doc:"By which RFC reports are written. Its elements have a namespace, so that an old reader may find nothing in it; 7489 is read by all."`
	Window       time.Duration `toml:"window" default:"4h" min:"1m" max:"20h" doc:"Reports about a day are sent spread over this time, from 00:10 UTC of the next day on."`
	MaxSize      Size          `toml:"max_size" default:"10M" min:"64K" max:"50M" doc:"The largest mail. A longer report is sent in parts."`
	DKIMDomain   string        `toml:"dkim_domain" format:"domain" example:"reports.example.org" rfc:"RFC 6376" doc:"The domain that signs the mails. Not set: that of from."`
	DKIMSelector string        `toml:"dkim_selector" format:"domain" example:"gatepost" rfc:"RFC 6376 section 3.1" doc:"The name of the key (s=): it is published as a TXT record at SELECTOR._domainkey.DOMAIN. Not set: mails are not signed."`
	DKIMKey      string        `toml:"dkim_key" format:"path" example:"/etc/gatepost/dkim.pem" doc:"The private key in PEM. Not set: the file in the state folder that gatepost dkim key make writes for this domain and selector."`
}

// On reports whether there is an address to send from.
func (d *DMARCReports) On() bool { return d.From != "" }

// Smarthost returns the host and port of via, where it is no route.
func (d *DMARCReports) Smarthost() (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(d.Via)
	port, bad := strconv.Atoi(text)
	return host, port, err == nil && bad == nil && host != "" && port > 0 && port < 65536
}

// FromDomain is the domain of from.
func (d *DMARCReports) FromDomain() string {
	return strings.ToLower(d.From[strings.LastIndexByte(d.From, '@')+1:])
}

// Validate checks that what is on can work.
func (d *DMARCReports) Validate(report func(key, message, instead string)) {
	if !d.On() {
		return
	}
	if !plainAddress(d.From) {
		report("from", shown(d.From)+" is no plain mail address", `write for example "dmarc@reports.example.org"`)
	}
	if d.Via == "" {
		report("via", "is missing, so no report could be sent", `write the host:port of a server that relays for us, or the name of a route`)
	}
	if _, _, ok := d.Smarthost(); strings.Contains(d.Via, ":") && !ok {
		report("via", shown(d.Via)+" is no host:port", `write for example "smarthost.example.org:25"`)
	}
	if d.DKIMKey != "" && d.DKIMSelector == "" {
		report("dkim_key", "would not be looked at", "write dkim_selector, the name of the key, or remove it")
	}
	if domain := d.FromDomain(); plainAddress(d.From) && d.DKIMDomain != "" && d.DKIMDomain != domain && !strings.HasSuffix(domain, "."+d.DKIMDomain) && !strings.HasSuffix(d.DKIMDomain, "."+domain) {
		report("dkim_domain", shown(d.DKIMDomain)+" is not aligned with the domain of from", "write "+domain+" or a domain above it; else the reports fail DMARC themselves")
	}
}

// plainAddress reports whether a text is a mail address that needs no quotes: a dot-atom at a domain of two labels or more.
func plainAddress(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	if !ok || len(local) > 64 || len(domain) > 253 || !strings.Contains(domain, ".") {
		return false
	}
	for part := range strings.SplitSeq(local+"."+domain, ".") {
		if part == "" {
			return false
		}
	}
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;\,"`, c) >= 0 || i > len(local) && strings.IndexByte("@!#$%&'*+/=?^_`{|}~", c) >= 0 {
			return false
		}
	}
	return true
}

// reportsVia checks that the way out of reports is there.
func (p *Policy) reportsVia(routes map[string]bool, names []string, report func(key, message, instead string)) {
	if d := &p.Reports.DMARC; d.On() {
		p.viaRoute("reports.dmarc.via", d.Via, routes, names, report)
	}
}

// viaRoute checks that a way out is a route that is there, unless it is a server.
func (p *Policy) viaRoute(key, via string, routes map[string]bool, names []string, report func(key, message, instead string)) {
	if via != "" && !strings.Contains(via, ":") && !routes[via] {
		report(key, "there is no route "+shown(via), routeAdvice(via, names)+`; a server that relays is written as host:port`)
	}
}
