package dmarc

import (
	"context"
	"fmt"
)

// Result is what DMARC says of a message, in the words of RFC 8601 and RFC 9989 section 9.2.
type Result string

// The results. The zero value is not one of them: it is never a pass.
const (
	NoRecord  Result = "none"      // no policy record holds for the author domain
	Pass      Result = "pass"      // an aligned identifier was authenticated
	Fail      Result = "fail"      // none was
	TempError Result = "temperror" // DNS did not tell, and it matters
	PermError Result = "permerror" // the record, or the author domain, is broken
)

// Input is what evaluation is told.
type Input struct {
	Identifiers []Identifier
	// Sample, 0 to 99, stands for the message under "pct" (PSL): one below pct is sampled. The same message should always
	// get the same. It is reduced to that range.
	Sample uint32
}

// Identifier is a domain that was authenticated, or may have been.
type Identifier struct {
	Method string // "spf": that of the MAIL FROM identity (RFC 7208 section 2.4); or "dkim": d= of a signature
	Domain string // an A-label
	// Unsure says that its method could not tell (temperror). It never makes a pass; only what would align keeps the
	// message from failing: anybody can add a signature of a domain whose DNS does not answer.
	Unsure bool
}

// Outcome is what an evaluation says.
type Outcome struct {
	Result       Result
	Author       string // the author domain as it was compared
	Method       Method
	Organization string  // of the author domain; "" where DNS did not tell
	PolicyDomain string  // where the record is; "" without one
	Record       *Record // nil without one; shared, not to be changed
	Tag          string  // where the policy is from: "p", "sp" or "np"; "" without a record
	Published    Policy  // as the tag says
	Requested    Policy  // what the owner asks for this message if it fails: Published, lowered by "t" or "pct"; Unsaid without a usable record
	Why          string  // of TempError and PermError
	Alignments   []Alignment
	// Author is authenticated as it stands (Identical), whatever its record may say: of a TempError, that DNS hides only
	// what the owner asks for others' mail.
	Identical bool
}

// Alignment is what became of one identifier.
type Alignment struct {
	Identifier
	Aligned      Alignedness
	Organization string // "" where it was not needed or not found
	Why          string // why it is aligned, or not
}

// Alignedness tells whether an identifier is aligned with the author domain. The zero value is that it is not.
type Alignedness uint8

// Whether an identifier is aligned.
const (
	NotAligned Alignedness = iota
	MaybeAligned
	IsAligned
)

// taken are the identifiers that are looked at.
func (in *Input) taken() []Identifier {
	return in.Identifiers[:min(len(in.Identifiers), maxIdentifiers)]
}

// Check is discovery and evaluation in one, where all is known from the start.
func Check(ctx context.Context, r Resolver, author string, in *Input, m Method) *Outcome {
	candidates := make([]string, 0, maxIdentifiers)
	for _, id := range in.taken() {
		candidates = append(candidates, id.Domain)
	}
	d := Discover(ctx, r, author, candidates, m)
	d.Complete(ctx, r, in)
	return d.Evaluate(in)
}

// Evaluate tells what follows from what DNS said. It asks nothing and changes nothing.
func (d *Discovery) Evaluate(in *Input) *Outcome {
	out := &Outcome{Author: d.Author, Method: d.Method}
	if d.Author == "" {
		out.Result, out.Why = PermError, "the author domain is no domain name"
		return out
	}
	out.Organization, _ = d.organization(d.Author)
	a := d.governing()
	out.Record = a.record
	if a.record != nil {
		out.PolicyDomain = a.name
	}
	d.align(in, out)
	switch {
	case a.err != nil:
		out.Result, out.Why = TempError, a.err.Error()
	case a.record == nil:
		out.Result = NoRecord
		if a.several {
			out.Why = "several records at one name are none"
		}
	case a.record.Broken != "":
		out.Result, out.Why = PermError, a.record.Broken
	default:
		out.Result = d.decide(in, out)
	}
	return out
}

// decide is for an author domain with a usable record.
func (d *Discovery) decide(in *Input, out *Outcome) Result {
	existenceUnknown := d.policy(in, out)
	result := Fail
	for i := range out.Alignments {
		switch al := &out.Alignments[i]; {
		case al.Aligned == IsAligned && !al.Unsure:
			return Pass
		case al.Aligned != NotAligned && result == Fail:
			result, out.Why = TempError, al.Method+" of "+al.Domain+" could not be told"
			if !al.Unsure {
				out.Why = "whether " + al.Domain + " is of one organization with the author could not be told"
			}
		}
	}
	if result == Fail && existenceUnknown != nil {
		result, out.Why = TempError, existenceUnknown.Error()
	}
	return result
}

// policy fills in what the owner asks for. It returns why it could not tell whether the domain exists, where that matters.
func (d *Discovery) policy(in *Input, out *Outcome) (unknown error) {
	r := out.Record
	out.Tag, out.Published = "p", r.Policy
	if out.PolicyDomain != d.Author {
		if r.Sub != Unsaid {
			out.Tag, out.Published = "sp", r.Sub
		}
		if e := d.exists; e != nil && e.err != nil {
			unknown = fmt.Errorf("whether %s exists: %w", d.Author, e.err)
		} else if e != nil && !e.exists && r.Nonexistent != Unsaid {
			out.Tag, out.Published = "np", r.Nonexistent
		}
	}
	out.Requested = out.Published
	if out.Published > None && (r.Testing || int(in.Sample%100) >= r.Percent) {
		out.Requested--
	}
	return unknown
}

// align fills in what becomes of each identifier. Without a record to read, alignment is relaxed: it is only shown then.
func (d *Discovery) align(in *Input, out *Outcome) {
	if len(in.Identifiers) == 0 {
		return
	}
	out.Alignments = make([]Alignment, 0, len(in.taken()))
	for _, id := range in.taken() {
		strict := false
		if r := out.Record; r != nil {
			strict = id.Method == "spf" && r.StrictSPF || id.Method != "spf" && r.StrictDKIM
		}
		al := d.alignment(id, strict, out.Organization)
		out.Identical = out.Identical || al.Domain == d.Author && !al.Unsure
		out.Alignments = append(out.Alignments, al)
	}
}

// alignment compares one identifier with the author domain (RFC 9989 section 4.10.2, RFC 7489 section 3.1). org is the
// author's organization, or "" where DNS did not tell.
func (d *Discovery) alignment(id Identifier, strict bool, org string) Alignment {
	al := Alignment{Identifier: id}
	al.Domain = clean(id.Domain)
	shared := common(al.Domain, d.Author)
	switch {
	case al.Domain == "":
		al.Domain, al.Why = id.Domain, "no domain name"
	case al.Domain == d.Author:
		al.Aligned, al.Why = IsAligned, "the author domain itself"
	case strict:
		al.Why = "another domain, and the record asks for strict alignment"
	case org != "" && !under(al.Domain, org), org == "" && ends(shared) && !d.joined(shared):
		al.Why = "another organization"
	case org == "":
		al.Aligned, al.Why = MaybeAligned, "the author's organization could not be told"
	default:
		var known bool
		if al.Organization, known = d.organization(al.Domain); !known {
			al.Aligned, al.Why = MaybeAligned, "its organization could not be told"
		} else if al.Organization == org {
			al.Aligned, al.Why = IsAligned, "of one organization, "+org
		} else {
			al.Why = "another organization, " + al.Organization
		}
	}
	return al
}

// joined reports whether a record says that a public suffix is one organization.
func (d *Discovery) joined(suffix string) bool {
	a := d.at(suffix)
	return a != nil && a.record != nil && a.record.PSD == PSDNo
}
