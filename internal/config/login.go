package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Login is how people log in whom a directory or an issuer knows. It stands in gatepost.toml, which no page and no API changes:
// whoever may publish a policy must not be able to give himself a role by it.
type Login struct {
	LDAP       LoginLDAP     `toml:"ldap" rfc:"RFC 4513" doc:"A directory that knows names and passwords."`
	OIDC       LoginOIDC     `toml:"oidc" rfc:"OpenID Connect Core 1.0" doc:"An issuer of OpenID Connect that knows people."`
	Groups     []LoginGroup  `toml:"group" doc:"Which groups of the directory or the issuer may log in to the console, and as what. Whoever is in none does not get in. Of several the first that matches gives the role, and others of the same role add their domains."`
	AllowOwner bool          `toml:"allow_owner" doc:"A group may make somebody an owner, who may do everything: whoever rules over the directory or the issuer then rules over this gateway."`
	Session    time.Duration `toml:"session" default:"12h" min:"15m" max:"12h" doc:"How long somebody whom a directory or an issuer proved stays logged in, however busy he is. He may be out of his groups for so long before it shows here."`
	Tokens     time.Duration `toml:"tokens" default:"30d" min:"1d" max:"366d" doc:"For how long after his last login tokens of the API of such a user are taken."`
}

// LoginLDAP is a directory that knows names and passwords.
type LoginLDAP struct {
	Servers []string `toml:"servers" format:"ldap" example:"ldaps://dc1.example.org" rfc:"RFC 4516" doc:"Its servers, the first that answers is asked. ldaps:// speaks TLS from the beginning; ldap:// after StartTLS, and never goes on without. Port 636 and 389 unless written. Not set: there is no such login."`
	Schema  string   `toml:"schema" enum:"ad,openldap" default:"ad" doc:"Which filter and attributes are meant when they are not set. ad: users of Active Directory, by sAMAccountName or userPrincipalName; openldap: entries of inetOrgPerson by uid."`
	Base    string   `toml:"base" max:"1000" example:"ou=people,dc=example,dc=org" rfc:"RFC 4514" doc:"Below which entry people are looked for."`
	LDAPClient
	Filter      string        `toml:"filter" max:"2000" example:"(&(objectClass=inetOrgPerson)(uid={name}))" rfc:"RFC 4515" doc:"Which entry is somebody's; {name} stands for what he typed. Not set: as schema says."`
	Name        string        `toml:"name" format:"attribute" example:"uid" doc:"The attribute with the name under which he is known here. Not set: sAMAccountName or uid, as schema says."`
	Mail        []string      `toml:"mail" format:"attribute" example:"mail" doc:"The attributes with his mail addresses. Not set: as those of a [[directory]] of the schema."`
	Groups      string        `toml:"groups" format:"attribute" default:"memberOf" doc:"The attribute of his entry with the names (DN) of his groups."`
	GroupBase   string        `toml:"group_base" max:"1000" example:"ou=groups,dc=example,dc=org" doc:"Below which entry groups are looked for, where his own entry does not name them. Not set: it does."`
	GroupFilter string        `toml:"group_filter" max:"2000" default:"(member={dn})" example:"(&(objectClass=posixGroup)(memberUid={name}))" doc:"Which groups below group_base are his; {dn} stands for the name of his entry, {name} for his name. With Active Directory (member:1.2.840.113556.1.4.1941:={dn}) finds groups in groups too."`
	Timeout     time.Duration `toml:"timeout" default:"10s" min:"1s" max:"30s" doc:"How long one login may take."`
}

// Used reports whether there is such a directory.
func (l *LoginLDAP) Used() bool { return len(l.Servers) > 0 }

