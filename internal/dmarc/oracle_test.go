package dmarc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// oracle is DMARC as the text of RFC 9989 and RFC 7489 reads, one step after another, slowly, over a DNS that answers. It
// shares no code with the package but Parse.
type oracle struct {
	w *world
	m Method
}

// record is what is published at a name, and whether one is.
func (o oracle) record(name string) *Record {
	var found []*Record
	for _, text := range o.w.texts["_dmarc."+name] {
		if r := Parse(text, o.m); r != nil {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

func (o oracle) psd(name string) PSD {
	r := o.record(name)
	if suffix, _ := publicsuffix.PublicSuffix(name); r.PSD == PSDUnsaid && suffix == name {
		return PSDYes // ours, not the RFC's
	}
	return r.PSD
}

// path are the names of a tree walk: RFC 9989 section 4.10, steps 1 to 7, up to where it stops.
func (o oracle) path(domain string) (found []string) {
	target := domain
	for first := true; ; first = false {
		if r := o.record(target); r != nil {
			found = append(found, target)
			if o.psd(target) != PSDUnsaid {
				return found
			}
		}
		labels := strings.Split(target, ".")
		if first && len(labels) >= 8 {
			labels = labels[len(labels)-7:]
		} else {
			labels = labels[1:]
		}
		if len(labels) == 0 {
			return found
		}
		target = strings.Join(labels, ".")
	}
}

// org is RFC 9989 section 4.10.2, or RFC 7489 section 3.2.
func (o oracle) org(domain string) string {
	if o.m == PSL {
		if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
			return org
		}
		return domain
	}
	best := domain
	for i, name := range o.path(domain) {
		if o.psd(name) == PSDNo {
			return name
		}
		if o.psd(name) == PSDYes {
			if i == 0 && name == domain {
				return domain
			}
			labels := strings.Split(domain, ".")
			org := strings.Join(labels[len(labels)-len(strings.Split(name, "."))-1:], ".")
			if listed := (oracle{o.w, PSL}).org(domain); len(listed) > len(org) { // ours, not the RFC's
				return listed
			}
			return org
		}
		if o.record(name).Broken == "" {
			best = name
		}
	}
	return best
}

// policy is RFC 9989 section 4.10.1: the domain of the record, and the record.
func (o oracle) policy(author string) (string, *Record) {
	if r := o.record(author); r != nil {
		return author, r
	}
	if org := o.org(author); o.record(org) != nil {
		return org, o.record(org)
	}
	if o.m == TreeWalk {
		for _, name := range o.path(author) {
			if o.psd(name) == PSDYes {
				return name, o.record(name)
			}
		}
	}
	return "", nil
}

func (o oracle) evaluate(author string, in *Input) (Result, string, Policy) {
	where, r := o.policy(author)
	if r == nil {
		return NoRecord, "", Unsaid
	}
	if r.Broken != "" {
		return PermError, where, Unsaid
	}
	aligned, maybe := false, false
	for _, id := range in.Identifiers {
		strict := r.StrictDKIM
		if id.Method == "spf" {
			strict = r.StrictSPF
		}
		if id.Domain == author || !strict && o.org(id.Domain) == o.org(author) {
			aligned, maybe = aligned || !id.Unsure, maybe || id.Unsure
		}
	}
	p := r.Policy
	if where != author {
		if r.Sub != Unsaid {
			p = r.Sub
		}
		if exists, _ := o.w.Exists(context.Background(), author); !exists && r.Nonexistent != Unsaid {
			p = r.Nonexistent
		}
	}
	if p > None && (r.Testing || r.Percent <= int(in.Sample)) {
		p--
	}
	switch {
	case aligned:
		return Pass, where, p
	case maybe:
		return TempError, where, p
	}
	return Fail, where, p
}

// dice makes worlds in which much is related: few labels below few suffixes, and records of every kind.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

func (d dice) name() string {
	name := pick(d, "com", "co.uk", "uk", "github.io", "io", "nosuch", "a.com", "a.com", "a.com", "b.com", "a.co.uk", "a.github.io", "b.github.io")
	for range d.IntN(4) {
		name = pick(d, "a", "b", "m") + "." + name
	}
	if d.IntN(30) == 0 {
		name = strings.Repeat("a.", 3+d.IntN(5)) + name
	}
	return name
}

func (d dice) record() string {
	return "v=DMARC1" + pick(d, "", "; p=none", "; p=quarantine", "; p=reject", "; p=reject", "; p=broken") + pick(d, "", "", "; sp=none", "; sp=quarantine", "; sp=x") +
		pick(d, "", "", "; np=reject", "; np=none") + pick(d, "", "", "; adkim=s", "; aspf=s") + pick(d, "", "", "", "; psd=n", "; psd=y") +
		pick(d, "", "", "; t=y") + pick(d, "", "", "; pct=0", "; pct=30") + pick(d, "", "; rua=mailto:a@b.example")
}

func (d dice) world() *world {
	w := zone()
	for range d.IntN(7) {
		name := "_dmarc." + d.name()
		for range pick(d, 1, 1, 1, 1, 2) {
			w.texts[name] = append(w.texts[name], pick(d, d.record(), d.record(), d.record(), d.record(), "v=spf1 -all"))
		}
	}
	if d.IntN(2) == 0 {
		w.exists[d.name()] = true
	}
	return w
}

func (d dice) input(author string) *Input {
	in := &Input{Sample: d.Uint32N(100)}
	for range d.IntN(4) {
		id := Identifier{Method: pick(d, "spf", "dkim"), Domain: d.name(), Unsure: d.IntN(4) == 0}
		if d.IntN(3) == 0 {
			id.Domain = pick(d, "x.", "", "a.b.") + author
		}
		in.Identifiers = append(in.Identifiers, id)
	}
	return in
}

// describe tells a world for whoever has to look at one.
func (w *world) describe() string { return fmt.Sprintf("texts %q failing %v", w.texts, w.failing) }

// TestOracle compares the package with the oracle in random worlds that answer: the same result, record and policy; each
// name is asked once, and a walk never asks more than eight names.
func TestOracle(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(9989, 7489))}
	results := map[Result]int{}
	for range 60_000 {
		w, author := d.world(), d.name()
		in := d.input(author)
		for _, m := range []Method{TreeWalk, PSL} {
			w.asked = nil
			out := Check(t.Context(), w, author, in, m)
			if n := len(w.questions(t)); n > maxWalk*(1+len(in.Identifiers))+1 {
				t.Errorf("%d questions", n)
			}
			late := Discover(t.Context(), w, author, nil, m) // nobody claimed anything before
			late.Complete(t.Context(), w, in)
			if a, b := told(out), told(late.Evaluate(in)); a != b {
				t.Fatalf("%s, author %s, %+v:\n%s\nwithout candidates\n%s\n%s", m, author, in, a, b, w.describe())
			}
			result, where, policy := oracle{w, m}.evaluate(author, in)
			results[result]++
			if out.Result != result || out.PolicyDomain != where || result != Pass && out.Requested != policy || out.Organization != (oracle{w, m}).org(author) {
				t.Fatalf("%s, author %s, %+v:\n%s\nthe oracle says %s record=%s asks=%s org=%s\n%s", m, author, in, told(out), result, where, policy,
					oracle{w, m}.org(author), w.describe())
			}
		}
	}
	for _, r := range []Result{NoRecord, Pass, Fail, TempError, PermError} {
		if results[r] < 500 {
			t.Errorf("%s came %d times only", r, results[r])
		}
	}
}

