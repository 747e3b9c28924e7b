package config

import "net/netip"

// PolicyFile is the name of the policy document.
const PolicyFile = "policy.toml"

// Policy is policy.toml: what the operator wants done with mail.
type Policy struct {
	Mode        Mode           `toml:"mode" enum:"observe,soft,enforce" default:"enforce" doc:"observe: everything is judged, and only malware, relaying and recipients that the next hop refuses are refused. soft: also unknown recipients are refused; every other refusal becomes quarantine, and greylisting and rates only count; the limits of the edge hold in every mode. enforce: verdicts are carried out."`
	Level       Level          `toml:"level" enum:"relaxed,normal,strict" default:"normal" doc:"How strict the site is in all: it sets thresholds and what some checks do (gatepost explain level has the table). What is written here wins over it. Domains and groups may have their own."`
	Thresholds  Thresholds     `toml:"thresholds" doc:"From how many points something happens to a message. The scale is SpamAssassin's."`
	Trusted     Trusted        `toml:"trusted" doc:"Clients of our own."`
	Relays      []TrustedRelay `toml:"trusted_relay" doc:"A gateway that stood here before and still brings mail, for as long as mail moves from it to this one (docs/cutover.md)."`
	RequiredTLS []RequiredTLS  `toml:"tls_required" doc:"Senders whose mail is taken only over TLS. Their own servers must be able to: look at what they send first (gatepost log search), since all other mail of theirs is refused. checks.tls says what happens to it."`
	Limits      Limits         `toml:"limits" doc:"What one client, session, transaction and message may take."`
	Rates       []Rate         `toml:"rate" doc:"How much may come in how much time from one client, network, sender or to one recipient. What is not written is as by default; gatepost limits top shows who is close to a limit, and docs/rates.md has all defaults. Whether a limit refuses is also up to checks.rate.connections, rate.messages, rate.recipients and rate.octets."`
	Stress      Stress         `toml:"stress" doc:"When the gateway sheds load: as its caps or its memory come near, it waits less and says refusals earlier."`
	SMTP        SMTP           `toml:"smtp" doc:"How the gateway speaks to clients."`
	Tag         SubjectTag     `toml:"tag" doc:"What marks mail in the eyes of its readers, besides the X-Spam fields."`
	ARC         ARC            `toml:"arc" doc:"Seals of this host (Authenticated Received Chain)."`
	Routes      []Route        `toml:"route" doc:"A way to the internal mail server, for one or more domains."`
	Directories []Directory    `toml:"directory" doc:"A list of the recipients that exist: a file, an export in CSV, or an LDAP directory such as Active Directory. A route or a domain names it in directories; docs/recipients.md tells how to make one."`
	Domains     []Domain       `toml:"domain" doc:"A domain that the gateway serves. Mail for any other is refused with 550 5.7.1."`
	Postmaster  string         `toml:"postmaster" format:"mailbox" example:"admin@example.org" rfc:"RFC 5321 section 4.5.1, RFC 2142" doc:"Who gets the mail for postmaster and abuse of every domain that is served, where these are no aliases. Not set: the server behind the domain's route does, and must know both."`
	AliasFile   string         `toml:"alias_file" format:"path" example:"/etc/gatepost/aliases" doc:"A file with more aliases, in the form of Postfix's virtual(5): an address, white space, and the addresses that it stands for; @old.example @new.example for a domain. At most 1,000,000 lines. It is read at the start and at each reload."`
	Aliases     []Alias        `toml:"alias" doc:"An address that stands for others (docs/routing.md)."`
	DomainMaps  []DomainMap    `toml:"domain_map" doc:"A domain that stands for another (docs/routing.md)."`
	Recipients  []Recipient    `toml:"recipient" doc:"A route of single addresses that differs from their domain's."`
	Groups      []Group        `toml:"group" doc:"Recipients of whom something else holds than of their domains (docs/policy.md)."`
	Rules       []Rule         `toml:"rule" doc:"What is done for some recipients, of some senders, about what some checks find. The first that matches a finding and a recipient decides, and stands in the trace (docs/policy.md)."`
	Banners     []Banner       `toml:"banner" doc:"A notice that rules write above the text of a message. It breaks DKIM signatures over the body; arc.seal = \"changed\" keeps what was verified."`
	Publish     Publish        `toml:"publish" doc:"How versions of this document come in force, and when one is undone by itself (docs/versions.md)."`
	Queue       Queue          `toml:"queue" doc:"Mail that is kept here while its route is down: how it is tried, and what happens to what fails. Only for routes with when_down = spool."`
	Portal      PortalRules    `toml:"portal" doc:"What users may do at web.portal for themselves (docs/portal.md)."`
	Quarantine  VaultRules     `toml:"quarantine" doc:"Mail that is kept here since it is doubtful: how long, and how much."`
	Training    Training       `toml:"training" doc:"Engines learn from what is released from quarantine, and from what is reported as spam or as ham (docs/quarantine.md)."`
	Alarms      Alarms         `toml:"alarms" doc:"Who is told that something is wrong (docs/alarms.md)."`
	RBL         RBL            `toml:"rbl" doc:"DNS lists of addresses and domains (DNSBL, DNSWL)."`
	Reports     Reports        `toml:"reports" doc:"What the gateway tells others about."`
	TLSReports  TLSReports     `toml:"tlsrpt" doc:"Reports to the domains of next hops: how connections to them were encrypted."`
	Checks      Checks         `toml:"checks" doc:"What each check does; gatepost explain NAME says what it looks at."`

	FromLevel map[string]bool // paths of keys that Level set
}