// LoginOIDC is an issuer of OpenID Connect.
type LoginOIDC struct {
	Issuer      string        `toml:"issuer" format:"url" max:"500" example:"https://id.example.org/realms/staff" rfc:"OpenID Connect Discovery 1.0 section 4" doc:"The issuer, exactly as it names itself. Not set: there is no such login."`
	ClientID    string        `toml:"client_id" max:"300" example:"gatepost" doc:"The name that the issuer gave this gateway."`
	SecretFile  string        `toml:"client_secret_file" format:"path" example:"/etc/gatepost/oidc.secret" doc:"The file whose first line is the secret that the issuer gave with it. It is read each time. Not set: there is none, and PKCE alone protects the code."`
	Scopes      []string      `toml:"scopes" max:"100" default:"openid, profile, email" doc:"What is asked for; openid is among them. Some issuers want groups too, before they tell of groups."`
	Name        string        `toml:"name" max:"100" default:"preferred_username" doc:"The claim with the name under which somebody is known here."`
	Mail        string        `toml:"mail" max:"100" default:"email" doc:"The claim with his mail address. It counts where email_verified says so."`
	MailTrusted bool          `toml:"mail_trusted" doc:"The issuer knows that mail addresses are right although it does not say email_verified, since nobody there writes his own."`
	Groups      string        `toml:"groups" max:"100" default:"groups" example:"realm_access.roles" doc:"The claim with the names of his groups; a dot leads into a claim that has claims."`
	SecondAMR   []string      `toml:"second_amr" max:"300" example:"mfa" rfc:"RFC 8176" doc:"Words of the claim amr by which the issuer says that it asked for a second factor: then none is asked here. Not set: whoever has an app or a passkey here is asked for it in any case."`
	SecondACR   []string      `toml:"second_acr" max:"300" example:"https://refeds.org/profile/mfa" doc:"Values of the claim acr by which it says so."`
	Label       string        `toml:"label" max:"60" example:"Example Inc." doc:"What the page of the login calls it. Not set: the host of issuer."`
	CAFile      string        `toml:"ca_file" format:"path" example:"/etc/gatepost/id-ca.pem" doc:"The authorities in PEM that may sign its certificate. Not set: those of the system."`
	Timeout     time.Duration `toml:"timeout" default:"10s" min:"1s" max:"30s" doc:"How long one call to it may take."`
}

// Used reports whether there is such an issuer.
func (o *LoginOIDC) Used() bool { return o.Issuer != "" }

// LoginGroup is what a group may here.
type LoginGroup struct {
	Group   string   `toml:"group" required:"true" max:"1000" example:"cn=postmasters,ou=groups,dc=example,dc=org" doc:"The group: of a directory its whole name (DN), of an issuer its name as the claim has it."`
	Role    string   `toml:"role" required:"true" enum:"owner,operator,domain-admin,quarantine-manager,help-desk,auditor" doc:"The role of who is in it (docs/users.md)."`
	Domains []string `toml:"domains" format:"domain" example:"example.org" doc:"For which domains. Not set: for all, and for the whole gateway."`
}

// mostLoginGroups is how many groups are mapped.
const mostLoginGroups = 200

// Validate checks that nobody becomes an owner unless it is said, and that each group says one thing.
func (l *Login) Validate(report func(key, message, instead string)) {
	if len(l.Groups) > mostLoginGroups {
		report("group", "there are "+strconv.Itoa(len(l.Groups)), "write at most "+strconv.Itoa(mostLoginGroups))
		return
	}
	if !l.LDAP.Used() && !l.OIDC.Used() && (len(l.Groups) > 0 || l.AllowOwner) {
		report("group", "nobody knows of groups", `write servers in [login.ldap] or issuer in [login.oidc], or remove it`)
	}
	for i := range l.Groups {
		g, at := &l.Groups[i], "group["+strconv.Itoa(i)+"]."
		if g.Role == "owner" && !l.AllowOwner {
			report(at+"role", "would have whoever rules over groups elsewhere rule over this gateway", "write allow_owner = true in [login] if that is meant, or another role")
		}
		if g.Group != "" && !strings.Contains(g.Group, "=") && l.LDAP.Used() && !l.OIDC.Used() {
			report(at+"group", shown(g.Group)+" is no whole name (DN), and would match none of the directory's groups", `write for example "cn=postmasters,ou=groups,dc=example,dc=org"`)
		}
		if g.Role == "owner" && len(g.Domains) > 0 {
			report(at+"domains", "an owner has all domains", `remove it, or write role = "domain-admin"`)
		}
	}
}

