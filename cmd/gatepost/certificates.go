package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/config"
	"gatepost/internal/sandbox"
	"gatepost/tls/certs"
	"gatepost/tls/dane"
)

// sourceSelfSigned is the source of the certificate of our own in the set. That of a file is certs.FileSource; an authority
// has names of its own.
const sourceSelfSigned = "self-signed"

// certificateFolder is where certificates are kept that are not the operator's files.
func certificateFolder(stateDir string) string { return filepath.Join(stateDir, "certs") }

// openCertificates reads the certificates of the document, and makes what all listeners show. Only where the document has no
// other source one of our own is made; it is shown until another source brings one.
func (d *daemon) openCertificates() error {
	b := d.bootstrap
	d.edge = certs.NewEdge(&d.certificates)
	if err := os.MkdirAll(certificateFolder(b.StateDir), 0o700); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	d.files.Set, d.files.Keep, d.files.Pairs, d.files.Tell = &d.certificates, certificateFolder(b.StateDir), pairs(b), d.tellCertificate
	d.files.Usable = func(chain []*x509.Certificate) (bool, string) { return d.mayShow(dane.KeyOf(chain, true)) }
	if err := d.files.Open(); err != nil {
		return fmt.Errorf("tls: %w", unreadable(err))
	}
	for _, f := range d.files.State() {
		d.noteCertificate(f.Notes, f.Source, f.Shown)
	}
	if len(d.files.Pairs) > 0 {
		if !d.certificates.Covers(b.Hostname) {
			d.log.Warn("tls: " + uncovered(b.Hostname))
		}
		return nil
	}
	c, made, err := certs.SelfSigned(b.StateDir, b.Hostname)
	if err != nil {
		return err
	}
	if made {
		d.log.Warn("tls: a self-signed certificate was made; set tls.certificate and tls.key to one that others can verify", "host", b.Hostname)
	}
	d.certificates.Fallback(sourceSelfSigned, c)
	return nil
}

// pairs are the files of the document.
func pairs(b *config.Bootstrap) (out []certs.Pair) {
	for _, f := range b.TLS.Pairs() {
		out = append(out, certs.Pair{Certificate: f.Certificate, Key: f.Key})
	}
	return out
}

// unreadable says what to do about a file that the daemon's user may not read: check, which root runs, cannot see that.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) && !sandbox.Held(err) {
		return fmt.Errorf("%w; the user of the daemon must be able to read it, and to enter its folders", err)
	}
	return err
}

// tellCertificate tells the journal what became of the files of a certificate.
func (d *daemon) tellCertificate(c certs.Change) {
	verb := journal.Certificate
	attrs := []slog.Attr{slog.String("source", c.Source), slog.Time("until", c.Leaf.Leaf.NotAfter)}
	switch c.What {
	case certs.Held:
		verb, attrs = journal.CertificateHeld, append(attrs, slog.Time("next_until", c.Next.Leaf.NotAfter))
	case certs.Failed:
		verb, c.Why = journal.CertificateFailed, outside(unreadable(c.Err)).Error()
	case certs.Replaced:
		d.noteCertificate(c.Notes, c.Source, c.Leaf)
	}
	if c.Why != "" {
		attrs = append(attrs, slog.String("detail", c.Why))
	}
	if d.journal != nil { // there is none before the first client
		d.journal.Daemon(verb, attrs...)
	}
}

// noteCertificate logs what works and should not stay so.
func (d *daemon) noteCertificate(notes []string, source string, c *tls.Certificate) {
	for _, n := range append(notes, certs.Examine(c, nil, time.Now()).Notes...) {
		d.log.Warn("tls: "+n, "source", source)
	}
}

