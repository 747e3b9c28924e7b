package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/tls/certs"
	"gatepost/tls/certs/acme"
)

// States of a certificate.
const (
	certificateOK      = "ok"
	certificateLate    = "late"    // a third of its life is left, and its successor did not come
	certificateExpired = "expired" // or not good yet
	certificateBad     = "bad"     // the files hold another one, which cannot be used
	certificateMissing = "missing" // none came from the authority so far
	certificateNames   = "names"   // senders are led here by a name that no certificate covers
)

// certificateState is one certificate that is shown.
type certificateState struct {
	Source  string   `json:"source"`
	State   string   `json:"state"`
	Days    int      `json:"days_left"`
	Why     string   `json:"why"`     // what is wrong, in one line; "" where nothing is
	Do      []string `json:"do"`      // about it, in words
	SNI     []string `json:"sni"`     // names for which it is the first choice
	Old     []string `json:"sni_old"` // names for which it is that of clients that cannot verify the kinds of keys before it
	Default bool     `json:"default"` // the first choice for clients that ask for no name, or for one that no certificate has
	OldToo  bool     `json:"default_old"`
	certs.Facts
	Missing []string         `json:"missing,omitempty"`     // of the default: names at which senders come, and which no certificate covers
	Bad     string           `json:"bad,omitempty"`         // why what its files hold now cannot be used
	Since   time.Time        `json:"bad_since,omitzero"`    //
	Next    *nextCertificate `json:"next,omitempty"`        // held back
	Renewal time.Time        `json:"next_renewal,omitzero"` // when an authority is asked for the next one
	Told    string           `json:"renewal,omitempty"`     // what came of the last time
}

// nextCertificate is one that is good, and whose key may not be shown yet.
type nextCertificate struct {
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	certs.Facts
}

// certificateStates tells of each certificate that is shown, the default first.
func (d *daemon) certificateStates(now time.Time) []certificateState {
	all, files := d.certificates.All(), d.files.State()
	looked := slices.Clone(all)
	for _, f := range files {
		if f.Next != nil {
			looked = append(looked, certs.Shown{Source: f.Source, Certificate: f.Next})
		}
	}
	facts := d.examined.of(looked, now)
	out, next := statesOf(all, facts[:len(all)], now), facts[len(all):]
	for _, f := range files {
		var waits *nextCertificate
		if f.Next != nil {
			waits, next = &nextCertificate{f.Why, f.Held, next[0]}, next[1:]
		}
		at := slices.IndexFunc(out, func(c certificateState) bool { return c.Source == f.Source })
		if at < 0 {
			continue
		}
		c := &out[at]
		c.Next = waits
		c.Notes = slices.Concat(f.Notes, c.Notes)
		if f.Bad != nil {
			c.Bad, c.Since = outside(unreadable(f.Bad)).Error(), f.Since
			if c.State == certificateOK {
				c.State = certificateBad
			}
		}
	}
	d.findMissing(out)
	for i := range out {
		if d.renewal != nil {
			out[i].Renewal, out[i].Told = d.renewal(out[i].Source)
		}
		out[i].tell()
	}
	return out
}

// statesOf tells what follows from the certificates themselves.
func statesOf(all []certs.Shown, facts []certs.Facts, now time.Time) (out []certificateState) {
	taken := map[string][]string{} // kinds of keys by name; "": of all
	for i, s := range all {
		c := certificateState{Source: s.Source, SNI: []string{}, Old: []string{}, Default: i == 0, State: certificateOK, Facts: facts[i],
			Days: int(facts[i].NotAfter.Sub(now) / (24 * time.Hour))}
		kind, _, _ := strings.Cut(c.Key, " ")
		for _, n := range c.Names {
			switch kinds := taken[n]; {
			case len(kinds) == 0:
				c.SNI = append(c.SNI, n)
			case !slices.Contains(kinds, kind):
				c.Old = append(c.Old, n)
			}
			taken[n] = append(taken[n], kind)
		}
		c.OldToo = i > 0 && !slices.Contains(taken[""], kind)
		taken[""] = append(taken[""], kind)
		if leaf := s.Certificate.Leaf; s.Source != sourceSelfSigned {
			switch {
			case certs.Dates(leaf, now) != "":
				c.State = certificateExpired
			case certs.Late(leaf, now):
				c.State = certificateLate
			}
		}
		out = append(out, c)
	}
	return out
}

