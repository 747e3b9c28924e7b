package config

import (
	"path/filepath"
	"strings"
)

// SubjectTag is what is done to the subject of mail that is delivered with marks.
type SubjectTag struct {
	Subject string `toml:"subject" max:"40" example:"[SPAM] " doc:"Text put before the subject of mail that is tagged, and of quarantined mail that is delivered marked; not where the only reason is that a check could not tell. Not set: subjects stay as they are."`
	Signed  bool   `toml:"signed" doc:"Also of signed mail (DKIM, ARC), whose signature then no longer holds behind this host; arc.seal = \"changed\" keeps what was verified of it."`
}

// Validate refuses a tag that is only white space.
func (t *SubjectTag) Validate(report func(key, message, instead string)) {
	if t.Subject != "" && strings.TrimSpace(t.Subject) == "" {
		report("subject", "is only white space", `write for example "[SPAM] ", or remove the key`)
	}
	if t.Subject == "" && t.Signed {
		report("signed", "would not be looked at", "write tag.subject too, or remove it")
	}
}

// ARC is how the gateway seals what it hands on. What it thinks of the seals of others is said in checks.arc.
type ARC struct {
	Seal     ARCSeal `toml:"seal" enum:"off,changed,always" default:"off" rfc:"RFC 8617 section 5.1" doc:"When mail that is handed on gets an ARC set of this host, which tells the next hops what was verified here. changed: when the gateway changed it (subject tag, removed fields); always: each message."`
	Domain   string  `toml:"domain" format:"domain" example:"example.org" doc:"The domain that seals (d=); its DNS must publish the key."`
	Selector string  `toml:"selector" format:"domain" example:"gatepost1" rfc:"RFC 6376 section 3.1" doc:"The name of the key (s=): it is published as a TXT record at SELECTOR._domainkey.DOMAIN."`
	Key      string  `toml:"key" format:"path" example:"/etc/gatepost/arc.pem" doc:"The private key in PEM. Not set: the file in the state folder that gatepost dkim key make writes for this domain and selector."`
}

// ARCSeal is when mail is sealed.
type ARCSeal string

// The values of arc.seal.
const (
	SealOff     ARCSeal = "off"
	SealChanged ARCSeal = "changed"
	SealAlways  ARCSeal = "always"
)

// Validate wants domain and selector of who seals.
func (a *ARC) Validate(report func(key, message, instead string)) {
	for _, k := range [...]struct{ name, value, example string }{{"domain", a.Domain, "example.org"}, {"selector", a.Selector, "gatepost1"}} {
		if a.Seal != SealOff && k.value == "" {
			report(k.name, "is not set, and arc.seal needs it", `write for example `+k.name+` = "`+k.example+`"`)
		}
	}
	if a.Seal == SealOff && a.Key != "" {
		report("key", "would not be looked at", `write seal = "changed" or "always", or remove it`)
	}
}

// SigningKey is where the private key of a domain and selector lies unless a key of the document names another file.
func (b *Bootstrap) SigningKey(domain, selector string) string {
	return filepath.Join(b.StateDir, "dkim", selector+"._domainkey."+domain+".pem")
}
