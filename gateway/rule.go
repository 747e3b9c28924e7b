package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RuleCheck is the name under which a rule decides that is about the message, and not about what one check found.
const RuleCheck = "rule"

// Rule is what the operator wants done for some recipients, of some senders, about what some checks find. The first rule
// that matches a finding and a recipient stands in the place of what the check's own table says; it is never milder than
// the check allows, and where nothing may be milder (ClassMalware and above) it can only be harder.
type Rule struct {
	Line    string        // how people find it: see RuleLine
	To      []*Group      // whose mail; none: everybody's
	From    []Sender      // who sent it, proven; none: whoever
	Trust   Trust         // what is known of who sent it, one of these; 0: anything
	Checks  []string      // names of checks; none: it is about the message as such, and can only add to what the others decide
	Reasons []Reason      // none: any reason of a Fail. What a check could not tell is meant only where its reason is named
	Texts   []string      // patterns, of which one matches the text of a measure of the finding, in any case; none: any
	Points  float64       // of a rule about the message: the sum of points from which it matches
	When    Condition     // what else must be true; nil: nothing
	Observe bool          // it decides nothing: that it matched, and what it would have done, is only written down
	Action  Action        // ActionPass lets the finding pass, and its measures cost nothing
	Subject string        // put before the subject of copies that are delivered
	Banner  string        // its name: written above the text of copies that are delivered
	Keep    time.Duration // how long the vault keeps what is quarantined by it; 0: as long as all
	Until   time.Time     // it does not match from then on; zero: always
}

// RuleLine is how people find a rule, by its number from 1, its name and the place in the document:
// rule[3] "macros for finance" (policy.toml:88).
func RuleLine(number int, name, place string) string {
	return fmt.Sprintf("rule[%d] %q (%s)", number, name, place)
}

// RuleName is the name in a line that RuleLine wrote, by which a rule is the same while it moves and is edited; "" of any
// other text.
func RuleName(line string) string {
	_, rest, _ := strings.Cut(line, "] ")
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil || !strings.HasPrefix(line, "rule[") {
		return ""
	}
	name, _ := strconv.Unquote(quoted) // it is one
	return name
}

// Condition is what else must be true of a message for a rule to be about it, in the operator's own words. It reads the
// Record alone, so that Judge stays a pure function, and is asked by many goroutines.
type Condition interface {
	// Holds reports whether it is true of the message for one recipient, a place in Record.Rcpts, who has so many points
	// by now. Where that cannot be worked out it is no yes, and why says so.
	Holds(r *Record, rcpt int, points float64) (yes bool, why string)
}

// Trust is what is known of who sent a message; several may be true at once.
type Trust uint8

// The kinds of trust.
const (
	Trusted       Trust = 1 << iota // the client is in a trusted network
	KnownGood                       // reputation knows the client, its organisation or the domain that SPF proved for good mail
	Authenticated                   // DMARC proved the author's domain
	Unfamiliar                      // neither Trusted nor KnownGood
	First                           // nobody here had mail of the author before
)

// Sender is who a rule is about. A domain and an address count only where something proves them: see Finding.Proves.
type Sender struct {
	Network netip.Prefix // of the client; the others are then empty
	Local   string       // "": everybody of the domain
	Domain  string       // a lower-case A-label; with a leading dot all names below it
}

// Group is recipients that policy has something to say about.
type Group struct {
	Name      string
	Addresses map[string]struct{} // local@domain in lower case
	Domains   map[string]struct{} // with a leading dot: all names below it
	Level     *Level              // nil: that of the domain
	// Thresholds that differ from those of the domain; zero: they do not.
	Thresholds Thresholds
}

// Level is one of the plain levels, where it is not that of the whole policy.
type Level struct {
	Name       string
	Where      string // the place of the key that says so
	Thresholds Thresholds
	Checks     map[string]CheckPolicy // those for which it says something else than the policy
	Sets       map[string]bool        // the key paths that it sets
}