// Mode is how far verdicts are carried out.
type Mode string

// The modes of PRODUCT.md, section Cut-over.
const (
	ModeObserve Mode = "observe"
	ModeSoft    Mode = "soft"
	ModeEnforce Mode = "enforce"
)

// Thresholds are the points from which a message is tagged, quarantined, rejected.
type Thresholds struct {
	Tag        float64 `toml:"tag" unit:"points" default:"5" min:"0.1" max:"1000" doc:"From here a message is delivered with marks."`
	Quarantine float64 `toml:"quarantine" unit:"points" default:"7" min:"0.1" max:"1000" doc:"From here a message is kept in quarantine."`
	Reject     float64 `toml:"reject" unit:"points" default:"15" min:"0.1" max:"1000" doc:"From here a message is refused with 550."`
}

// DomainThresholds replaces some thresholds for one domain.
type DomainThresholds struct {
	Tag        *float64 `toml:"tag" unit:"points" min:"0.1" max:"1000" example:"4" doc:"As thresholds.tag."`
	Quarantine *float64 `toml:"quarantine" unit:"points" min:"0.1" max:"1000" example:"6" doc:"As thresholds.quarantine."`
	Reject     *float64 `toml:"reject" unit:"points" min:"0.1" max:"1000" example:"12" doc:"As thresholds.reject."`
}

// Trusted names clients of our own.
type Trusted struct {
	Networks []netip.Prefix `toml:"networks" default:"127.0.0.0/8, ::1/128" doc:"Their clients skip the pre-greeting wait, connection caps and rates; never a check and never the relay rules."`
}

// SMTP is how the gateway speaks to clients.
type SMTP struct {
	Banner       string         `toml:"banner" max:"200" default:"ESMTP" rfc:"RFC 5321 section 4.2" doc:"What follows the host name in the greeting. It must begin with ESMTP."`
	RefuseAt     RefuseAt       `toml:"refuse_at" enum:"rcpt,connect" default:"rcpt" doc:"Where a client is refused whose address or conduct is refused. rcpt: at RCPT, so that the journal has sender and recipient, and postmaster and abuse are reached; connect: in place of the banner, which costs least. Under stress it is connect."`
	Without      []string       `toml:"without" enum:"PIPELINING,SIZE,8BITMIME,SMTPUTF8,CHUNKING,DSN,LIMITS,STARTTLS,REQUIRETLS" doc:"Extensions that are not offered, for peers that break on them."`
	NormaliseFor []netip.Prefix `toml:"normalise_for" example:"192.0.2.0/28" rfc:"RFC 5321 section 2.3.8" doc:"Clients whose bare CR and bare LF are made CRLF. From all others such a message is refused with 550 5.6.0, because it can smuggle a second one."`
}