// checkCertificates reads the certificates of the document as the daemon does at its start. What can be used and should not
// stay so becomes warnings.
func checkCertificates(c *config.Config, now time.Time) (warnings config.Problems, err error) {
	var set certs.Set
	warn := func(n string) {
		warnings = append(warnings, config.Problem{File: c.BootstrapPath, Key: "tls", Message: n, Warning: true})
	}
	for _, p := range pairs(c.Bootstrap) {
		read, notes, problem := p.Read()
		if problem != nil {
			return warnings, fmt.Errorf("tls: %w", problem)
		}
		set.Put(certs.FileSource(p.Certificate), read)
		for _, n := range notes {
			warn(n)
		}
		for _, n := range certs.Examine(read, nil, now).Notes {
			warn("certificate " + p.Certificate + ": " + n)
		}
	}
	if len(set.All()) > 0 && !set.Covers(c.Bootstrap.Hostname) {
		warn(uncovered(c.Bootstrap.Hostname))
	}
	return warnings, nil
}

// uncovered is what to say of our own name where no certificate is for it.
func uncovered(hostname string) string {
	return "no certificate covers " + hostname + ", the name that this gateway greets with; have one issued that does"
}

// examined keeps what was found out of certificates: to verify a chain takes milliseconds, and health is asked every second.
type examined struct {
	mu    sync.Mutex
	facts map[*tls.Certificate]certs.Facts
	at    time.Time
}

// examineAgain is how often it is found out anew: authorities of the system come and go.
const examineAgain = time.Hour

// of returns the facts of certificates, in their order.
func (x *examined) of(all []certs.Shown, now time.Time) []certs.Facts {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.facts
	if now.Sub(x.at) > examineAgain || now.Before(x.at) {
		old, x.at = nil, now
	}
	x.facts = make(map[*tls.Certificate]certs.Facts, len(all))
	out := make([]certs.Facts, 0, len(all))
	for _, s := range all {
		f, ok := old[s.Certificate]
		if !ok {
			f = certs.Examine(s.Certificate, nil, now)
		}
		x.facts[s.Certificate] = f
		out = append(out, f)
	}
	return out
}

// certificateHealth tells whether each certificate that is shown is good and was renewed in time. Nobody renews one of our
// own, and nobody but a fingerprint trusts it.
func (d *daemon) certificateHealth() (bool, string) {
	var bad []string
	least := time.Time{}
	for _, c := range d.certificateStates(time.Now()) {
		if c.State != certificateOK {
			bad = append(bad, c.Source+": "+c.told())
		}
		if least.IsZero() || c.NotAfter.Before(least) {
			least = c.NotAfter
		}
	}
	if len(bad) > 0 {
		return false, strings.Join(bad, "; ")
	}
	return true, "good until " + least.UTC().Format(time.DateOnly)
}

// certificateInstruments shows the certificates in metrics and health. Names are those of the document, or of an authority's
// entries: few.
func (d *daemon) certificateInstruments(m *journal.Metrics) {
	d.journal.Health().Watch("certificates", d.certificateHealth)
	each := func(number func(c *certificateState) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			seen := map[[3]string]bool{}
			for _, c := range d.certificateStates(time.Now()) {
				key := [3]string{c.Source, c.name(), c.Key}
				if !seen[key] {
					out = append(out, journal.Series{Labels: key[:], Value: number(&c)})
				}
				seen[key] = true
			}
			return out
		}
	}
	labels := []string{"source", "name", "key"}
	m.Gauges("certificate_not_after_seconds", "When a certificate that is shown expires, in seconds since 1970.", labels,
		each(func(c *certificateState) float64 { return float64(c.NotAfter.Unix()) }))
	m.Gauges("certificate_well", "1 while a certificate that is shown is good and was renewed in time.", labels, each(func(c *certificateState) float64 {
		if c.State == certificateOK {
			return 1
		}
		return 0
	}))
	m.Gauges("certificate_held_back", "1 while a new certificate waits until its key may be shown.", labels, each(func(c *certificateState) float64 {
		if c.Next != nil {
			return 1
		}
		return 0
	}))
}