// Rules are all rules, in their order. A nil *Rules has none.
type Rules struct {
	list    []Rule
	by      map[string][]int // of a check
	message []int            // about the message
}

// NewRules puts rules in order. It returns nil for none.
func NewRules(list []Rule) *Rules {
	if len(list) == 0 {
		return nil
	}
	rs := &Rules{list: list, by: map[string][]int{}}
	for k := range list {
		for _, check := range list[k].Checks {
			rs.by[check] = append(rs.by[check], k)
		}
		if len(list[k].Checks) == 0 {
			rs.message = append(rs.message, k)
		}
	}
	return rs
}

// aboutMessages reports whether there are rules about messages as such: then no message may go unjudged.
func (rs *Rules) aboutMessages() bool { return rs != nil && len(rs.message) > 0 }

// about reports whether the rule is about what a check found. What passed is meant where no reason is named: it may cost
// points.
func (r *Rule) about(f *Finding) bool {
	switch {
	case len(r.Reasons) > 0 && (f.Result == Pass || !slices.Contains(r.Reasons, f.Reason)):
		return false
	case len(r.Reasons) == 0 && f.Result == Unknown:
		return false
	case len(r.Texts) == 0:
		return true
	}
	for i := range f.Measures {
		if text := f.Measures[i].Text; text != "" {
			text = strings.ToLower(text)
			if slices.ContainsFunc(r.Texts, func(pattern string) bool { return matches(strings.ToLower(pattern), text) }) {
				return true
			}
		}
	}
	return false
}

// sent reports whether the rule is about who sent the message, as far as the Record proves that.
func (r *Rule) sent(rec *Record, trust Trust) bool {
	if !r.Until.IsZero() && !rec.Time.Before(r.Until) || r.Trust != 0 && r.Trust&trust == 0 {
		return false
	}
	return len(r.From) == 0 || slices.ContainsFunc(r.From, func(s Sender) bool { return s.sent(rec) })
}

func (s *Sender) sent(rec *Record) bool {
	if s.Domain == "" {
		return !rec.Relay && s.Network.IsValid() && s.Network.Contains(rec.Client.Unmap())
	}
	for i := range rec.Findings {
		proven := rec.Findings[i].Proves
		at := strings.LastIndexByte(proven, '@')
		if at < 0 || !under(s.Domain, proven[at+1:]) {
			continue
		}
		if s.Local == "" || strings.EqualFold(s.Local, proven[:at]) {
			return true
		}
	}
	return false
}

// under compares a name with one that stands for itself, or with a leading dot for all below it.
func under(pattern, name string) bool {
	return name == pattern || pattern[0] == '.' && strings.HasSuffix(name, pattern)
}

// trust is what the Record knows of who sent the message.
func (r *Record) trust() (t Trust) {
	if r.Trusted && !r.Relay {
		t |= Trusted
	}
	for i := range r.Findings {
		switch f := &r.Findings[i]; {
		case f.Check == ReputationCheck && f.Result == Pass && slices.ContainsFunc(f.Measures, func(m Measure) bool { return m.Name == GoodMeasure }):
			t |= KnownGood
		case f.Check == DMARCCheck && f.Proves != "":
			t |= Authenticated
		case f.Reason == FirstContact && f.Result == Fail:
			t |= First
		}
	}
	if t&(Trusted|KnownGood) == 0 {
		t |= Unfamiliar
	}
	return t
}

// has reports whether a recipient is in the group. bare is its address without the detail of its local part.
func (g *Group) has(address, bare, domain string) bool {
	if _, ok := g.Addresses[address]; ok {
		return true
	}
	if _, ok := g.Addresses[bare]; ok {
		return true
	}
	if _, ok := g.Domains[domain]; ok {
		return true
	}
	for rest := domain; len(g.Domains) > 0; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return false
		}
		if _, ok := g.Domains[rest[i:]]; ok {
			return true
		}
		rest = rest[i+1:]
	}
	return false
}

// All are the rules, in their order, to look at.
func (rs *Rules) All() []Rule {
	if rs == nil {
		return nil
	}
	return rs.list
}
