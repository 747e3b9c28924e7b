package filters

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/shaping"
)

// greylistCheck lets strangers wait.
func greylistCheck() Definition {
	return Definition{
		Name: "greylist", Stage: gateway.Rcpt, Class: gateway.ClassLimiting,
		Doc:     "Does a suspect stranger try again, as every mail server does? Its first try for a recipient is deferred for two minutes, and who comes back passes. It asks before the next hop is asked for the recipient. Known senders, trusted and inside clients, postmaster and abuse never wait; the null reverse-path is left to greylist.null.",
		RFC:     "RFC 6647, RFC 5321 section 4.5.4.1",
		Action:  gateway.ActionDefer,
		Unknown: gateway.ActionPass, // what is remembered cannot be asked: nobody waits for that
		Measures: []Measure{
			{"waited", "the sender passed now after it waited; the value is in seconds since its first try", 0},
		},
		Options: &GreylistOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			if d.Shaper == nil || d.Keyer == nil || d.Resolver == nil {
				return Built{}, errors.New("needs a store and a resolver")
			}
			d.greylist = newGreyRules(options.(*GreylistOptions))
			d.wants[gateway.Rcpt].tries = d.greylistTries
			return Built{Run: d.runGreylist, Ready: d.greylistReady}, nil
		},
	}
}

// GreylistOptions are the options of checks.greylist; checks.greylist.null goes by them too.
type GreylistOptions struct {
	Mode      string        `toml:"mode" enum:"off,suspicious,everyone" default:"suspicious" doc:"Who waits, if no entry of for says otherwise. suspicious: strangers of a certain suspicion; everyone: all whose domain had no DMARC pass here lately; off: nobody."`
	For       []GreylistFor `toml:"for" doc:"One recipient, or one domain of recipients, for which another mode holds. A recipient counts more than its domain."`
	Suspicion float64       `toml:"suspicion" default:"4" min:"1" max:"15" doc:"The suspicion from which a stranger waits: the points that checks found before RCPT, and those of the next three. The first two of them never suffice alone, whatever they are set to."`
	FirstSeen float64       `toml:"first_seen" default:"1" min:"0" max:"5" doc:"Points of suspicion where nothing good is known of the client: it had no message accepted in 30 days, and reputation does not speak for it."`
	SPFNone   float64       `toml:"spf_none" default:"1" min:"0" max:"5" doc:"Points of suspicion where the sender's domain has no SPF record; for the null reverse-path, the name in HELO."`
	Dynamic   float64       `toml:"dynamic" default:"2" min:"0" max:"15" doc:"Points of suspicion where the client's reverse name looks like that of a dynamic address, or has the address in it."`
	Delay     time.Duration `toml:"delay" default:"2m" min:"1s" max:"24h" rfc:"RFC 6647 section 5" doc:"How long a stranger waits after its first try."`
	Window    time.Duration `toml:"window" default:"2d" min:"1h" max:"30d" rfc:"RFC 6647 section 5" doc:"For how long after its first try a stranger's next one counts; at least an hour more than delay."`
	Keep      time.Duration `toml:"keep" default:"36d" min:"1h" max:"400d" doc:"For how long who passed is remembered after its last mail; at least as long as window."`
	Passes    int           `toml:"passes" unit:"passes" default:"2" min:"0" max:"15" doc:"How many pairs of sender and recipient of one organization or network pass, at least a minute from each other, before all of its mail does. 0: each pair waits for itself."`
	Within    time.Duration `toml:"within" default:"24h" min:"1h" max:"400d" doc:"The time in which they have to pass; at most keep."`
}

// GreylistFor is the mode for some recipients.
type GreylistFor struct {
	Recipient string `toml:"recipient" max:"320" example:"sales@example.org" doc:"An address that we serve. Case does not count."`
	Domain    string `toml:"domain" max:"255" example:"example.org" doc:"A domain that we serve, or with a leading dot every name below it."`
	Mode      string `toml:"mode" enum:"off,suspicious,everyone" required:"true" doc:"Who waits that writes to them."`
	Note
}

// Validate wants times that fit each other.
func (o *GreylistOptions) Validate(report func(key, message, instead string)) {
	switch {
	case o.Window < o.Delay+time.Hour:
		report("window", "is less than an hour longer than delay: mail servers would come too late", "write a longer one")
	case o.Keep < o.Window:
		report("keep", "is shorter than window", "write a longer one")
	case o.Within > o.Keep:
		report("within", "is longer than keep", "write a shorter one")
	}
}

// Validate wants exactly one thing to compare with.
func (e *GreylistFor) Validate(report func(key, message, instead string)) {
	switch _, ok := e.compile(); {
	case (e.Recipient == "") == (e.Domain == ""):
		report("", "names not exactly one of recipient and domain", "write one of the two in each entry")
	case !ok && e.Recipient != "":
		report("recipient", strconv.Quote(e.Recipient)+" is no address", "write user@domain")
	case !ok:
		report("domain", strconv.Quote(e.Domain)+" is no domain", `write a name, or with a leading dot (".example.org") every name below it`)
	}
}