// RefuseAt is where refusals by address or conduct are spoken.
type RefuseAt string

// The values of smtp.refuse_at.
const (
	RefuseAtRcpt    RefuseAt = "rcpt"
	RefuseAtConnect RefuseAt = "connect"
)

// Domain is a mail domain that the gateway serves.
type Domain struct {
	Name       string `toml:"name" format:"pattern" required:"true" example:"example.org" doc:"The domain. U-labels become A-labels. \"*.example.org\" stands for all names below example.org, and not for itself. The most specific name wins."`
	Subdomains bool   `toml:"subdomains" doc:"Serve every name below it too. Without it example.org is not mail.example.org."`
	Route      string `toml:"route" format:"word" required:"true" example:"internal" doc:"The name of the route its mail takes."`
	Subaddress string `toml:"subaddress" max:"1" example:"+" rfc:"RFC 5233" doc:"What begins the detail of a local part here, as the plus in user+detail@example.org: aliases and routes of user@example.org hold for it too. Not set: there is no such thing."`
	Postmaster string `toml:"postmaster" format:"mailbox" example:"admin@example.org" rfc:"RFC 5321 section 4.5.1, RFC 2142" doc:"As postmaster at the top of the file, for this domain."`
	CatchAll   string `toml:"catch_all" format:"mailbox" example:"info@example.org" doc:"Who gets the mail for recipients of this domain that do not exist, as the check rcpt found. Spammers guess addresses: it gets all of that."`
	LogSubject string `toml:"log_subject" enum:"full,cut,off" default:"full" doc:"How the subject of its mail is kept in the message log: full, cut to its first words, or not at all."`
	Contact    string `toml:"contact" max:"100" example:"postmaster@example.org or +49 30 1234567" doc:"An address or telephone shown to senders in refusals."`
	DomainRecipients
	Edits      bool              `toml:"edits" default:"true" doc:"Whether copies of its mail may be changed: attachments taken out, a banner, a subject tag. With false a copy that would be is quarantined whole."`
	Level      Level             `toml:"level" enum:"relaxed,normal,strict" doc:"As level at the top of the file, for its recipients. Not set: that one."`
	Thresholds *DomainThresholds `toml:"thresholds" doc:"Thresholds for this domain that differ from [thresholds]."`
	Digest     []string          `toml:"digest" format:"clock" example:"07:00" doc:"As quarantine.digest.at, for this domain; [] for none."`
	MTASTS     *HostedPolicy     `toml:"mta_sts" rfc:"RFC 8461" doc:"The MTA-STS policy that is published for the domain (docs/mta-sts.md): at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, by the listener web.public_https. gatepost mta-sts show prints the DNS records that belong to it."`
}

// ThresholdsOf are the thresholds of one domain: its own, else those of its level, else the policy's. A nil domain stands
// for none.
func (p *Policy) ThresholdsOf(d *Domain) Thresholds {
	t := p.Thresholds
	if d != nil && d.Level != "" {
		t = LevelThresholds(d.Level)
	}
	if d == nil || d.Thresholds == nil {
		return t
	}
	return d.Thresholds.over(t)
}

// over lays what is said over thresholds.
func (d *DomainThresholds) over(t Thresholds) Thresholds {
	for _, o := range []struct {
		to   *float64
		from *float64
	}{{&t.Tag, d.Tag}, {&t.Quarantine, d.Quarantine}, {&t.Reject, d.Reject}} {
		if o.from != nil {
			*o.to = *o.from
		}
	}
	return t
}
