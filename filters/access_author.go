package filters

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/author"
	"gatepost/internal/dmarc"
	"gatepost/internal/freemail"
)

// accessAuthor is the site's own list of authors whose mail is wanted. Whom the message names in From is anybody's choice:
// an entry counts only where DMARC proves it.
func accessAuthor() Definition {
	return Definition{
		Name: "access.author", Stage: gateway.Data, Class: gateway.ClassList,
		Doc:     "Is the author in From on this site's own allow list, and does DMARC prove that it is he? Then what was found by opinions, lists and limits does not count; never what a message holds, whom it poses as, malware, recipients or relaying. Where nothing proves it the entry is not used, and the trace says so. What is refused before the message is there is not helped by it.",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{gateway.AllowMeasure, "the author is allowed, and DMARC proves his domain", 0},
			{"unproven", "the author is allowed, and nothing proves that it is he", 0},
		},
		Options: &AuthorEntries{},
		Build: func(options any, d *Deps) (Built, error) {
			rules := options.(*AuthorEntries).compile()
			if len(rules) == 0 || d.Resolver == nil {
				return Built{}, nil
			}
			d.authors = true
			return Built{Run: func(ctx context.Context, in *gateway.Input) gateway.Finding { return rules.find(ctx, d, in.Envelope) }}, nil
		},
	}
}

// AuthorEntries are the options of checks.access.author.
type AuthorEntries struct {
	Entries []AuthorEntry `toml:"entry" doc:"One author, or the authors of one domain, to allow where DMARC proves them."`
}

// AuthorEntry allows one author, or all of a domain. Nobody is allowed for ever, nor for reasons that nobody remembers.
type AuthorEntry struct {
	Address string    `toml:"address" max:"320" required:"true" example:"@partner.example" doc:"The author in From: user@domain, @domain, or @.domain for every name below it. Case does not count. It counts only where DMARC passes for it."`
	Owner   string    `toml:"owner" max:"100" required:"true" example:"anna" doc:"Who wanted the entry."`
	Reason  string    `toml:"reason" max:"200" required:"true" example:"ticket 4711" doc:"Why. It is shown in the trace, never to the sender."`
	Expires EntryDate `toml:"expires" required:"true" example:"2027-06-30" doc:"The last day, in UTC, on which the entry counts."`
}

func (e *AuthorEntry) note() *Note {
	return &Note{Owner: e.Owner, Reason: e.Reason, Expires: e.Expires}
}

// Validate refuses whom everybody can be, and what cannot match.
func (e *AuthorEntry) Validate(report func(key, message, instead string)) {
	for _, k := range [...][2]string{{"owner", e.Owner}, {"reason", e.Reason}} {
		if strings.TrimSpace(k[1]) == "" {
			report(k[0], "is empty", "write who wanted the entry, and why: whoever comes after you cannot know")
		}
	}
	if e.Address == "" {
		return
	}
	r, ok := e.compile()
	if !ok {
		report("address", strconv.Quote(e.Address)+" is no address", `write user@domain, "@domain" for a whole domain, or "@.domain" for the names below it`)
		return
	}
	domain := strings.TrimPrefix(r.domain, ".")
	if why := freemail.Shared(domain); why != "" {
		report("address", why+": that a message comes from there says nothing of who wrote it", "let its recipients release it from quarantine, or write a [[rule]] for them (to); an address there can be broken into as easily as it was made")
	} else if below := "any." + domain; dmarc.Registered(below) == below { // a public suffix
		report("address", strconv.Quote(e.Address)+" is everybody below "+domain, "name the domain of one organization")
	}
}

// Warn tells of an entry that is over.
func (e *AuthorEntry) Warn(report func(key, message, instead string)) {
	if e.note().over(time.Now()) {
		report("expires", "is over: the entry does nothing", "remove the entry, or write another day")
	}
}

// authorRule is an entry in the form that authors are compared with.
type authorRule struct {
	senderRule
	note *Note
}

type authorRules []authorRule

func (e *AuthorEntry) compile() (senderRule, bool) {
	return (&SenderEntry{Address: e.Address}).compile()
}

// compile leaves out what can never match; Validate has reported it.
func (o *AuthorEntries) compile() (out authorRules) {
	for i := range o.Entries {
		if r, ok := o.Entries[i].compile(); ok {
			out = append(out, authorRule{r, o.Entries[i].note()})
		}
	}
	return out
}

// hit is the first entry that names one of the authors, and whether it still counts: one that is over is only told of.
func (rules authorRules) hit(a *author.Author, now time.Time) (hit *authorRule, over bool) {
	for i := range rules {
		r := &rules[i]
		for k := range a.Addresses {
			if from := &a.Addresses[k]; !r.matches(gateway.Address{Local: from.Local, Domain: from.Domain}) {
				continue
			}
			if !r.note.over(now) {
				return r, false
			}
			hit, over = r, true
		}
	}
	return hit, over
}

// unused is the name of the evidence that tells why an entry was not used.
const unused = "allow entry not used"

func (rules authorRules) find(ctx context.Context, d *Deps, e *gateway.Envelope) gateway.Finding {
	from := authorOf(e)
	hit, over := rules.hit(&from, e.Started)
	if hit == nil {
		return gateway.Passed()
	}
	entry := "allow " + hit.note.text(hit.entry.Address)
	switch {
	case over:
		return gateway.Passed().Show(unused, "it is over").Show("entry", entry)
	case d.dmarc == nil:
		return hit.unproven().Show(unused, "not authenticated: checks.dmarc is off").Show("entry", entry)
	}
	a := d.dmarcShared(ctx, e)
	if a.asked == nil {
		return gateway.CouldNotTell(gateway.CheckPanicked).Show(unused, "not authenticated: what DMARC says could not be told").Show("entry", entry)
	}
	proven, why := a.proven(from)
	switch {
	case proven != "":
		return hit.allows().Show("entry", entry).Show("proven", proven)
	case a.Outcome != nil && a.Result == dmarc.TempError:
		return gateway.CouldNotTell(gateway.DNSFailed, from.Domain).Show(unused, "not authenticated: "+why).Show("entry", entry)
	}
	return hit.unproven().Show(unused, "not authenticated: "+why).Show("entry", entry)
}

// unproven is the finding that anybody may have written that author's name into From.
func (r *authorRule) unproven() gateway.Finding {
	return gateway.Failed(gateway.AccessUnproven, gateway.CleanText(r.entry.Address, 320)).With(gateway.Yes("unproven"))
}

// allows is the finding that it is he.
func (r *authorRule) allows() gateway.Finding {
	return gateway.Passed(gateway.Measure{Name: gateway.AllowMeasure, Value: 1, Text: r.entry.Address})
}