// findMissing looks for hosts of ours that MX records name and no certificate covers: who verifies us sends them nothing.
func (d *daemon) findMissing(all []certificateState) {
	if len(all) == 0 || all[0].Source == sourceSelfSigned {
		return
	}
	d.tlsa.mu.Lock()
	hosts := d.tlsa.hosts
	d.tlsa.mu.Unlock()
	c := &all[0]
	for i := range hosts {
		if h := &hosts[i]; len(h.Domains) > 0 && !d.certificates.Covers(h.Host) {
			c.Missing = append(c.Missing, h.Host)
		}
	}
	if len(c.Missing) > 0 && c.State == certificateOK {
		c.State = certificateNames
	}
	if own := d.bootstrap.Hostname; !d.certificates.Covers(own) && !slices.Contains(c.Missing, own) {
		c.Notes = append(slices.Clone(c.Notes), uncovered(own))
	}
}

// name is the one under which people know it.
func (c *certificateState) name() string {
	if len(c.Names) > 0 {
		return c.Names[0]
	}
	return c.Subject
}

// told says in one line what is wrong.
func (c *certificateState) told() string {
	var out string
	switch c.State {
	case certificateExpired:
		out = "expired on " + c.NotAfter.UTC().Format(time.DateOnly)
		if c.NotBefore.After(time.Now()) {
			out = "is not good before " + c.NotBefore.UTC().Format(time.DateTime) + ": look at the clock"
		}
	case certificateLate:
		out = fmt.Sprintf("%d days are left, and its successor did not come", c.Days)
	}
	if len(c.Missing) > 0 {
		out = strings.TrimPrefix(out+"; MX records lead senders here by "+strings.Join(c.Missing, ", ")+", and no certificate covers that", "; ")
	}
	for _, more := range []string{c.Bad, c.Told} {
		if more != "" {
			out = strings.TrimPrefix(out+"; "+more, "; ")
		}
	}
	if c.Next != nil {
		out = strings.TrimPrefix(out+"; its successor is held back: "+c.Next.Why, "; ")
	}
	return out
}

// certificatesVerb answers gatepost tls status.
func (d *daemon) certificatesVerb(context.Context, *struct{}) ([]certificateState, error) {
	out := d.certificateStates(time.Now())
	if d.acme != nil {
		for _, c := range d.acme.missing() {
			c.tell()
			out = append(out, c)
		}
	}
	return out, nil
}

// tlsStatus shows the certificates of the running daemon, or of the files where it does not run.
func tlsStatus(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "tls status")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	all, err := cli.List[certificateState](ctx, e, f, certificatesQuestion(), &struct{}{})
	if errors.Is(err, control.ErrNotRunning) {
		fmt.Fprintln(e.Err, "the daemon does not run: this is what the files hold, and what it would show")
		all, err = certificatesOfFiles(f.Config, time.Now())
	}
	if err != nil {
		return cli.Complain(e, "tls status", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, all); code != cli.Done {
			return code
		}
	} else {
		for i := range all {
			all[i].print(e.Out)
		}
		if len(all) == 0 {
			fmt.Fprintln(e.Out, "there is no certificate yet: the daemon makes one of its own at its first start")
		}
	}
	if slices.ContainsFunc(all, func(c certificateState) bool { return c.State != certificateOK }) {
		return cli.Found
	}
	return cli.Done
}

// certificatesOfFiles reads what the documents name; of no file, the certificate of our own.
func certificatesOfFiles(path string, now time.Time) ([]certificateState, error) {
	c, problems := config.Load(path, sections())
	if c == nil {
		return nil, problems.Err()
	}
	set, notes, err := setOfFiles(c.Bootstrap)
	if err != nil {
		return nil, err
	}
	all := set.All()
	var facts []certs.Facts
	for i, s := range all {
		f := certs.Examine(s.Certificate, nil, now)
		f.Notes = slices.Concat(notes[i], f.Notes)
		facts = append(facts, f)
	}
	out := statesOf(all, facts, now)
	if len(out) > 0 && !set.Covers(c.Bootstrap.Hostname) {
		out[0].Notes = append(out[0].Notes, uncovered(c.Bootstrap.Hostname))
	}
	for i := range out {
		out[i].tell()
	}
	return out, nil
}

