package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/internal/dns"
	"gatepost/internal/durable"
	"gatepost/tls/dane"
)

// ownTLSA watches over the TLSA records of our own mail hosts. The zero value is ready for use.
type ownTLSA struct {
	watch dane.Watch
	// next, if set, are the keys that an authority keeps for the renewal after this one.
	next func() []dane.Key
	// usable is asked before a key is shown that is not shown yet, in certificates for names: usableKey.
	usable func(names []string, public crypto.PublicKey) (bool, string)

	writing sync.Mutex // of the file: the watch and a key that may be shown are looked at at the same time
	mu      sync.Mutex
	hosts   []mailName
	named   time.Time             // when hosts were last looked for
	whole   bool                  // every MX could be told then
	waiting map[string]waitingKey // that were asked for and may not be shown yet, by names and key
	wake    chan struct{}
}

// waitingKey is a key that is held back.
type waitingKey struct {
	dane.Key
	asked time.Time // when somebody last wanted to show it
}

// Bounds and times of the watch.
const (
	smtpPort      = 25
	mostTLSAFile  = 4 << 20          // octets
	firstTLSALook = 10 * time.Second // after the start, when there is nothing more urgent to ask
	namesAgain    = time.Hour
	namesSoon     = 5 * time.Minute // where not all could be told
	mostWaiting   = 256
	waitingFor    = time.Hour       // whoever does not ask again for that long has another key by now
	lookFresh     = 5 * time.Second // an answer as old as that is one of now
	lookTime      = 20 * time.Second
	looksAtOnce   = 8
)

// tlsaFile is where it is kept since when records are seen. Without it the two TTLs begin anew.
func tlsaFile(stateDir string) string { return filepath.Join(stateDir, "certs", "tlsa.json") }

// readTLSA reads the file; nothing when there is none.
func readTLSA(stateDir string) (map[string]dane.Seen, error) {
	f, err := os.Open(tlsaFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > mostTLSAFile {
		return nil, fmt.Errorf("it has %d octets", info.Size())
	}
	var kept map[string]dane.Seen
	return kept, json.NewDecoder(f).Decode(&kept)
}

// writeTLSA writes it, whole or not at all: who believed half of it could show a key too early.
func writeTLSA(stateDir string, kept map[string]dane.Seen) error {
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	name := tlsaFile(stateDir)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(name, append(text, '\n'), 0o600)
}

// openTLSA reads what was seen before the start.
func (d *daemon) openTLSA() {
	d.tlsa.wake, d.tlsa.usable = make(chan struct{}, 1), d.usableKey
	kept, err := readTLSA(d.bootstrap.StateDir)
	if err != nil {
		d.log.Warn("tlsa: since when records are seen is learned anew", "file", tlsaFile(d.bootstrap.StateDir), "error", err)
	}
	d.tlsa.watch.Restore(kept, time.Now())
}

// watchTLSA looks at the records of our hosts as often as their TTL asks, until ctx is done.
func (d *daemon) watchTLSA(ctx context.Context) {
	t := &d.tlsa
	for pause := firstTLSALook; ; {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-t.wake:
			wait.Stop()
		case <-wait.C:
		}
		looking, cancel := context.WithTimeout(ctx, lookTime)
		d.nameTLSA(looking, false)
		var due []string
		now, soonest := time.Now(), time.Now().Add(namesAgain)
		for _, h := range t.names() {
			if at := t.watch.Again(h, now); !at.After(now) {
				due = append(due, h)
			}
		}
		d.lookTLSA(looking, due)
		cancel()
		d.letTLSA()
		for _, h := range t.names() {
			if at := t.watch.Again(h, time.Now()); at.Before(soonest) {
				soonest = at
			}
		}
		pause = max(time.Until(soonest), time.Second/4)
	}
}

