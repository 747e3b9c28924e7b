package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Resolver is the DNS that is asked, in the shape of net.Resolver. A *net.DNSError with IsNotFound says that there is
// nothing; any other error, and a context that ended, that DNS could not tell.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// Exists is false only for a name that does not exist (NXDOMAIN, RFC 8020).
	Exists(ctx context.Context, name string) (bool, error)
}

// maxIdentifiers bounds the authenticated identifiers that are looked at; what is behind them never aligns.
const maxIdentifiers = 16

// atOnce bounds the lookups of an author domain that are under way: a walk has eight at most, but a message may name domains
// for many walks, on name servers that never answer. It must not take the resolver away from others.
const atOnce = 16

// Discovery is what DNS says about one author domain. It is for one goroutine at a time.
type Discovery struct {
	Author string // as it is compared; "" if it is no name
	Method Method
	said   []answer // few: searched from the start
	exists *answer  // of the author domain; nil while it was not asked
}

// answer is what one name brought.
type answer struct {
	name    string
	record  *Record // nil: there is none, or there are several
	several bool
	exists  bool
	err     error // could not tell
}

// Discover asks for all records that an evaluation may need, at once: those of the author domain, and those of the domains
// that may turn out to be authenticated, as far as they could be of one organization with it. Each name is asked once.
func Discover(ctx context.Context, r Resolver, author string, candidates []string, m Method) *Discovery {
	d := &Discovery{Author: clean(author), Method: m}
	if d.Author == "" {
		return d
	}
	var names []string
	if m == PSL {
		names = append(names, d.Author, registered(d.Author))
	} else {
		names = walk(make([]string, 0, maxWalk), d.Author)
		for i, c := range candidates {
			if c = clean(c); i < maxIdentifiers && c != d.Author && !ends(common(c, d.Author)) {
				names = walk(names, c)
			}
		}
	}
	d.ask(ctx, r, names)
	return d
}

// ends reports whether two names that share no more than this cannot be one organization, but where a record says so.
func ends(shared string) bool { return shared == "" || isSuffix(shared) }

// Complete asks for what only shows when the first answers and the identifiers are known: nearly never anything. It is a
// walk that Discover did not foresee, or whether the author domain exists, where a record treats those that do not another
// way and the message does not pass.
func (d *Discovery) Complete(ctx context.Context, r Resolver, in *Input) {
	if d.Author == "" {
		return
	}
	if org, known := d.organization(d.Author); known && d.Method == TreeWalk {
		var names []string
		for _, id := range in.taken() {
			if domain := clean(id.Domain); domain != d.Author && under(domain, org) {
				names = walk(names, domain)
			}
		}
		d.ask(ctx, r, names)
	}
	if !d.wantsExistence() || d.Evaluate(in).Result == Pass {
		return
	}
	a := answer{name: d.Author}
	a.exists, a.err = r.Exists(ctx, d.Author)
	d.exists = &a
}

// ask looks up the records of those names that were not asked yet, at the same time.
func (d *Discovery) ask(ctx context.Context, r Resolver, names []string) {
	first := len(d.said)
	for _, name := range names {
		if d.at(name) == nil {
			d.said = append(d.said, answer{name: name})
		}
	}
	answers := d.said[first:]
	if len(answers) == 0 {
		return
	}
	var next atomic.Int32
	some := func() {
		for i := int(next.Add(1)); i <= len(answers); i = int(next.Add(1)) {
			answers[i-1].lookUp(ctx, r, d.Method)
		}
	}
	var wg sync.WaitGroup
	for range min(len(answers), atOnce) - 1 {
		wg.Go(some)
	}
	some()
	wg.Wait()
}

// at returns the answer about a name; nil if it was not asked.
func (d *Discovery) at(name string) *answer {
	for i := range d.said {
		if d.said[i].name == name {
			return &d.said[i]
		}
	}
	return nil
}

