package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/freemail"
)

// Group is recipients of whom something else holds than of their domains.
type Group struct {
	Name       string            `toml:"name" format:"word" required:"true" example:"finance" doc:"Its name, without a dot. Rules name it in to."`
	Members    []string          `toml:"members" format:"member" required:"true" unless:"file" example:"ann@example.org" doc:"Who is in it: addresses, as the sender names them (a detail behind subaddress does not count), domains, and \"*.example.org\" for all names below one."`
	File       string            `toml:"file" format:"path" example:"/etc/gatepost/finance.txt" doc:"A file with more members, one a line; # begins a comment. At most 100,000 lines. It is read at the start and at each reload."`
	Level      Level             `toml:"level" enum:"relaxed,normal,strict" doc:"As level, for its members. Of several groups the first that says something of level or thresholds counts."`
	Thresholds *DomainThresholds `toml:"thresholds" doc:"Thresholds for its members that differ from those of their domain."`
}

// Banner is a notice above the text of a message.
type Banner struct {
	Name string `toml:"name" format:"word" required:"true" example:"external" doc:"Its name. Rules name it in banner."`
	Text Lines  `toml:"text" required:"true" example:"This mail comes from outside." doc:"What stands above text parts; several lines in three quotes. At most 2000 octets."`
	HTML Lines  `toml:"html" example:"<p>This mail comes from outside.</p>" doc:"What stands above HTML parts, well formed by itself. Not set: text, in a box. At most 8000 octets."`
}

// Lines is text that may have several lines.
type Lines string

// UnmarshalText reads lines that end in LF or CRLF.
func (l *Lines) UnmarshalText(text []byte) error {
	s := strings.ReplaceAll(string(text), "\r\n", "\n")
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return &ValueError{"has a control character", "leave it out"}
	}
	*l = Lines(s)
	return nil
}

// MarshalText writes the lines.
func (l Lines) MarshalText() ([]byte, error) { return []byte(l), nil }

// Rule is what is done for some recipients, of some senders, about what some checks find.
type Rule struct {
	Name       string        `toml:"name" required:"true" max:"80" example:"macros for finance" doc:"What the rule is for. It is shown wherever it decides."`
	To         []string      `toml:"to" format:"to" example:"finance" doc:"Whose mail: names of groups, addresses, domains, \"*.example.org\". Not set: everybody's."`
	From       []string      `toml:"from" format:"from" example:"partner.example" doc:"Who sent it: a domain or an address, which count only where SPF (of the reverse-path) or DMARC (of From) proves them, or a network of clients. Not set: whoever."`
	Trust      []Trust       `toml:"trust" enum:"trusted,known,authenticated,unknown,first" doc:"What is known of who sent it, one of these. trusted: the client is in trusted.networks; known: reputation knows good mail of the client, its organization or the domain that SPF proves; authenticated: DMARC passes for the domain in From; unknown: neither trusted nor known; first: nobody here had mail of the author before (checks.impersonation.first). Not set: whatever."`
	Check      []string      `toml:"check" example:"attachments.macro" doc:"About what which checks find: their names, or with a * at the end, as \"attachments.*\"; \"*\" is all. Not set: the rule is about the message as such, and only adds to what checks decide."`
	Reasons    []string      `toml:"reasons" example:"attachments.autoexec" doc:"About which reasons of a Fail. Not set: all. What a check could not tell is meant only where its reason stands here, as unpack.failed."`
	Text       []string      `toml:"text" max:"100" example:"*.docm" doc:"Patterns (with * and ?) of which one must match the text of a measure, in any case: a file name, a type, a signature, a list."`
	PointsFrom float64       `toml:"points_from" unit:"points" min:"0" max:"1000" example:"4" doc:"Of a rule about the message as such: from how many points."`
	When       Expression    `toml:"when" max:"2000" example:"size > 20000000 && !checks.proves(\"partner.example\")" doc:"What else must be true of the message: a condition in CEL (docs/conditions.md lists the facts). Not set: nothing. Where it cannot be worked out the rule does not match, and the trace says why."`
	Observe    bool          `toml:"observe" doc:"It decides nothing: that it matched and what it would have done is only written down. Try a rule so before it counts."`
	Action     RuleAction    `toml:"action" enum:"accept,tag,strip,quarantine,defer,reject,drop" required:"true" example:"tag" doc:"What is done instead of what the check's table says. accept: nothing, and what was found costs no points; of a message as such, without banner and subject, an exception of the rules below it. strip: the parts are taken out and a notice stands in their place. It is never milder than the check allows, and never makes malware, relaying or unknown recipients milder."`
	Subject    string        `toml:"subject" max:"60" example:"[external]" doc:"What is put before the subject of copies that are delivered."`
	Banner     string        `toml:"banner" format:"word" example:"external" doc:"The name of a [[banner]] that is written above the text of copies that are delivered."`
	Keep       time.Duration `toml:"keep" max:"365d" example:"2d" doc:"With quarantine: how long it is kept, where that is not to be as long as all. So mail is thrown away that nobody wants, and can still be found for a while."`
	Owner      string        `toml:"owner" max:"100" example:"anna" doc:"Who wanted the rule."`
	Reason     string        `toml:"reason" max:"200" example:"ticket 4711" doc:"Why. It is shown to you, never to senders."`
	Expires    Day           `toml:"expires" example:"2027-06-30" doc:"The last day, in UTC, on which it counts. Not set: always."`
}

