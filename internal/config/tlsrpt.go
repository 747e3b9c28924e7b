package config

// TLSReports are reports about the encryption of connections to next hops. What is not set here is as in reports.dmarc.
type TLSReports struct {
	Send         bool   `toml:"send" default:"true" rfc:"RFC 8460" doc:"Tell the domains of next hops once a day how connections to them were encrypted, where their TXT record at _smtp._tls asks for it. Nothing is counted and nothing is sent while there is no address to send from, here or in reports.dmarc."`
	From         string `toml:"from" max:"254" example:"tls@reports.example.org" doc:"The address that reports come from, and that answers go to. Not set: reports.dmarc.from."`
	Org          string `toml:"org" max:"200" example:"Example Ltd" doc:"Who reports. Not set: reports.dmarc.org, else the host name."`
	Contact      string `toml:"contact" max:"200" example:"postmaster@example.org" doc:"Whom to ask about a report, shown in it. Not set: reports.dmarc.contact, else the address of from."`
	Via          string `toml:"via" max:"260" example:"smarthost.example.org:25" doc:"The way out of reports by mail: the host:port of a server that relays for us, or the name of a route. Not set: reports.dmarc.via. Reports by https need none."`
	DKIMDomain   string `toml:"dkim_domain" format:"domain" example:"reports.example.org" rfc:"RFC 6376" doc:"The domain that signs the mails. Not set: that of from."`
	DKIMSelector string `toml:"dkim_selector" format:"domain" example:"gatepost" rfc:"RFC 8460 section 3" doc:"The name of the key that signs the mails. Not set: that of reports.dmarc, with its key and its domain. Without one no report goes by mail, since it must be signed."`
	DKIMKey      string `toml:"dkim_key" format:"path" example:"/etc/gatepost/dkim.pem" doc:"The private key in PEM. Not set: the file in the state folder that gatepost dkim key make writes for this domain and selector."`
}

// TLSReporting is how reports about TLS are sent: what tlsrpt says, and where it says nothing reports.dmarc. Not On where none
// are sent.
func (p *Policy) TLSReporting() DMARCReports {
	t, d := &p.TLSReports, p.Reports.DMARC
	if !t.Send {
		return DMARCReports{}
	}
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	if t.DKIMSelector != "" { // a key goes with its name
		d.DKIMDomain, d.DKIMSelector, d.DKIMKey = "", t.DKIMSelector, ""
	}
	set(&d.From, t.From)
	set(&d.Org, t.Org)
	set(&d.Contact, t.Contact)
	set(&d.Via, t.Via)
	set(&d.DKIMDomain, t.DKIMDomain)
	set(&d.DKIMKey, t.DKIMKey)
	return d
}

// Validate checks that what stands here can work; with what comes of reports.dmarc it is looked at by tlsReports.
func (t *TLSReports) Validate(report func(key, message, instead string)) {
	if t.From != "" && !plainAddress(t.From) {
		report("from", shown(t.From)+" is no plain mail address", `write for example "tls@reports.example.org"`)
	}
}

// tlsReports checks what comes of tlsrpt and reports.dmarc together. What is wrong in reports.dmarc alone is told there.
func (p *Policy) tlsReports(routes map[string]bool, names []string, report func(key, message, instead string)) {
	if p.TLSReports == (TLSReports{Send: p.TLSReports.Send}) {
		return
	}
	d := p.TLSReporting()
	if d.On() && plainAddress(d.From) {
		d.Validate(func(key, message, instead string) { report("tlsrpt."+key, message, instead) })
		p.viaRoute("tlsrpt.via", d.Via, routes, names, report)
	}
}

// warnUnsigned tells that reports about TLS that were asked for here go by https alone. Whoever has DMARC reports pass by SPF
// asked for none.
func (p *Policy) warnUnsigned(report func(key, message, instead string)) {
	if t := p.TLSReporting(); t.On() && t.DKIMSelector == "" && p.TLSReports != (TLSReports{Send: true}) {
		report("tlsrpt.dkim_selector", "is not set, nor reports.dmarc.dkim_selector, and mail with a report must be signed: only reports by https are sent",
			"run gatepost dkim key make, and write its selector")
	}
}
