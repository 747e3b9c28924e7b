package gateway

import (
	"net/netip"
	"path"
	"strings"
	"time"
)

// Policy is what the operator wants. It is immutable once published: a session keeps the one it began under, and reload
// publishes another. Its zero value serves no domain and runs no check.
type Policy struct {
	Version    string // of the document: the start of its SHA-256, or "builtin"; behind a "+" that of a file it names
	Mode       Mode
	Thresholds Thresholds
	Checks     map[string]CheckPolicy
	Domains    map[string]*Domain // by name, lower case A-label; what is served below a name only, by the name behind its dot: ".example.org"
	Postmaster *Domain            // takes mail for <postmaster> without a domain (RFC 5321 section 4.5.1); nil when none is served
	Routing    *Routing           // what is said of single addresses; nil: each goes by its domain
	Trusted    []netip.Prefix
	Relays     []TrustedRelay
	Delays     Delays
	Groups     []*Group          // in their order
	Rules      *Rules            // nil: none
	Levels     []*Level          // those of domains and groups
	Where      map[string]string // key path -> "policy.toml:12", for keys that the document states
}

// Thresholds are sums of points, on the scale that SpamAssassin users know. Zero means never.
type Thresholds struct {
	Tag        float64 `json:"tag"`
	Quarantine float64 `json:"quarantine"`
	Reject     float64 `json:"reject"`
}

// Delays slow down who guesses.
type Delays struct {
	UnknownRecipient time.Duration // before each 550 5.1.1
}

// Domain is one domain that we serve.
type Domain struct {
	Name       string
	Subdomains bool   // also every name below it
	Route      string // the route its mail takes
	Subaddress string // what begins the detail of a local part (RFC 5233), as the plus in user+detail; "" for none
	Thresholds *Thresholds
	Subject    string // how subjects are logged: "full", "cut" or "off"
	Contact    string // shown in refusals; "" for none
	Level      *Level // nil: that of the policy
	Unedited   bool   // copies of its mail are never changed: one that would be is quarantined whole
}

// CheckPolicy is what the operator wants of one check.
type CheckPolicy struct {
	Class    Class
	Action   Action             // on Fail
	Unknown  Action             // when it could not tell
	Intended Action             // what Action is by default; tells what an observed check would have done
	Cases    []Case             // looked at in order before Action
	Prices   map[string]float64 // measure -> points for each 1 of its Value
	Ignore   []string           // patterns of measures' texts that cost nothing, since another check prices them
	Total    string             // the measure that Ignore is subtracted from
	Least    Action             // no rule makes it milder than this; zero: any
	Rival    string             // the check that looks at the same things: where both price, only the higher sum counts
}

// Case is an action for some of what a check finds. One by reason counts for what the check could not tell as well: why it
// could not may matter.
type Case struct {
	Reason  Reason // matches this reason, if set
	Pattern string // matches the text of any measure (shell pattern), if set
	Action  Action
	Key     string // the key path that says so
}

// Domain returns what is said of a domain, or nil when we do not serve it: its own entry, else the one of the nearest name
// above it that takes all names below. name is a lower-case A-label.
func (p *Policy) Domain(name string) *Domain {
	if d := p.Domains[name]; d != nil && name[0] != '.' {
		return d
	}
	for rest := name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return nil
		}
		if d := p.Domains[rest[i:]]; d != nil && i > 0 {
			return d
		}
		rest = rest[i+1:]
		if d := p.Domains[rest]; d != nil && d.Subdomains {
			return d
		}
	}
}

// Serves returns what is said of the domain of a recipient, or nil when mail for it is not ours to take.
func (p *Policy) Serves(to Address) *Domain {
	if to.Domain == "" && strings.EqualFold(to.Local, "postmaster") {
		return p.Postmaster
	}
	return p.Domain(to.Domain)
}

// TrustedRelay is a gateway in front of this one, for a while: its address says nothing of who sent a message.
type TrustedRelay struct {
	Networks []netip.Prefix
	Until    time.Time // it does not count from here on
}

// Relay reports whether the address is one of a trusted relay at a time.
func (p *Policy) Relay(a netip.Addr, now time.Time) bool {
	a = a.Unmap()
	for i := range p.Relays {
		for _, n := range p.Relays[i].Networks {
			if n.Contains(a) && now.Before(p.Relays[i].Until) {
				return true
			}
		}
	}
	return false
}

// Trusts reports whether the address is in a trusted network.
func (p *Policy) Trusts(a netip.Addr) bool {
	a = a.Unmap()
	for _, n := range p.Trusted {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Runs reports whether the check is to run at all.
func (p *Policy) Runs(check string) bool { return p.Checks[check].Action != ActionOff }

// Line returns the policy line of a key path, as people look for it: the key, its value and where it stands.
func (p *Policy) Line(key, value string) string {
	where := p.Where[key]
	if where == "" {
		where = "default"
	}
	return key + " = " + value + " (" + where + ")"
}

// match reports whether the case is about the finding.
func (c *Case) match(f *Finding) bool {
	if c.Reason != "" && c.Reason != f.Reason {
		return false
	}
	if c.Pattern == "" {
		return c.Reason != ""
	}
	for _, m := range f.Measures {
		if m.Text != "" && matches(c.Pattern, m.Text) {
			return true
		}
	}
	return false
}

// ignores reports whether another check prices what the measure says.
func (c *CheckPolicy) ignores(m *Measure) bool {
	for _, pattern := range c.Ignore {
		if m.Text != "" && matches(pattern, m.Text) {
			return true
		}
	}
	return false
}

// matches is path.Match without regard to "/": names of rules and signatures may hold it. A broken pattern, which the
// configuration refuses, matches nothing.
func matches(pattern, text string) bool {
	if pattern != "" && (text == "" || pattern[0] != text[0]) && !strings.ContainsAny(pattern[:1], `*?[\/`) {
		return false // most patterns begin with letters, and most texts with others
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(text, "/", "\x00"))
	return ok && err == nil
}