// settings are those of the engine.
func (o *GreylistOptions) settings() greylist.Settings {
	s := greylist.Settings{Delay: o.Delay, Window: o.Window, Keep: o.Keep, Passes: o.Passes, Within: o.Within}
	if s.Passes == 0 {
		s.Passes = -1
	}
	return s
}

// GreylistOf returns the settings of the greylist in a policy; the defaults, where the check is not configured.
func GreylistOf(configured map[string]Configured) greylist.Settings {
	if o, ok := configured["greylist"].Options.(*GreylistOptions); ok {
		return o.settings()
	}
	return greylist.Settings{}
}

// greylistReady reports whether the check has nothing to wait for.
func (d *Deps) greylistReady(in *gateway.Input) bool {
	mode := d.greylistMode(in)
	return mode == greyOff || d.greylistKnows(in, mode)
}

// greylistMode says who waits that writes to the recipient at hand; greyOff where this client never does.
func (d *Deps) greylistMode(in *gateway.Input) greyMode {
	if in.Envelope.From.IsNull() || d.neverWaits(in.Session) {
		return greyOff
	}
	return d.greylist.modeFor(in.Recipient().Address, in.Envelope.Started)
}

// greylistTries asks for the pair of the recipient at hand.
func (d *Deps) greylistTries(ctx context.Context, in *gateway.Input, a *shaping.Ask) {
	if mode := d.greylistMode(in); mode != greyOff {
		d.askGreylist(ctx, in, mode, in.Recipient().Address.Key(), a)
	}
}

func (d *Deps) runGreylist(ctx context.Context, in *gateway.Input) gateway.Finding {
	mode := d.greylistMode(in)
	if mode == greyOff {
		return notGreylisted()
	}
	g := d.guest(ctx, in)
	if !d.waits(ctx, in.Envelope, g, mode) {
		return g.spared()
	}
	return g.found(d.step(ctx, gateway.Rcpt, in), "waited")
}

// notGreylisted is the finding about who never waits.
func notGreylisted() gateway.Finding {
	return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
}

// spared is the finding about one that need not wait.
func (g *guest) spared() gateway.Finding {
	f := notGreylisted()
	f.Evidence = make([]gateway.Evidence, 0, 2)
	if g.why != "" {
		f = f.Show("never waits", g.why)
	} else {
		f = f.Show("suspicion", g.suspicion)
	}
	return f.Show(EvidenceGreylistSender, g.sender())
}

// sender is the evidence that tells known senders from new ones.
func (g *guest) sender() string {
	if g.seen {
		return GreylistKnownSender
	}
	return "new here"
}

// found is the finding about a guest, with the name of the measure of who waited. What is shown of it lets a person release
// it.
func (g *guest) found(st *step, waited string) gateway.Finding {
	t := &shaping.Try{Err: errNotAsked}
	if len(st.Tries) > 0 {
		t = &st.Tries[0]
	}
	var f gateway.Finding
	switch {
	case t.Err != nil:
		f = gateway.CouldNotTell(gateway.GreylistAway).Show("store", t.Err.Error())
	case t.Hold():
		f = gateway.Failed(gateway.GreylistWait, Seconds(t.Wait))
		f.RetryAfter = t.Wait
	case t.Outcome == greylist.Passed:
		f = gateway.Passed(gateway.Measure{Name: waited, Value: t.Waited.Round(time.Second).Seconds()})
	default:
		f = gateway.Passed()
	}
	f.Evidence = slices.Grow(f.Evidence, 8)
	f = f.Show(EvidenceGreylist, t.Outcome.String()).Show(EvidenceGreylistKey, t.Key.String()).
		Show(EvidenceGreylistIdentity, string(g.identity)).Show("suspicion", g.suspicion).Show(EvidenceGreylistSender, g.sender())
	if g.ifNarrow != "" {
		f = f.Show("wide record", "mail as from "+g.ifNarrow+" passed DMARC lately, but its SPF record lets too many pass")
	}
	if t.Wait > 0 {
		f = f.Show("wait", t.Wait.Round(time.Second).String())
	}
	if t.Err == nil && t.Alone {
		f = f.Show("store", "this node: Redis is away, or knows less")
	}
	return f
}

// Names of evidence that others look for: what came of the try, the key of the pair, its identity, and whether mail of the
// sender was accepted before.
const (
	EvidenceGreylist         = "greylist"
	EvidenceGreylistKey      = "key"
	EvidenceGreylistIdentity = "identity"
	EvidenceGreylistSender   = "sender"

	GreylistKnownSender = "known here"
)
