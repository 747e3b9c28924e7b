package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/dns"
	"gatepost/tls/certs/acme"
	"gatepost/tls/dane"
)

// tlsaHost is how one mail host of ours stands, as gatepost tls tlsa shows it.
type tlsaHost struct {
	Host      string     `json:"host"`
	Domains   []string   `json:"domains,omitempty"` // of ours whose MX names it
	State     dane.State `json:"state"`
	Alarm     bool       `json:"alarm"`     // mail is being lost, or deferred until it is
	Validated bool       `json:"validated"` // under DNSSEC
	TTL       float64    `json:"ttl"`       // seconds, the longest seen
	Looked    time.Time  `json:"looked"`
	Lines     []tlsaLine `json:"lines"`            // what should be in the zone
	Remove    []string   `json:"remove,omitempty"` // what should not
	Do        []string   `json:"do,omitempty"`     // what to do next, in words
	Detail    string     `json:"detail,omitempty"` // of the resolver, where there is no answer
}

// tlsaLine is one record that should be published.
type tlsaLine struct {
	Line      string    `json:"line"`
	Key       string    `json:"key"` // "shown" or "next"
	Published bool      `json:"published"`
	Ignored   bool      `json:"ignored,omitempty"` // it is there, and senders look at stronger digests only
	Since     time.Time `json:"since,omitzero"`    // that it is seen
	Shown     time.Time `json:"shown,omitzero"`    // of a next key: from when on it may be
}

// tlsaVerb tells of each host of ours, looked at now.
func (d *daemon) tlsaVerb(ctx context.Context, _ *struct{}) ([]tlsaHost, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	d.nameTLSA(ctx, true)
	d.lookTLSA(ctx, d.tlsa.names())
	d.letTLSA()
	d.tlsa.mu.Lock()
	hosts := slices.Clone(d.tlsa.hosts)
	d.tlsa.mu.Unlock()
	keys := d.tlsa.keys(d.liveKeys())
	out := tlsaHosts(hosts, &d.tlsa.watch, keys)
	var others []mailName // names of certificates that wait
	for _, name := range d.tlsa.names() {
		if !slices.ContainsFunc(hosts, func(h mailName) bool { return h.Host == name }) {
			others = append(others, mailName{Host: name})
		}
	}
	for _, h := range tlsaHosts(others, &d.tlsa.watch, keys) {
		switch h.State {
		case dane.NotPublished, dane.NotSigned: // no sender comes by that name, and nobody needs records there
			continue
		case dane.CannotTell: // a key may wait for it
			h.Lines = nil
		}
		out = append(out, h)
	}
	return out, nil
}

// tlsaHosts makes the lines of reports.
func tlsaHosts(hosts []mailName, w *dane.Watch, keys []dane.Key) []tlsaHost {
	out := []tlsaHost{}
	for i := range hosts {
		h := &hosts[i]
		r := w.Report(h.Host, smtpPort, keys, time.Now())
		line := tlsaHost{Host: h.Host, Domains: h.Domains, State: r.State, Alarm: r.State.Alarming(), Validated: r.Secure, TTL: r.TTL.Seconds(), Looked: r.At, Detail: r.Detail}
		for _, want := range r.Wanted {
			key := "next"
			if want.Live {
				key = "shown"
			}
			line.Lines = append(line.Lines, tlsaLine{Line: dane.Line(h.Host, smtpPort, want.Record), Key: key, Published: want.Published, Ignored: want.Ignored, Since: want.Since, Shown: want.Shown})
		}
		for _, old := range r.Remove {
			line.Remove = append(line.Remove, dane.Line(h.Host, smtpPort, old))
		}
		line.Do = line.advice(h)
		out = append(out, line)
	}
	return out
}

// longTTL is one that makes every change of keys slow.
const longTTL = 24 * time.Hour

// advice is what to do next.
func (h *tlsaHost) advice(n *mailName) (out []string) {
	if h.Alarm {
		out = append(out, "NOW: "+tlsaAlarm(h.State))
	}
	switch h.State {
	case dane.CannotTell:
		out = append(out, "find out why the resolver gives no answer for _25._tcp."+h.Host)
	case dane.BogusZone:
		out = append(out, "mend the signatures of the zone of "+h.Host)
	case dane.NotSigned:
		out = append(out, "the answer was not validated: the zone of "+h.Host+" is not signed, or the resolver does not validate or is not believed (dns.servers, dns.trust_ad). TLSA counts under DNSSEC only: sign the zone first")
	case dane.NotPublished:
		out = append(out, "nothing; to let senders verify this gateway, publish the lines")
	case dane.NotValidated:
		out = append(out, "the records are not validated, so that senders do not look at them, or the resolver does not validate or is not believed (dns.servers, dns.trust_ad): sign the zone, or let it be seen that it is")
	case dane.Unusable:
		out = append(out, "no sender can match what is published: publish the lines, and take the others away")
	case dane.Missing:
		out = append(out, "there is no certificate to compare with")
	case dane.Wrong, dane.Partly:
		out = append(out, "publish the line of each key that is shown, or bring back the key that was shown before")
	}
	if len(h.Remove) > 0 && h.State == dane.Stale {
		out = append(out, "what stands for nothing that is shown may be removed")
	}
	if h.State == dane.Right || h.State == dane.Stale || h.State == dane.RightNext {
		for _, l := range h.Lines {
			switch {
			case l.Key == "next" && !l.Published && !l.Ignored:
				out = append(out, "publish the line of the next key beside that of the key that is shown: it is held back until the line has been seen for two TTLs")
			case l.Key == "next" && l.Ignored: // told below
			case l.Key == "next" && l.Shown.After(time.Now()):
				out = append(out, "wait: the next key may be shown from "+cli.Stamp(l.Shown)+" on")
			case l.Key == "next":
				out = append(out, "nothing: the next key may be shown")
			}
		}
	}
	if slices.ContainsFunc(h.Lines, func(l tlsaLine) bool { return l.Ignored }) {
		out = append(out, "senders look only at the strongest digest that is published of one kind (RFC 7671 section 9): publish every key with SHA-512 (3 1 2), or remove those records")
	}
	if h.Validated && len(n.Unsigned) > 0 {
		out = append(out, "the MX of "+strings.Join(n.Unsigned, ", ")+" was not validated: senders of mail to it do not look for TLSA; sign that zone too")
	}
	if time.Duration(h.TTL*float64(time.Second)) > longTTL {
		out = append(out, fmt.Sprintf("lower the TTL of the records: with %s, a new key waits for twice as long", time.Duration(h.TTL*float64(time.Second))))
	}
	return out
}

