package filters

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/greylist"
	"gatepost/internal/clamd"
	"gatepost/internal/dns"
	"gatepost/internal/limit"
	"gatepost/internal/milter"
	"gatepost/internal/shaping"
	"gatepost/rbl"
)

// Definition describes one check and how it is made.
type Definition struct {
	Name    string
	Stage   gateway.Stage
	Class   gateway.Class
	Doc     string         // what it looks at, one or two sentences
	RFC     string         // where that is written; "" for none
	Action  gateway.Action // what Fail does by default
	Unknown gateway.Action // what not being able to tell does by default
	// Least is the mildest action that the operator may choose, also for single reasons and for Unknown. Zero: any.
	Least gateway.Action
	// Costly says that it is an engine that scores and costs much, so that when = "undecided" may leave it out. Never what
	// looks for malware: that is looked for in all mail.
	Costly bool
	// Parts says that its findings name parts of the message, so that the action strip can take them out.
	Parts bool
	// Reasons are those of its reasons that have an action of their own by default. policy.toml may say otherwise.
	Reasons map[gateway.Reason]gateway.Action
	// Moved are reasons that were once its own, with what the operator writes instead.
	Moved    map[string]string
	Measures []Measure
	Options  any // pointer to a struct with the tags of the configuration, or nil
	// Needs, if set, tells whether what it works with is there. Where it is not, the check is left out, as if it were off:
	// an engine that nobody named costs nothing.
	Needs func(d *Deps) bool
	Build func(options any, d *Deps) (Built, error)
}

// Measure is one thing that a check measures and what it costs by default.
type Measure struct {
	Name  string
	Doc   string
	Price float64
}

// Built is a check that is ready, and what its options say to policy. One without Run has nothing to look for: it is left
// out, as if it were off.
type Built struct {
	Run    func(ctx context.Context, in *gateway.Input) gateway.Finding
	Cases  []gateway.Case // by pattern; looked at before those by reason
	Ignore []string
	Total  string
	Rival  string // see gateway.CheckPolicy
	// Opinion says that allow entries overrule the check, whatever class it is of.
	Opinion bool
	// Ready is that of gateway.Check.
	Ready func(in *gateway.Input) bool
	// Ahead, if set, is begun with the connection: see gateway.Pipeline.
	Ahead func(ctx context.Context, s *gateway.Session) (rest func())
	// AheadMail, if set, is started with the Helo stage where that waits for something: see gateway.Pipeline.
	AheadMail func(ctx context.Context, in *gateway.Input)
	// AheadData, if set, is started once a recipient is let in: see gateway.Pipeline.
	AheadData func(ctx context.Context, in *gateway.Input)
}

// Resolver is the DNS that checks ask.
type Resolver interface {
	dns.MailLookup
	TXT(ctx context.Context, name string) dns.Answer[string]
	PTR(ctx context.Context, addr netip.Addr) dns.Answer[string]
}

// Recipients tells whether a recipient exists behind its route.
type Recipients interface {
	Ask(ctx context.Context, route string, from, to gateway.Address) recipients.Answer
}

// Shaper counts against limits and tries the greylist, all that a stage asks at once: what internal/shaping does.
type Shaper interface {
	Do(ctx context.Context, a *shaping.Ask)
	Waits() bool // whether Do waits for somebody else
}

// Deps are what checks work with. cmd fills them, anew for each policy; a check that needs one that is nil fails to build.
type Deps struct {
	Resolver     Resolver
	Recipients   Recipients
	ClamAV       VirusScanner
	SpamAssassin SpamScanner
	Unpack       Unpacker
	Rspamd       RspamdScanner
	ClamAVs      []Instance[*clamd.Client] // further engines, beside ClamAV
	ICAP         *ICAPEngine
	Milters      []Instance[*milter.Client]
	Hooks        []Hook
	RspamdHead   int64           // octets of a message that rspamd sees; 0 is DefaultRspamdHead
	SpamHead     int64           // octets of a message that spamd sees, our fields included; 0 is DefaultSpamHead
	ScanLimit    func() int64    // the largest message that ClamAV takes, 0 while it is not known; may be nil
	Known        Known           // what was learned of domains and paths; nil: nothing is known
	Lists        *rbl.Supervisor // DNS lists; nil: none is used
	Contacts     Contacts        // who wrote to whom before; nil: not known
	OwnLists     OwnLists        // recipients' own lists; nil: there are none
	Held         *Held           // whom a late list held; nil: forgotten at once
	Shaper       Shaper          // limits and greylist; nil: the checks that need it fail to build
	Keyer        *greylist.Keyer // makes the greylist's keys
	Rates        limit.Limits    // what holds
	Bounces      *limit.Learned  // how many bounces usually come to each mailbox; nil: not known
	Limited      *RateCounts     // how often limits were met; may be nil
	Reputation   Reputation      // what came of earlier mail; nil: the check fails to build, and limits do without
	TLSRules     []TLSRule       // what is asked of the encryption of some senders' mail
	Hostname     string
	Policy       *gateway.Policy         // domains and networks; its Checks are what Build fills
	On           func(check string) bool // whether a check prices or decides anything; filled by Build

	dkim     *DKIMOptions            // those of the check; nil while it is off
	arc      *ARCOptions             // likewise
	dmarc    *DMARCOptions           // likewise
	greylist *greyRules              // likewise
	authors  bool                    // the check access.author has entries
	wants    [gateway.Data + 1]wants // what is asked of Shaper in one step
	Only     []string                // the checks to build; empty: all
}

// always is Ready of a check that looks at what is in memory only.
func always(*gateway.Input) bool { return true }