// Warn tells of a login that lets nobody in.
func (l *Login) Warn(report func(key, message, instead string)) {
	if (l.LDAP.Used() || l.OIDC.Used()) && len(l.Groups) == 0 {
		report("group", "is not set: nobody gets into the console by a directory or an issuer", "write [[login.group]] with a group and a role")
	}
}

// Validate checks that the servers can be asked, and that no password goes in clear.
func (l *LoginLDAP) Validate(report func(key, message, instead string)) {
	if !l.Used() {
		if key := firstOf(stated{"base", l.Base != ""}, stated{"bind_dn", l.BindDN != ""}, stated{"password_file", l.PasswordFile != ""}, stated{"ca_file", l.CAFile != ""},
			stated{"filter", l.Filter != ""}, stated{"group_base", l.GroupBase != ""}); key != "" {
			report(key, "there is no directory without servers", `write for example servers = ["ldaps://dc1.example.org"]`)
		}
		return
	}
	if l.Base == "" {
		report("base", "is not set", `write for example base = "ou=people,dc=example,dc=org"`)
	}
	switch {
	case l.BindDN != "" && l.PasswordFile == "":
		report("bind_dn", "has no password", "write password_file too")
	case l.BindDN == "" && l.PasswordFile != "":
		report("password_file", "would not be looked at", "write bind_dn too, or remove it")
	}
	for i, s := range l.Servers {
		u, err := url.Parse(s)
		if err != nil {
			continue // its format was refused
		}
		a, err := netip.ParseAddr(u.Hostname())
		switch {
		case l.Clear && (u.Scheme != "ldap" || err != nil || !a.IsLoopback()):
			report("clear", shown(s)+" is not ldap:// at a loopback address, and passwords could be read on the way", "remove clear: ldap:// then goes on after StartTLS only")
		case !l.Clear && err == nil && l.ServerName == "":
			report("servers["+strconv.Itoa(i)+"]", "has only an address, and a certificate is verified by a name", "write server_name, or the server's name")
		}
	}
	l.filters(report)
}

// filters checks that what is looked for depends on who asks.
func (l *LoginLDAP) filters(report func(key, message, instead string)) {
	for _, f := range [...]struct{ key, text, example string }{{"filter", l.Filter, "(uid={name})"}, {"group_filter", l.GroupFilter, "(member={dn})"}} {
		switch {
		case f.text == "":
		case f.text[0] != '(' || f.text[len(f.text)-1] != ')':
			report(f.key, "is not a filter of LDAP", "write for example "+shown(f.example))
		case !strings.Contains(f.text, "{name}") && (f.key == "filter" || !strings.Contains(f.text, "{dn}")):
			report(f.key, "is the same for everybody", "write {name} where the name belongs, for example "+shown(f.example))
		}
	}
}

// Validate checks that the issuer can be asked, and that nobody on the way can be taken for it.
func (o *LoginOIDC) Validate(report func(key, message, instead string)) {
	if !o.Used() {
		if key := firstOf(stated{"client_id", o.ClientID != ""}, stated{"client_secret_file", o.SecretFile != ""}, stated{"ca_file", o.CAFile != ""}); key != "" {
			report(key, "there is no login without issuer", `write for example issuer = "https://id.example.org"`)
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil:
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		report("issuer", "has a user, a query or a fragment", "write it as the issuer's discovery document has it")
	case u.Scheme != "https" && !thisMachine(u.Hostname()):
		report("issuer", "is not https, and whoever is on the way could pose as anybody", "write its https address")
	}
	if o.ClientID == "" {
		report("client_id", "is not set", "write the name that the issuer gave this gateway")
	}
	has := false
	for _, s := range o.Scopes {
		has = has || s == "openid"
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			report("scopes", shown(s)+" is no scope", `write for example scopes = ["openid", "profile", "email"]`)
		}
	}
	if !has {
		report("scopes", "has no openid, without which nobody is proved", `write for example scopes = ["openid", "profile", "email"]`)
	}
	for _, c := range [...]stated{{"name", o.Name == ""}, {"groups", o.Groups == ""}} {
		if c.is {
			report(c.key, "is empty", "remove the key, or write the name of a claim")
		}
	}
}