// tlsTLSA shows the TLSA records of our mail hosts: what is published, what should be, and what to do next.
func tlsTLSA(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "tls tlsa")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	all, err := cli.List[tlsaHost](ctx, e, f, tlsaQuestion(), &struct{}{})
	if errors.Is(err, control.ErrNotRunning) {
		c := e.Load(f.Config)
		if c == nil {
			return cli.Found
		}
		fmt.Fprintln(e.Err, "the daemon does not run: the certificates of the files are compared with DNS")
		all, err = tlsaOfFiles(ctx, c)
	}
	if err != nil {
		return cli.Complain(e, "tls tlsa", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, all); code != cli.Done {
			return code
		}
	} else {
		printTLSA(e.Out, all)
	}
	if slices.ContainsFunc(all, func(h tlsaHost) bool {
		return h.Alarm || slices.Contains([]dane.State{dane.CannotTell, dane.NotValidated, dane.Unusable, dane.Missing}, h.State)
	}) {
		return cli.Found
	}
	return cli.Done
}

// tlsaOfFiles compares without a daemon: the certificates that lie in files, what was kept of earlier looks, and DNS now.
func tlsaOfFiles(ctx context.Context, c *config.Config) ([]tlsaHost, error) {
	keys, err := keysOfFiles(c.Bootstrap)
	if err != nil {
		return nil, err
	}
	r, err := dns.New(resolverOptions(c.Bootstrap, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	hosts, _ := mailNames(ctx, r, c, keys)
	var w dane.Watch
	if kept, err := readTLSA(c.Bootstrap.StateDir); err == nil {
		w.Restore(kept, time.Now())
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	seeTLSA(ctx, r, &w, names)
	return tlsaHosts(hosts, &w, keys), nil
}

// keysOfFiles are those of the certificates that a daemon would show at its start.
func keysOfFiles(b *config.Bootstrap) (out []dane.Key, err error) {
	set, _, err := setOfFiles(b)
	if err != nil {
		return nil, err
	}
	for _, o := range set.All() {
		out = append(out, dane.KeyOf(chainOf(o.Certificate), true))
	}
	for _, e := range entriesOf(b) {
		_, next, err := acme.Kept(certificateFolder(b.StateDir), &e)
		if err != nil {
			return nil, err
		}
		for _, public := range next {
			out = append(out, dane.Key{Names: e.Names, Public: public})
		}
	}
	return out, nil
}

// entriesOf are the certificates that an authority gives, as far as files tell of them.
func entriesOf(b *config.Bootstrap) (out []acme.Entry) {
	for i := range b.TLS.ACME {
		out = append(out, acme.Entry{Names: b.TLS.ACME[i].Names, Keys: keyTypes(b.TLS.ACME[i].KeyType)})
	}
	return out
}

func printTLSA(w io.Writer, all []tlsaHost) {
	for i := range all {
		h := &all[i]
		word := "ok  "
		switch {
		case h.Alarm:
			word = "FAIL"
		case h.State == dane.CannotTell, h.State == dane.NotValidated, h.State == dane.Unusable, h.State == dane.Missing:
			word = "WARN"
		}
		of := ""
		if len(h.Domains) > 0 {
			of = " (MX of " + strings.Join(h.Domains[:min(len(h.Domains), 5)], ", ")
			if more := len(h.Domains) - 5; more > 0 {
				of += fmt.Sprintf(" and %d more", more)
			}
			of += ")"
		}
		fmt.Fprintf(w, "%s %s%s: %s\n", word, h.Host, of, strings.TrimSuffix(string(h.State)+": "+h.Detail, ": "))
		for _, l := range h.Lines {
			at := "missing  "
			switch {
			case l.Published:
				at = "published"
			case l.Ignored:
				at = "ignored  "
			case h.State == dane.CannotTell:
				at = "unknown  "
			}
			fmt.Fprintf(w, "     %s %-5s %s\n", at, l.Key, l.Line)
		}
		for _, l := range h.Remove {
			fmt.Fprintf(w, "     remove          %s\n", l)
		}
		for _, do := range h.Do {
			fmt.Fprintf(w, "     -> %s\n", do)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "no mail host of ours is known: set hostname in gatepost.toml")
	}
}