// TestNoForgedAuthor shows, by the oracle, that whatever fails, whatever anybody publishes and however many identifiers an
// attacker has, a pass means a sure identifier of the author's own organization and a record that holds for it; and that
// what is said of a world in which some names do not answer is true whatever those names would have said.
func TestNoForgedAuthor(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	passes, settled := 0, 0
	for range 60_000 {
		w, author := d.world(), d.name()
		in := d.input(author)
		var names []string
		for range d.IntN(3) {
			names = append(names, "_dmarc."+pick(d, d.name(), author, parent(author), last(author, 1)))
			w.failing[names[len(names)-1]] = true
		}
		for _, m := range []Method{TreeWalk, PSL} {
			out := Check(t.Context(), w, author, in, m)
			if out.Result == TempError {
				continue
			}
			settled++
			for range 4 {
				full := &world{texts: map[string][]string{}, exists: w.exists}
				for name, texts := range w.texts {
					full.texts[name] = texts
				}
				for _, name := range names {
					delete(full.texts, name)
					at := strings.TrimPrefix(name, "_dmarc.")
					if r := d.record(); d.IntN(2) == 0 && !(isSuffix(at) && strings.Contains(r, "psd=n")) { // as evaluation supposes
						full.texts[name] = []string{r}
					}
				}
				o := oracle{full, m}
				if result, _, _ := o.evaluate(author, in); result != out.Result {
					t.Fatalf("%s, author %s, %+v:\n%s\nbut it may be %s\n%s\n%s", m, author, in, told(out), result, w.describe(), full.describe())
				}
				if out.Result != Pass {
					continue
				}
				passes++
				same := false
				for _, id := range in.Identifiers {
					same = same || !id.Unsure && o.org(id.Domain) == o.org(author)
				}
				if !same {
					t.Fatalf("%s, author %s passes with %+v\n%s", m, author, in, full.describe())
				}
			}
		}
	}
	if passes < 2000 || settled < 20_000 {
		t.Errorf("%d passes, %d settled", passes, settled)
	}
}