// letTLSA has those asked again whose keys were held back and may be shown by now. Pairs whose TLSA record is published are kept,
// so that a daemon which finds other files at its start goes on showing them.
func (d *daemon) letTLSA() {
	published := map[string]bool{}
	for _, r := range d.tlsaReports() {
		for _, w := range r.Wanted {
			published[w.Record.String()] = published[w.Record.String()] || w.Live && w.Published
		}
	}
	d.files.Remember(func(leaf *x509.Certificate) bool {
		own, err := dane.Own(leaf.PublicKey)
		return err == nil && published[own.String()]
	})
	live, now, free := d.liveKeys(), time.Now(), false
	for _, k := range d.tlsa.held(now) {
		ok, _, _ := d.tlsa.watch.Usable(d.tlsa.against(&k, live), k, live, now)
		free = free || ok
	}
	if free {
		d.files.Again()
	}
}

// held are the keys that are held back.
func (t *ownTLSA) held(now time.Time) (out []dane.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.waiting, func(_ string, k waitingKey) bool { return now.Sub(k.asked) > waitingFor })
	for _, k := range t.waiting {
		out = append(out, k.Key)
	}
	return out
}

// names are the hosts to look at: ours, and those of certificates that wait.
func (t *ownTLSA) names() (out []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.hosts {
		out = append(out, t.hosts[i].Host)
	}
	for _, k := range t.waiting {
		out = append(out, plainNames(k.Names)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// plainNames are those of a certificate that are hosts.
func plainNames(names []string) (out []string) {
	for _, n := range names {
		if n = strings.ToLower(strings.TrimSuffix(n, ".")); dns.ValidName(n) && !strings.Contains(n, "*") {
			out = append(out, n)
		}
	}
	return out
}

// nameTLSA finds out which hosts are ours, where that is not known or old.
func (d *daemon) nameTLSA(ctx context.Context, anew bool) {
	t := &d.tlsa
	t.mu.Lock()
	again := namesAgain
	if !t.whole {
		again = namesSoon
	}
	fresh := !anew && !t.named.IsZero() && time.Since(t.named) < again
	before := slices.Clone(t.hosts)
	t.mu.Unlock()
	if fresh {
		return
	}
	hosts, whole := mailNames(ctx, d.parts.resolver, d.document.Load(), t.keys(d.liveKeys()))
	if !whole { // what cannot be told now was so before, and before the start
		for _, h := range slices.Sorted(maps.Keys(t.watch.State())) {
			if !slices.ContainsFunc(before, func(o mailName) bool { return o.Host == h }) {
				before = append(before, mailName{Host: h})
			}
		}
		for _, h := range before {
			switch at := slices.IndexFunc(hosts, func(o mailName) bool { return o.Host == h.Host }); {
			case at < 0:
				hosts = append(hosts, h)
			case len(hosts[at].Domains) < len(h.Domains):
				hosts[at] = h
			}
		}
	}
	t.mu.Lock()
	t.hosts, t.named, t.whole = hosts, time.Now(), whole
	t.mu.Unlock()
	if whole {
		ours := t.names()
		t.watch.Forget(func(host string) bool { return slices.Contains(ours, host) })
	}
}

// lookTLSA asks for the records of hosts and keeps what was seen.
func (d *daemon) lookTLSA(ctx context.Context, hosts []string) {
	if len(hosts) == 0 {
		return
	}
	seeTLSA(ctx, d.parts.resolver, &d.tlsa.watch, hosts)
	d.tlsa.writing.Lock()
	defer d.tlsa.writing.Unlock()
	if err := writeTLSA(d.bootstrap.StateDir, d.tlsa.watch.State()); err != nil {
		d.log.Warn("tlsa: since when records are seen cannot be kept; a restart begins anew", "error", err)
	}
}

// seeTLSA asks for the records of hosts, some at a time.
func seeTLSA(ctx context.Context, r *dns.Resolver, w *dane.Watch, hosts []string) {
	atOnce(len(hosts), func(i int) {
		seen := tlsaOf(ctx, r, hosts[i])
		w.Saw(hosts[i], seen, time.Now())
	})
}

// tlsaOf asks the resolver for the records of a host. An answer that is cut short does not tell what there is.
func tlsaOf(ctx context.Context, r *dns.Resolver, host string) dane.Observed {
	a := r.Ask(ctx, fmt.Sprintf("_%d._tcp.%s", smtpPort, host), dns.TypeTLSA)
	out := dane.Observed{Secure: a.AD, TTL: a.TTL}
	switch {
	case a.Status == dns.Found && a.Cut:
		out.Detail = "more records than are looked at"
	case a.Status == dns.Found:
		out.Outcome = dane.Found
		for _, rec := range a.Records {
			out.Records = append(out.Records, dane.Record{Usage: rec.Usage, Selector: rec.Selector, Matching: rec.Matching, Data: rec.Data})
		}
	case a.Status == dns.None && a.Kind != dns.InvalidName:
		out.Outcome = dane.Absent
	case a.Status == dns.Bogus:
		out.Outcome, out.Detail = dane.Bogus, a.Detail
	default:
		out.Detail = dnsDetail(a.Kind, a.Detail)
	}
	return out
}

// liveKeys are those of the certificates that are shown.
func (d *daemon) liveKeys() (out []dane.Key) {
	for _, s := range d.certificates.All() {
		if chain := chainOf(s.Certificate); chain != nil {
			out = append(out, dane.KeyOf(chain, true))
		}
	}
	return out
}

// keys are all of ours: those that are shown, those that wait to be, and those of the renewal after this one.
func (t *ownTLSA) keys(live []dane.Key) []dane.Key {
	out := slices.Clone(live)
	out = append(out, t.held(time.Now())...)
	if t.next != nil {
		out = append(out, t.next()...)
	}
	return out
}

// mayShow tells whether a key may be shown: whether no TLSA record stands against it. It looks anew, and takes its time. Why it
// may not is told, and its hosts are looked at until it may.
func (d *daemon) mayShow(key dane.Key) (bool, string) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	live := d.liveKeys()
	key.Live = false
	d.nameTLSA(ctx, false)
	hosts := d.tlsa.against(&key, live)
	var stale []string
	for _, h := range hosts {
		// That there were none a moment ago does not do: the first may just have been published, of the key that is shown.
		if seen := d.tlsa.watch.Report(h, smtpPort, nil, time.Now()); time.Since(seen.At) > lookFresh || len(seen.Published) == 0 {
			stale = append(stale, h)
		}
	}
	d.lookTLSA(ctx, stale)
	ok, why, _ := d.tlsa.watch.Usable(hosts, key, live, time.Now())
	d.tlsa.hold(&key, !ok)
	return ok, why
}

// usableKey is mayShow of a key of which no more is known.
func (d *daemon) usableKey(names []string, public crypto.PublicKey) (bool, string) {
	return d.mayShow(dane.Key{Names: names, Public: public})
}

// against are the hosts at which senders may be shown a key: those that its certificate names, and those of ours that no
// certificate names.
func (t *ownTLSA) against(key *dane.Key, live []dane.Key) []string {
	out := plainNames(key.Names)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.hosts {
		h := t.hosts[i].Host
		named := slices.ContainsFunc(live, func(k dane.Key) bool { return dane.Covers(k.Names, h) })
		if dane.Covers(key.Names, h) || !named {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hold keeps a key that may not be shown yet in sight, or lets it go.
func (t *ownTLSA) hold(key *dane.Key, held bool) {
	at := strings.Join(key.Names, " ")
	if own, err := dane.Own(key.Public); err == nil {
		at += " " + own.String()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !held {
		delete(t.waiting, at)
		return
	}
	if t.waiting == nil || len(t.waiting) >= mostWaiting {
		t.waiting = map[string]waitingKey{}
	}
	t.waiting[at] = waitingKey{*key, time.Now()}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tlsaReports is how each of our hosts stands.
func (d *daemon) tlsaReports() (out []dane.Report) {
	keys := d.tlsa.keys(d.liveKeys())
	for _, h := range d.tlsa.names() {
		if r := d.tlsa.watch.Report(h, smtpPort, keys, time.Now()); !r.At.IsZero() {
			out = append(out, r)
		}
	}
	return out
}
