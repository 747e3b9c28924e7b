package gateway

import (
	"net/netip"
	"strings"
	"time"
)

// What is learned of author domains and of the ways mail comes, from messages before this one (docs/decisions/013). A journal
// sink learns it after the reply; checks only read it. All of it may be forgotten: the zero values are nothing known, with
// which no sender is told to wait, and no indirect message is refused that might be let into quarantine.

// KnownDomain is what is known of one author domain.
type KnownDomain struct {
	Asks      string    // "quarantine" or "reject": what its DMARC record last asked for; "" for neither
	AsksSince time.Time // since when it did, either of them, with no answer between that said otherwise
	Seen      time.Time // when DNS last told its record, or that it has none
	Outage    time.Time // since when DNS cannot tell; zero while it can
	Untold    time.Time // when it last could not
	Passed    time.Time // when a message last passed DMARC as from it
	Passes    int       // how many did
}

// The defaults of what is done while DNS cannot tell about a domain.
const (
	AsksLong    = 7 * 24 * time.Hour // a record that asked for less long is as not known
	HeldAtMost  = 4 * time.Hour      // of one outage
	outageQuiet = 24 * time.Hour     // a failure so long after the one before is of another outage
	passedLong  = 36 * 24 * time.Hour
)

// Held reports whether mail that claims to be from the domain should wait while DNS cannot tell: the domain was known long
// enough to ask for quarantine or reject, and the outage is young. What cannot be told of an attacker's mail must not pass
// for that of a protected domain, and no outage may hold mail for ever.
func (k KnownDomain) Held(now time.Time) bool {
	if k.AsksSince.IsZero() || now.Sub(k.AsksSince) < AsksLong {
		return false
	}
	return k.Outage.IsZero() || now.Sub(k.Untold) >= outageQuiet || now.Sub(k.Outage) < HeldAtMost
}

// PassedLately reports whether a message passed DMARC as from the domain in the last 36 days, as long as greylisting
// remembers.
func (k KnownDomain) PassedLately(now time.Time) bool {
	return !k.Passed.IsZero() && now.Sub(k.Passed) < passedLong
}

// NextOutage returns since when DNS cannot tell, after a failure at now.
func (k KnownDomain) NextOutage(now time.Time) time.Time {
	if k.Outage.IsZero() || now.Sub(k.Untold) >= outageQuiet {
		return now
	}
	return k.Outage
}

// Path is the way of a message for which something hints at a list or a forwarder. The zero value is no such way.
type Path struct {
	// Host is who handed it over, as far as that is proven: the organizational domain of the MAIL FROM that passed SPF, else of
	// the verified reverse name of the client, else the client's network, as "192.0.2.0/24".
	Host string
	// Told is what the message says of its way and nothing proves: "list:" and the name of its List-Id, else "arc:" and the
	// last sealer; "" for neither.
	Told string
}

// pathTold bounds what a message can say of its way.
const pathTold = 128

// PathOf returns the path of a message. spf and reverse are organizational domains, "" where SPF did not pass or there is no
// verified name. Whoever tells more than 128 octets of its way shares what is known with others that begin alike.
func PathOf(spf, reverse string, client netip.Addr, told string) Path {
	p := Path{Host: strings.ToLower(spf), Told: strings.ToLower(CleanText(told, pathTold))}
	if p.Host == "" {
		p.Host = strings.ToLower(reverse)
	}
	if p.Host == "" {
		p.Host = pathNetwork(client)
	}
	return p
}

// pathNetwork is the /24 or the /48 of a client: whoever moves inside of it for a new name is still the same.
func pathNetwork(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	if p, err := a.Prefix(bits); err == nil && p.IsValid() {
		return p.String()
	}
	return "unknown/0"
}

// Named reports whether a domain vouches for the host, and not only a network.
func (p Path) Named() bool { return p.Host != "" && !strings.Contains(p.Host, "/") }

// Owns reports whether an author domain is that of the host itself: of its mail nothing can be learned about how it
// treats the mail of others.
func (p Path) Owns(author string) bool {
	return author == p.Host || strings.HasSuffix(author, "."+p.Host)
}

// Past is what is known of a host, or of what it tells. Numbers fade: every 60 days they are halved.
type Past struct {
	First, Last time.Time
	Messages    int // all
	Judged      int // those of others (see Path.Owns) of which DMARC could say pass or fail
	Passed      int // of Judged: that passed and were let in
	Refused     int // of Judged: that failed although the domain asks for reject
	Chains      int // with an ARC chain that passed; of the host's own making it proves nothing
	Days        int // days on which one counted as Passed
	Authors     int // organizational domains of those that counted as Passed, at most 8
}

// KnownPath is what is known of one path: of its host, all that it hands over by lists and forwarding, and of what it tells.
type KnownPath struct {
	Path       Path
	Host, Told Past
}

// Standing is what a path's past says of it.
type Standing uint8

// The standings of a path. The zero value is the one of which nothing is known.
const (
	PathYoung   Standing = iota // for its first 30 days: mail that should be refused is kept in quarantine instead
	PathTrusted                 // it was seen to leave the mail of others whole
	PathDoubted                 // it had its time, and has not: the domain's reject is honoured
)

var standingNames = []string{"young", "trusted", "doubted"}

func (s Standing) String() string                { return name(standingNames, s) }
func (s Standing) MarshalText() ([]byte, error)  { return []byte(s.String()), nil }
func (s *Standing) UnmarshalText(b []byte) error { return parse(standingNames, "standing", b, s) }

// What makes a path trusted.
const (
	pathYouth   = 30 * 24 * time.Hour
	pathDays    = 7
	pathAuthors = 3
)

// Standing is the rule. Youth is that of the host: another List-Id brings no other. A host that had its time is trusted when,
// of what it handed over from others, three quarters passed DMARC and were let in, on 7 days, by 3 authors' domains that are
// not its own; one without a name never is. What it tells must have earned that itself, or be young at a trusted host.
// Chains prove nothing, since whoever hands over can seal.
func (k KnownPath) Standing(now time.Time) Standing {
	host := k.Path.Named() && k.Host.proven()
	switch {
	case k.Host.young(now):
		return PathYoung
	case k.Path.Told == "" && host, k.Path.Told != "" && k.Path.Named() && k.Told.proven() && !k.Told.young(now):
		return PathTrusted
	case k.Path.Told != "" && host && k.Told.young(now):
		return PathYoung
	}
	return PathDoubted
}

func (p *Past) young(now time.Time) bool { return p.First.IsZero() || now.Sub(p.First) < pathYouth }

func (p *Past) proven() bool {
	return p.Days >= pathDays && p.Authors >= pathAuthors && p.Passed*4 >= p.Judged*3
}
