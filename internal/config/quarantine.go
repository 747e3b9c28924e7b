package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// VaultRules are how long mail is kept that is quarantined, and how much of it.
type VaultRules struct {
	Action      VaultAction   `toml:"action" enum:"keep,mark" default:"keep" doc:"What becomes of mail that is quarantined. keep: it stays here, encrypted, until somebody releases or deletes it or its time is over (docs/quarantine.md). mark: it is delivered, with X-Gatepost-Verdict: quarantine, for a server that files it by that."`
	Keep        time.Duration `toml:"keep" default:"30d" min:"1h" max:"3650d" doc:"How long it is kept. Then it is erased, which the journal tells."`
	KeepMalware time.Duration `toml:"keep_malware" default:"7d" min:"1h" max:"3650d" doc:"How long mail is kept in which a virus scanner found something, or something doubtful."`
	MaxSize     Size          `toml:"max_size" default:"10G" min:"64M" doc:"How much disk it may take. Beyond it the oldest of the mildest class go: spam first, malware last."`
	Digest      DigestRules   `toml:"digest" doc:"Mails that tell recipients what is kept for them (docs/digest.md)."`
}

// DigestRules are when recipients are told what is kept for them, and how.
type DigestRules struct {
	At       []string      `toml:"at" format:"clock" example:"07:00, 13:00" doc:"Times of day, of the zone of the machine, at which a recipient gets a mail with what is new in quarantine for him; none where nothing is. Not set: nobody gets one, but in domains that have digest."`
	Links    bool          `toml:"links" default:"true" doc:"Whether it has links by which he releases spam himself, at web.portal_url. With false it tells, and the administrator releases."`
	Valid    time.Duration `toml:"valid" default:"3d" min:"1h" max:"30d" doc:"How long links can be used; each of them once."`
	Language string        `toml:"language" enum:"en,de" default:"en" doc:"The language of the mails, and of the page that links lead to."`
}

// PortalRules are what users may do for themselves.
type PortalRules struct {
	Login   bool          `toml:"login" doc:"Whether users see what is kept for them at web.portal: whoever asks with an address of a domain that is served gets a link by mail, and with it his own quarantine. He may release what a link of a digest would."`
	LDAP    bool          `toml:"ldap" doc:"Whether they also log in with name and password of the directory of [login.ldap] in gatepost.toml. It says which addresses are theirs."`
	OIDC    bool          `toml:"oidc" doc:"Whether they also log in by the issuer of [login.oidc] in gatepost.toml, with the mail address that it verified."`
	Session time.Duration `toml:"session" default:"8h" min:"5m" max:"30d" doc:"How long a login lasts; by a directory or an issuer no longer than session of [login] in gatepost.toml."`
}

// DigestAt is when recipients of a domain are told: as it says itself, or else as all.
func (p *Policy) DigestAt(d *Domain) []string {
	if d.Digest != nil {
		return d.Digest
	}
	return p.Quarantine.Digest.At
}

// linkless refuses digests whose links would lead nowhere, and a page that nobody can reach.
func (c *Config) linkless(policy string) (out Problems) {
	at := func(key string) Problem {
		p := Problem{File: policy, Key: key}
		where := c.Where[key]
		if n, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
			p.Line, p.Column = n, 1
		}
		return p
	}
	q := &c.Policy.Quarantine.Digest
	on := len(q.At) > 0
	for i := range c.Policy.Domains {
		on = on || len(c.Policy.Domains[i].Digest) > 0
	}
	if c.Policy.Portal.Login && (c.Bootstrap.Web.PortalURL == "" || len(c.Bootstrap.Web.Portal) == 0) {
		p := at("portal.login")
		p.Message = "there is no page at which users could log in"
		p.Instead = `write portal = ["0.0.0.0:8444", "[::]:8444"] and portal_url = "https://quarantine.example.org:8444" in [web] of gatepost.toml`
		out = append(out, p)
	}
	for _, way := range [...]struct {
		key, table, example string
		on, has             bool
	}{
		{"portal.ldap", "[login.ldap]", `servers = ["ldaps://dc1.example.org"]`, c.Policy.Portal.LDAP, c.Bootstrap.Login.LDAP.Used()},
		{"portal.oidc", "[login.oidc]", `issuer = "https://id.example.org"`, c.Policy.Portal.OIDC, c.Bootstrap.Login.OIDC.Used()},
	} {
		if way.on && !way.has {
			p := at(way.key)
			p.Message, p.Instead = "nothing is there that could prove users", "write "+way.example+" in "+way.table+" of gatepost.toml, or remove the key"
			out = append(out, p)
		}
	}
	if on && q.Links && (c.Bootstrap.Web.PortalURL == "" || len(c.Bootstrap.Web.Portal) == 0) {
		p := at("quarantine.digest.links")
		p.Message = "there is no page that links of a digest could lead to"
		p.Instead = `write portal = ["0.0.0.0:8444", "[::]:8444"] and portal_url = "https://quarantine.example.org:8444" in [web] of gatepost.toml, or links = false in [quarantine.digest]`
		out = append(out, p)
	}
	return out
}

// portalAddress checks where links begin: a host and no more, over HTTPS.
func (w *Web) portalAddress(report func(key, message, instead string)) {
	if w.PortalURL == "" {
		return
	}
	u, err := url.Parse(w.PortalURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || net.ParseIP(u.Hostname()) != nil {
		report("web.portal_url", "is not https:// and the name of a host", `write for example portal_url = "https://quarantine.example.org:8444"`)
	}
}

// checkClock reads a time of day.
func checkClock(text string) (string, *ValueError) {
	if t, err := time.Parse("15:04", text); err == nil {
		return t.Format("15:04"), nil
	}
	return "", &ValueError{"is not a time of day", `write for example "07:00"`}
}

// Training says which engines learn from what people do with mail in quarantine.
type Training struct {
	SpamAssassin bool `toml:"spamassassin" doc:"Whether spamd learns (TELL). It must run with --allow-tell and use Bayes; whoever reaches it may teach it then."`
	Rspamd       bool `toml:"rspamd" doc:"Whether rspamd learns. Needs rspamd.controller in gatepost.toml, and rspamd.password_file where the controller wants a password."`
}

// VaultAction is what becomes of quarantined mail.
type VaultAction string

// The values of quarantine.action.
const (
	VaultKeep VaultAction = "keep"
	VaultMark VaultAction = "mark"
)