// lookUp asks for the record at one name. Several are none (RFC 9989 section 4.10, RFC 7489 section 6.6.3). A resolver that
// panics could not tell.
func (a *answer) lookUp(ctx context.Context, r Resolver, m Method) {
	defer func() {
		if v := recover(); v != nil {
			a.record, a.err = nil, fmt.Errorf("lookup of _dmarc.%s: panic: %v", a.name, v)
		}
	}()
	const label = "_dmarc."
	if len(label)+len(a.name) > 253 {
		return
	}
	texts, err := r.LookupTXT(ctx, label+a.name)
	if err != nil {
		switch e := (*net.DNSError)(nil); {
		case !errors.As(err, &e):
			a.err = fmt.Errorf("lookup of _dmarc.%s: %w", a.name, err)
		case !e.IsNotFound:
			a.err = fmt.Errorf("lookup of _dmarc.%s: %s", a.name, e.Err)
		}
		return
	}
	found := ""
	for _, text := range texts {
		if !IsRecord(text) {
			continue
		}
		if found != "" {
			a.several = true
			return
		}
		found = text
	}
	if found != "" {
		a.record = Parse(found, m)
	}
}

// psd is what a record says of its name, with what the public suffix list adds to silence.
func (a *answer) psd() PSD {
	if p := a.record.PSD; p != PSDUnsaid || !isSuffix(a.name) {
		return p
	}
	return PSDYes
}

// longer returns the longer of two names.
func longer(a, b string) string {
	if len(a) > len(b) {
		return a
	}
	return b
}

// organization returns the organizational domain of a name that was walked; false where DNS did not tell. It is never above
// what the public suffix list knows, but where a record says "psd=n": a registry with "psd=y" above another suffix, which
// says nothing, does not make one organization of those below that.
func (d *Discovery) organization(name string) (string, bool) {
	if d.Method == PSL {
		return registered(name), true
	}
	found := ""
	var room [maxWalk]string
	for i, at := range walk(room[:0], name) {
		a := d.at(at)
		switch {
		case a == nil:
			return "", false
		case a.err != nil:
			// What stands at a public suffix ends the organization, or nothing stands there.
			if found != "" && isSuffix(at) && found == registered(name) {
				return found, true
			}
			return "", false
		case a.record == nil:
			continue
		}
		switch psd := a.psd(); {
		case psd == PSDNo, psd == PSDYes && i == 0:
			return at, true
		case psd == PSDYes:
			return longer(childOn(name, at), registered(name)), true
		case a.record.Broken == "":
			found = at
		}
	}
	if found == "" {
		return name, true
	}
	return found, true
}

// governing returns the answer with the record that holds for the author domain: its own, its organization's, or that of
// the public suffix above (RFC 9989 section 4.10.1; RFC 7489 section 6.6.3 knows the first two). It has no record where
// there is none, and an error where DNS did not tell.
func (d *Discovery) governing() *answer {
	own := d.at(d.Author)
	if own.err != nil || own.record != nil {
		return own
	}
	org, known := d.organization(d.Author)
	if !known {
		return &answer{err: d.firstError()}
	}
	if a := d.at(org); org != d.Author && a != nil && (a.err != nil || a.record != nil || d.Method == PSL) {
		return a
	}
	var room [maxWalk]string
	for _, at := range walk(room[:0], d.Author) {
		if a := d.at(at); d.Method == TreeWalk && a != nil && a.record != nil && a.psd() == PSDYes {
			return a
		}
	}
	return own
}

// firstError is why the walk of the author domain could not tell.
func (d *Discovery) firstError() error {
	var room [maxWalk]string
	for _, at := range walk(room[:0], d.Author) {
		if a := d.at(at); a != nil && a.err != nil {
			return a.err
		}
	}
	return errors.New("not asked")
}

// wantsExistence reports whether it matters if the author domain exists (RFC 9989 section 4.7, tag np).
func (d *Discovery) wantsExistence() bool {
	a := d.governing()
	r := a.record
	return d.Method == TreeWalk && d.exists == nil && a.err == nil && r != nil && r.Broken == "" && a.name != d.Author &&
		r.Nonexistent != Unsaid && r.Nonexistent != r.inherited()
}

// inherited is what a record asks for sub-domains that exist.
func (r *Record) inherited() Policy {
	if r.Sub != Unsaid {
		return r.Sub
	}
	return r.Policy
}