// setOfFiles is what a daemon would show that starts with these files, and with what an authority gave, with the notes of each;
// of none, the certificate of our own, if there is one by now.
func setOfFiles(b *config.Bootstrap) (*certs.Set, [][]string, error) {
	set, notes := new(certs.Set), [][]string{}
	for _, p := range pairs(b) {
		c, told, err := p.Read()
		if err != nil {
			return nil, nil, err
		}
		set.Put(certs.FileSource(p.Certificate), c)
		notes = append(notes, told)
	}
	for _, e := range entriesOf(b) {
		shown, _, err := acme.Kept(certificateFolder(b.StateDir), &e)
		if err != nil {
			return nil, nil, err
		}
		set.Put(sourceACME+e.Name(), shown...)
		notes = append(notes, make([][]string, len(shown))...)
	}
	if len(notes) == 0 {
		c, told, err := certs.SelfSignedPair(b.StateDir).Read()
		switch {
		case err == nil:
			set.Fallback(sourceSelfSigned, c)
			notes = append(notes, told)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, err
		}
	}
	return set, notes, nil
}

// who are the clients that are shown it.
func (c *certificateState) who() (out []string) {
	const unnamed = "clients that ask for no name, or for one that no certificate has"
	kind, _, _ := strings.Cut(c.Key, " ")
	if len(c.SNI) > 0 {
		out = append(out, "clients that ask for "+strings.Join(c.SNI, ", "))
	}
	if len(c.Old) > 0 {
		out = append(out, "clients that ask for "+strings.Join(c.Old, ", ")+" and can verify "+kind+" only")
	}
	if c.Default {
		out = append(out, unnamed)
	}
	if c.OldToo {
		out = append(out, unnamed+", and can verify "+kind+" only")
	}
	if len(out) == 0 {
		out = append(out, "nobody: others come before it")
	}
	return out
}

// renews tells when the next one is asked for, and what came of the last time; "" where nobody is asked.
func (c *certificateState) renews() string {
	if c.Renewal.IsZero() {
		return c.Told
	}
	return strings.TrimSuffix(c.Renewal.UTC().Format(time.DateTime)+"; "+c.Told, "; ")
}

// print shows one certificate to people.
func (c *certificateState) print(w io.Writer) {
	if c.State == certificateMissing {
		fmt.Fprintf(w, "FAIL %s: no certificate came so far for %s\n     %-13s %s\n", c.Source, strings.Join(c.Names, ", "), "next try", c.renews())
		return
	}
	word := "ok  "
	if c.State != certificateOK {
		word = "FAIL"
	}
	fmt.Fprintf(w, "%s %s: %s, %s, %d days left, until %s\n", word, c.Source, c.name(), c.Key, c.Days, c.NotAfter.UTC().Format(time.DateTime))
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "     %-13s %s\n", what, fmt.Sprintf(format, args...))
	}
	if c.State != certificateOK {
		line("alarm", "%s", c.told())
	}
	for _, what := range c.Do {
		line("do", "%s", what)
	}
	for _, who := range c.who() {
		line("shown to", "%s", who)
	}
	line("names", "%s", strings.Join(c.Names, ", "))
	line("issuer", "%s", c.Issuer)
	line("chain", "%s", strings.TrimSuffix(string(c.Chain)+": "+c.Detail, ": "))
	line("valid", "%s to %s", c.NotBefore.UTC().Format(time.DateTime), c.NotAfter.UTC().Format(time.DateTime))
	line("sha256", "%s", c.Fingerprint)
	line("key sha256", "%s", c.KeyPrint)
	if c.renews() != "" {
		line("next renewal", "%s", c.renews())
	}
	if n := c.Next; n != nil {
		line("held back", "%s, until %s, key %s: %s", n.Key, n.NotAfter.UTC().Format(time.DateTime), n.KeyPrint, n.Why)
	}
	for _, n := range c.Notes {
		if n != c.Detail { // which stands at the chain
			line("note", "%s", n)
		}
	}
}