// RuleAction is what a rule does.
type RuleAction string

// Trust is what is known of who sent a message.
type Trust string

// Milder reports whether the rule may make something milder.
func (r *Rule) Milder() bool {
	return len(r.Check) > 0 && (r.Action == "accept" || r.Action == "tag" || r.Action == "strip")
}

// maxRules bounds what every message may be compared with.
const maxRules = 200

// Validate keeps a group's name apart from domains.
func (g *Group) Validate(report func(key, message, instead string)) {
	if strings.Contains(g.Name, ".") {
		report("name", shown(g.Name)+" has a dot and would read as a domain where rules name it", "write it without")
	}
}

// Validate bounds a banner.
func (b *Banner) Validate(report func(key, message, instead string)) {
	if len(b.Text) > 2000 {
		report("text", "has "+strconv.Itoa(len(b.Text))+" octets", "write at most 2000")
	}
	if len(b.HTML) > 8000 {
		report("html", "has "+strconv.Itoa(len(b.HTML))+" octets", "write at most 8000")
	}
	lower := strings.ToLower(string(b.HTML))
	for _, tag := range [...]string{"<script", "</body", "</html", "<!--"} {
		if strings.Contains(lower, tag) {
			report("html", "has "+shown(tag)+", which would change what stands below it, or would run", "write plain elements that you also close")
			return
		}
	}
}

// Validate checks what a rule says by itself.
func (r *Rule) Validate(report func(key, message, instead string)) {
	if len(r.Check) == 0 && r.Action == "strip" {
		report("action", `"strip" needs something that was found`, `write check, for example check = ["attachments.*"]`)
	}
	if len(r.Check) == 0 && len(r.Reasons) > 0 {
		report("reasons", "are those of checks, and check is not set", `write check, for example check = ["attachments.*"]`)
	}
	if len(r.Check) == 0 && len(r.Text) > 0 {
		report("text", "is that of measures of checks, and check is not set", `write check, for example check = ["attachments.*"]`)
	}
	if len(r.Check) > 0 && r.PointsFrom > 0 {
		report("points_from", "is the sum of all checks, and the rule is about what some of them find", "leave out check, or this")
	}
	if r.Keep > 0 && r.Action != "quarantine" {
		report("keep", "is how long mail is kept in quarantine, and the rule does not", `write action = "quarantine", or remove it`)
	}
	if (r.Banner != "" || r.Subject != "") && (r.Action == "quarantine" || r.Action == "defer" || r.Action == "reject" || r.Action == "drop") {
		key := "banner"
		if r.Banner == "" {
			key = "subject"
		}
		report(key, "is for copies that are delivered, and the rule delivers none", "remove it")
	}
	r.senders(report)
}

// senders refuses to make anything milder for whoever has an address somewhere.
func (r *Rule) senders(report func(key, message, instead string)) {
	for i, from := range r.From {
		key := "from[" + strconv.Itoa(i) + "]"
		if n, err := netip.ParsePrefix(from); err == nil {
			if n.Bits() == 0 {
				report(key, shown(from)+" is the whole internet", "name the networks of those whom you know")
			}
			continue
		}
		_, domain, at := strings.Cut(from, "@")
		if !at {
			domain = strings.TrimPrefix(from, "*")
		}
		if why := freemail.Shared(domain); why != "" && r.Milder() {
			report(key, why+": that a message comes from there says nothing of who wrote it", "name the recipients who may have it (to), or let them release it from quarantine")
		}
	}
}

// Warn tells of a rule that is over.
func (r *Rule) Warn(report func(key, message, instead string)) {
	if !r.Expires.IsZero() && time.Now().After(r.Expires.End()) {
		report("expires", "is over: the rule does nothing", "remove the [[rule]], or write another day")
	}
}

// checkMember reads an address, a domain, or "*." and a domain.
func checkMember(text string) (string, *ValueError) {
	if strings.Contains(text, "@") && !strings.HasPrefix(text, "@") {
		return checkMailbox(text)
	}
	return checkPattern(strings.TrimPrefix(text, "@"))
}

// checkTo reads a member, or the name of a group: a word without a dot.
func checkTo(text string) (string, *ValueError) {
	if strings.ContainsAny(text, "@.") {
		return checkMember(text)
	}
	return checkFormat("word", text)
}

// checkFrom reads a member, or a network of clients.
func checkFrom(text string) (string, *ValueError) {
	if _, err := netip.ParseAddr(text); err == nil || strings.Contains(text, "/") {
		var n netip.Prefix
		bad := setPrefix(&n, text)
		return n.String(), bad
	}
	return checkMember(text)
}

// ParseMember reads a member of a group as a file may have it: an address, a domain, or "*." and a domain.
func ParseMember(text string) (string, error) {
	member, bad := checkMember(text)
	if bad != nil {
		return "", &ValueError{Message: shown(text) + " " + bad.Message}
	}
	return member, nil
}