// Configured is what the operator says of one check.
type Configured struct {
	Action, Unknown gateway.Action
	Prices          map[string]float64
	Reasons         map[gateway.Reason]gateway.Action
	Undecided       bool // when = "undecided"
	Options         any
}

// Definitions returns every check, in the order of the plan.
func Definitions() []Definition {
	var out []Definition
	for _, rows := range plan() {
		for _, row := range rows {
			out = append(out, row.checks...)
		}
	}
	return out
}

// Build makes the pipeline of a policy and fills Policy.Checks. All faults are returned at once.
func Build(d *Deps, configured map[string]Configured) (*gateway.Pipeline, error) {
	pl := &gateway.Pipeline{}
	d.Policy.Checks = make(map[string]gateway.CheckPolicy)
	absent := map[string]bool{}
	d.On = func(check string) bool { return configured[check].Action > gateway.ActionObserve && !absent[check] }
	for _, def := range Definitions() {
		absent[def.Name] = def.Needs != nil && !def.Needs(d)
	}
	var faults []error
	for stage, rows := range plan() {
		for _, r := range rows {
			row := gateway.Row{Deadline: r.deadline, When: r.when}
			for _, def := range r.checks {
				if len(d.Only) > 0 && !slices.Contains(d.Only, def.Name) {
					continue
				}
				c, ok := configured[def.Name]
				if !ok {
					faults = append(faults, fmt.Errorf("checks.%s: not configured", def.Name))
					continue
				}
				if absent[def.Name] {
					d.Policy.Checks[def.Name] = gateway.CheckPolicy{Class: def.Class, Intended: def.Action}
					continue
				}
				check, b, err := def.build(c, d)
				if err != nil {
					faults = append(faults, fmt.Errorf("checks.%s: %w", def.Name, err))
					continue
				}
				if check.Run == nil {
					d.Policy.Checks[def.Name] = gateway.CheckPolicy{Class: def.Class, Intended: def.Action}
					continue
				}
				row.Checks = append(row.Checks, check)
				if b.Ahead != nil {
					pl.Ahead = append(pl.Ahead, b.Ahead)
				}
				if b.AheadMail != nil {
					pl.AheadMail = append(pl.AheadMail, b.AheadMail)
				}
				if b.AheadData != nil {
					pl.AheadData = append(pl.AheadData, b.AheadData)
				}
			}
			switch {
			case r.conduct:
				pl.Conduct = append(pl.Conduct, row)
			case r.late:
				pl.Late = append(pl.Late, row)
			default:
				pl.Rows[stage] = append(pl.Rows[stage], row)
			}
		}
	}
	rivals(d.Policy.Checks)
	return pl, errors.Join(faults...)
}

// rivals tells both of two checks that look at the same things of the other.
func rivals(checks map[string]gateway.CheckPolicy) {
	for name, c := range checks {
		if other, ok := checks[c.Rival]; ok && other.Rival == "" {
			other.Rival = name
			checks[c.Rival] = other
		}
	}
}

// build makes one check and its part of the policy. A check that is off is not built: what it needs may be absent.
func (def *Definition) build(c Configured, d *Deps) (gateway.Check, Built, error) {
	check := gateway.Check{Name: def.Name, Stage: def.Stage}
	if err := def.atLeast(c); err != nil {
		return check, Built{}, err
	}
	cp := gateway.CheckPolicy{Class: def.Class, Action: c.Action, Unknown: c.Unknown, Intended: def.Action, Prices: c.Prices, Least: def.Least}
	if c.Action == gateway.ActionOff {
		check.Run = func(context.Context, *gateway.Input) gateway.Finding {
			return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftOff}
		}
		d.Policy.Checks[def.Name] = cp
		return check, Built{}, nil
	}
	b, err := def.Build(c.Options, d)
	if err != nil {
		return check, b, err
	}
	cp.Cases, cp.Ignore, cp.Total = append(b.Cases, cases(c.Reasons)...), b.Ignore, b.Total
	cp.Rival = b.Rival
	if b.Opinion {
		cp.Class = gateway.ClassOpinion
	}
	d.Policy.Checks[def.Name] = cp
	check.Run, check.Ready = b.Run, b.Ready
	if def.Costly && c.Undecided {
		check.Run = d.ifNeeded(b.Run)
	}
	return check, b, nil
}

// atLeast refuses an action that would open what must stay shut.
func (def *Definition) atLeast(c Configured) error {
	for _, set := range append([]gateway.Case{{Key: "action", Action: c.Action}, {Key: "unknown", Action: c.Unknown}}, cases(c.Reasons)...) {
		if set.Action < def.Least {
			return fmt.Errorf("%s = %q is too mild for this check; write %q or harder", set.Key, set.Action, def.Least)
		}
	}
	return nil
}

// cases lists the actions by reason in a fixed order, so that two builds of one policy are equal.
func cases(reasons map[gateway.Reason]gateway.Action) []gateway.Case {
	var out []gateway.Case
	for r, a := range reasons {
		out = append(out, gateway.Case{Reason: r, Action: a, Key: "reasons." + string(r)})
	}
	slices.SortFunc(out, func(a, b gateway.Case) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// reportPatterns reports the patterns that cannot be read; they would match nothing.
func reportPatterns(key string, patterns []string, report func(key, message, instead string)) {
	for i, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			report(key+"["+strconv.Itoa(i)+"]", strconv.Quote(p)+" is no pattern", "write a name, with * for any text and ? for one letter")
		} else if strings.HasPrefix(p, "^") || strings.Contains(p, ".*\\.") {
			report(key+"["+strconv.Itoa(i)+"]", strconv.Quote(p)+" reads like a regular expression, and would match no name", "write a name, with * for any text and ? for one letter, for example \"*.exe\"")
		}
	}
}
