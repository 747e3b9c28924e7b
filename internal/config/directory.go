package config

import (
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Directory is a list of recipients that exist.
type Directory struct {
	Name       string        `toml:"name" format:"word" required:"true" max:"64" example:"staff" doc:"The name that routes and domains use."`
	Kind       DirectoryKind `toml:"kind" enum:"file,csv,ldap" required:"true" example:"file" doc:"file: one address a line, # begins a remark. csv: a table with a column of addresses. ldap: Active Directory or OpenLDAP, of which a copy is kept."`
	File       string        `toml:"file" format:"path" example:"/etc/gatepost/recipients/staff" doc:"The file or table. Not set: the file in /etc/gatepost/recipients that is called as the directory. It is looked at every 30 seconds and read again when it changed. One that is broken or gone changes nothing, and is an alarm. Best in a folder that holds nothing else: the sandbox lets the gateway read the folder's files, also those that take the place of others."`
	AllowEmpty bool          `toml:"allow_empty" doc:"Whether a directory without a single address is believed. Otherwise what was read before stays in force."`
	Column     string        `toml:"column" max:"100" example:"PrimarySmtpAddress" doc:"Of csv: the name of the column with the address, in the table's first line, or its number from 1 where there is no line of names."`
	Separator  string        `toml:"separator" enum:"comma,semicolon,tab" default:"comma" doc:"Of csv: what stands between columns."`
	Status     string        `toml:"status" max:"100" example:"Enabled" doc:"Of csv: the name or number of a column that says whether the recipient counts. Not set: all do."`
	Active     []string      `toml:"active" default:"true, 1, yes, enabled, active, ok" doc:"Of csv: what the status column says of a recipient that counts."`
	LDAP
}

// LDAP is where the recipients are kept in an LDAP directory.
type LDAP struct {
	Servers []string `toml:"servers" format:"ldap" example:"ldaps://dc1.example.org" rfc:"RFC 4516" doc:"Of ldap: its servers, the first that answers is read. ldaps:// speaks TLS from the beginning; ldap:// after StartTLS, and never goes on without. Port 636 and 389 unless written."`
	Schema  string   `toml:"schema" enum:"ad,openldap" default:"ad" doc:"Of ldap: which filter and attributes are meant when they are not set. ad: users, groups, contacts and public folders of Active Directory that have an address, by mail and proxyAddresses; openldap: entries with mail, mailLocalAddress, mailAlternateAddress or mailAlias."`
	Base    string   `toml:"base" max:"1000" example:"dc=example,dc=org" rfc:"RFC 4514" doc:"Of ldap: below which entry is looked."`
	LDAPClient
	Filter       string        `toml:"filter" max:"2000" example:"(mail=*)" rfc:"RFC 4515" doc:"Of ldap: which entries count. Not set: as schema says."`
	Attributes   []string      `toml:"attributes" format:"attribute" example:"mail" doc:"Of ldap: which attributes hold addresses. A value may begin with smtp:, as in proxyAddresses; one that begins with another type is no mail address and is left out. Not set: as schema says."`
	SkipDisabled bool          `toml:"skip_disabled" doc:"Of ldap: leave out accounts that are disabled in Active Directory (bit 2 of userAccountControl). Shared, room and equipment mailboxes have disabled accounts: they then need a directory of their own."`
	Every        time.Duration `toml:"every" default:"15m" min:"1m" max:"1d" doc:"Of ldap: how often all of it is read."`
	Timeout      time.Duration `toml:"timeout" default:"5m" min:"5s" max:"1h" doc:"Of ldap: how long one reading may take."`
}

// LDAPClient is as whom, and how safely, LDAP servers are asked.
type LDAPClient struct {
	BindDN       string `toml:"bind_dn" max:"1000" example:"cn=gatepost,ou=services,dc=example,dc=org" doc:"As whom an LDAP server is asked; with Active Directory also user@domain. It needs to read and nothing more. Not set: nobody, which few servers allow."`
	PasswordFile string `toml:"password_file" format:"path" example:"/etc/gatepost/ldap.password" doc:"The file whose first line is the password of bind_dn. It is read each time."`
	CAFile       string `toml:"ca_file" format:"path" example:"/etc/gatepost/ad-ca.pem" doc:"The authorities in PEM that may sign the LDAP servers' certificates. Not set: those of the system."`
	ServerName   string `toml:"server_name" format:"hostname" example:"dc1.example.org" doc:"The name in the LDAP servers' certificates. Not set: the host of each."`
	Clear        bool   `toml:"clear" doc:"Speak without TLS to ldap:// at a loopback address."`
}

// RouteRecipients is how the recipients of a route are checked.
type RouteRecipients struct {
	Recipients  string   `toml:"recipients" enum:"call-ahead,none,directory" default:"call-ahead" doc:"How recipients are checked. call-ahead: the next hop is asked at RCPT, and answers are remembered; directory: they are looked up in directories; none: every recipient is taken for good."`
	Directories []string `toml:"directories" format:"word" example:"staff" doc:"The names of the directories for recipients = \"directory\". Who is in one of them exists."`
	Unlisted    Unlisted `toml:"unlisted" enum:"refuse,call-ahead" default:"refuse" doc:"What becomes of a recipient that is in none of directories: refuse answers 550 5.1.1, call-ahead has the next hop asked."`
	AcceptsAll  string   `toml:"accepts_all" enum:"ask,none" default:"ask" doc:"What is done with a next hop that was found to take every recipient of a domain, so that its yes says nothing (docs/recipients.md). ask: it is asked all the same, for what else it may refuse; none: it is not. Either way the recipients are taken and count as not verified."`
}

// DomainRecipients is how the recipients of a domain are checked and found.
type DomainRecipients struct {
	Recipients  string   `toml:"recipients" enum:"call-ahead,none,directory" example:"directory" doc:"How its recipients are checked, where that is another way than that of its route."`
	Directories []string `toml:"directories" format:"word" example:"staff" doc:"As route.directories, for recipients = \"directory\" of this domain."`
	Unlisted    Unlisted `toml:"unlisted" enum:"refuse,call-ahead" default:"refuse" doc:"As route.unlisted."`
}

// DirectoryKind is what a directory is made of.
type DirectoryKind string

// The values of the key kind of a directory.
const (
	DirectoryFile DirectoryKind = "file"
	DirectoryCSV  DirectoryKind = "csv"
	DirectoryLDAP DirectoryKind = "ldap"
)

// Unlisted is what becomes of a recipient that is in no directory.
type Unlisted string

// The values of unlisted.
const (
	UnlistedRefuse Unlisted = "refuse"
	UnlistedAsk    Unlisted = "call-ahead"
)

// Ways in which recipients are checked, as the key recipients of routes and domains names them.
const (
	RecipientsCallAhead = "call-ahead"
	RecipientsNone      = "none"
	RecipientsDirectory = "directory"
)

const mostDirectories = 100

// Validate checks that a directory has what its kind needs and nothing that would not be looked at.
func (d *Directory) Validate(report func(key, message, instead string)) {
	stray := func(kinds string, keys map[string]bool) {
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if keys[key] {
				report(key, `would not be looked at with kind = "`+string(d.Kind)+`"`, `write kind = `+kinds+`, or remove it`)
			}
		}
	}
	table := map[string]bool{"column": d.Column != "", "status": d.Status != "", "separator": d.Separator != "comma"}
	far := map[string]bool{"servers": len(d.Servers) > 0, "base": d.Base != "", "bind_dn": d.BindDN != "", "password_file": d.PasswordFile != "",
		"ca_file": d.CAFile != "", "server_name": d.ServerName != "", "clear": d.Clear, "filter": d.Filter != "", "attributes": len(d.Attributes) > 0,
		"skip_disabled": d.SkipDisabled, "schema": d.Schema != "ad"}
	switch d.Kind {
	case DirectoryFile:
		stray(`"csv"`, table)
		stray(`"ldap"`, far)
	case DirectoryCSV:
		stray(`"ldap"`, far)
		if d.Column == "" {
			report("column", "is not set", "write the name of the column with the addresses, or its number from 1")
		}
		_, byNumber := number(d.Column)
		if _, status := number(d.Status); d.Status != "" && d.Column != "" && status != byNumber {
			report("status", "is not named as column is", "write both by name, or both by number: the first line either has names or has none")
		}
	case DirectoryLDAP:
		stray(`"csv"`, table)
		stray(`"file" or "csv"`, map[string]bool{"file": d.File != ""})
		d.LDAP.check(report)
	}
}

// Path is the file of a directory that is one.
func (d *Directory) Path() string {
	if d.File != "" {
		return d.File
	}
	return "/etc/gatepost/recipients/" + d.Name
}

func number(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// check checks that the servers are named, and that nothing goes beyond this machine in clear or without a name.
func (l *LDAP) check(report func(key, message, instead string)) {
	if len(l.Servers) == 0 {
		report("servers", "is not set", `write for example servers = ["ldaps://dc1.example.org"]`)
	}
	if l.Base == "" {
		report("base", "is not set", `write for example base = "dc=example,dc=org"`)
	}
	switch {
	case l.BindDN != "" && l.PasswordFile == "":
		report("bind_dn", "has no password", "write password_file too")
	case l.BindDN == "" && l.PasswordFile != "":
		report("password_file", "would not be looked at", "write bind_dn too, or remove it")
	}
	for i, s := range l.Servers {
		at := "servers[" + strconv.Itoa(i) + "]"
		u, err := url.Parse(s)
		if err != nil {
			continue // its format was refused
		}
		a, err := netip.ParseAddr(u.Hostname())
		switch {
		case l.Clear && (u.Scheme != "ldap" || err != nil || !a.IsLoopback()):
			report("clear", shown(s)+" is not ldap:// at a loopback address, and what is told there could be read and changed on the way",
				"remove clear: ldap:// then goes on after StartTLS only")
		case !l.Clear && err == nil && l.ServerName == "":
			report(at, "has only an address, and a certificate is verified by a name", "write server_name, or the server's name")
		}
	}
	if l.Filter != "" && (l.Filter[0] != '(' || l.Filter[len(l.Filter)-1] != ')') {
		report("filter", "is not a filter of LDAP", `write for example "(mail=*)"`)
	}
}

// directoriesNamed checks how routes, domains and directories name each other.
func (p *Policy) directoriesNamed(report func(key, message, instead string)) {
	known := map[string]bool{}
	var names []string
	if len(p.Directories) > mostDirectories {
		report("directory", "there are "+strconv.Itoa(len(p.Directories)), "write at most "+strconv.Itoa(mostDirectories))
		return
	}
	for i, d := range p.Directories {
		low := strings.ToLower(d.Name) // it is the name of a file too
		if d.Name != "" && known[low] {
			report("directory["+strconv.Itoa(i)+"].name", shown(d.Name)+" is the name of two directories", "give each a name of its own")
			continue
		}
		if strings.Trim(d.Name, ".") == "" && d.Name != "" {
			report("directory["+strconv.Itoa(i)+"].name", "has only dots", `write for example "staff"`)
		}
		known[low] = true
		names = append(names, d.Name)
	}
	check := func(at, recipients string, list []string, unlisted Unlisted) {
		switch {
		case recipients == RecipientsDirectory && len(list) == 0:
			report(at+".directories", "is not set, and recipients = \"directory\" needs it", directoryAdvice("", names))
		case recipients != RecipientsDirectory && len(list) > 0:
			report(at+".directories", "would not be looked at", `write recipients = "directory", or remove it`)
		case recipients != RecipientsDirectory && unlisted == UnlistedAsk:
			report(at+".unlisted", "would not be looked at", `write recipients = "directory", or remove it`)
		}
		for i, name := range list {
			if name != "" && !known[strings.ToLower(name)] {
				report(at+".directories["+strconv.Itoa(i)+"]", "there is no directory "+shown(name), directoryAdvice(name, names))
			}
		}
	}
	for i, r := range p.Routes {
		check("route["+strconv.Itoa(i)+"]", r.Recipients, r.Directories, r.Unlisted)
	}
	for i, d := range p.Domains {
		check("domain["+strconv.Itoa(i)+"]", d.Recipients, d.Directories, d.Unlisted)
	}
}

func directoryAdvice(name string, names []string) string {
	const most = 12
	if len(names) > most {
		names = names[:most]
	}
	if near := nearest(name, names); name != "" && near != "" {
		return "did you mean " + near + "?"
	}
	if len(names) > 0 {
		return "the directories are " + strings.Join(names, ", ")
	}
	return "write a [[directory]] and name it"
}

// Directory returns the directory of a name, or nil.
func (p *Policy) Directory(name string) *Directory {
	for i := range p.Directories {
		if strings.EqualFold(p.Directories[i].Name, name) {
			return &p.Directories[i]
		}
	}
	return nil
}

// checkLDAP reads the address of an LDAP server: what RFC 4516 writes before the slash.
func checkLDAP(text string) (string, *ValueError) {
	bad := &ValueError{"is not an LDAP server", `write for example "ldaps://dc1.example.org"`}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", bad
	}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if u.Port() != "" {
		port = u.Port()
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	address, at := checkAddress(host + ":" + port)
	if at != nil {
		return "", bad
	}
	return u.Scheme + "://" + address, nil
}

// checkAttribute reads the name of an attribute, or its number, without options (RFC 4512 section 1.4).
func checkAttribute(text string) (string, *ValueError) {
	if ok, _ := regexp.MatchString(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)$`, text); !ok || len(text) > 100 {
		return "", &ValueError{"is not the name of an attribute of LDAP", `write for example "mail" or "proxyAddresses"`}
	}
	return text, nil
}
