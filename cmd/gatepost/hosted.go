package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/tls/mtasts"
)

// hostedPolicies are the MTA-STS policies of domains of ours, by domain, each with an id that follows from what it says.
func hostedPolicies(c *config.Config) map[string]*mtasts.Policy {
	out := map[string]*mtasts.Policy{}
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		if d.MTASTS == nil {
			continue
		}
		p := &mtasts.Policy{Mode: mtasts.Mode(d.MTASTS.Mode), MX: d.MTASTS.Hosts(c.Bootstrap.Hostname), MaxAge: d.MTASTS.MaxAge}
		p.ID = p.ContentID()
		out[d.Name] = p
	}
	return out
}

// policyPage is where strangers read the policies.
func (d *daemon) policyPage() publicPage {
	of := func(host string) *mtasts.Policy {
		domain, ok := strings.CutPrefix(host, mtasts.HostName(""))
		if !ok {
			return nil
		}
		return d.now.Load().policies[domain]
	}
	return publicPage{name: "mta-sts", secure: true, path: mtasts.Path, hosts: func(host string) bool { return of(host) != nil },
		text: func(host, _ string) []byte {
			if p := of(host); p != nil {
				return p.Text()
			}
			return nil
		}}
}

// servedPolicy is since when a policy of ours is served as it is.
type servedPolicy struct {
	ID     string        `json:"id"`
	Mode   string        `json:"mode"`
	Since  time.Time     `json:"since"`
	MaxAge time.Duration `json:"max_age"`
	Held   time.Time     `json:"held,omitzero"` // until when senders may keep what was served before
}

// hosting is what is known of the policies of our domains beside the document.
type hosting struct {
	mu      sync.Mutex
	served  map[string]servedPolicy
	unlike  map[string]string // what of its TXT record is not as it should be; "" where it is
	changed chan struct{}
}

// How often it is looked whether the TXT records are there: while one is not, somebody may be about to paste it.
const (
	recordEvery = 15 * time.Minute
	recordSoon  = time.Minute
)

// mostRecords is how many domains are looked at; an installation with more has few zones for all of them.
const mostRecords = 500

// hostedFile is where it is kept since when policies are served, for the assistant. The name is no domain's.
func hostedFile(stateDir string) string { return filepath.Join(policyFolder(stateDir), "hosted.json") }

// readServed reads that file. One that is not there, or damaged, is as if all began now.
func readServed(stateDir string) (map[string]servedPolicy, error) {
	out := map[string]servedPolicy{}
	text, err := os.ReadFile(hostedFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return map[string]servedPolicy{}, fmt.Errorf("mta-sts: %w", err)
	}
	return out, nil
}

// hostPolicies notes which policies are in force, and since when.
func (d *daemon) hostPolicies() {
	h, now := &d.hosted, time.Now().UTC().Truncate(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.served == nil {
		h.changed = make(chan struct{}, 1)
		var err error
		if h.served, err = readServed(d.bootstrap.StateDir); err != nil {
			d.log.Warn("mta-sts: since when policies are served cannot be read", "error", err)
		}
	}
	before := maps.Clone(h.served)
	policies := d.now.Load().policies
	maps.DeleteFunc(h.served, func(domain string, _ servedPolicy) bool { return policies[domain] == nil })
	for domain, p := range policies {
		s := h.served[domain]
		if s.ID == p.ID && !s.Since.After(now) {
			continue
		}
		next := servedPolicy{ID: p.ID, Mode: string(p.Mode), Since: now, MaxAge: p.MaxAge, Held: s.Held}
		if held := now.Add(s.MaxAge); s.ID != "" && held.After(s.Held) {
			next.Held = held
		}
		h.served[domain] = next
	}
	h.unlike = nil
	select {
	case h.changed <- struct{}{}:
	default:
	}
	if maps.Equal(before, h.served) {
		return
	}
	text, err := json.Marshal(h.served)
	if err == nil {
		err = mtasts.WriteFile(hostedFile(d.bootstrap.StateDir), append(text, '\n'))
	}
	if err != nil {
		d.log.Warn("mta-sts: since when policies are served cannot be kept over a restart", "error", err)
	}
}

// watchRecords looks whether the TXT records of our policies are there, until the context is done.
func (d *daemon) watchRecords(ctx context.Context) {
	again := time.NewTimer(recordEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.hosted.changed:
		case <-again.C:
		}
		policies := d.now.Load().policies
		domains := slices.Sorted(maps.Keys(policies))
		domains = domains[:min(len(domains), mostRecords)]
		found := make([]string, len(domains))
		atOnce(len(domains), func(i int) { found[i] = lookRecord(ctx, d.parts.resolver, domains[i], policies[domains[i]].ID) })
		if ctx.Err() != nil {
			return
		}
		unlike := make(map[string]string, len(domains))
		pause := recordEvery
		for i, domain := range domains {
			unlike[domain] = found[i]
			if found[i] != "" {
				pause = recordSoon
			}
		}
		again.Reset(pause)
		d.hosted.mu.Lock()
		d.hosted.unlike = unlike
		d.hosted.mu.Unlock()
	}
}

// recordLine is the TXT record of a policy, as it is pasted into a zone.
func recordLine(domain, id string) string {
	return fmt.Sprintf("%s. 3600 IN TXT %q", mtasts.RecordName(domain), mtasts.Record(id))
}

// lookRecord is what is wrong with the TXT record of a domain; "" where nothing is, or where it cannot be told.
func lookRecord(ctx context.Context, r *dns.Resolver, domain, want string) string {
	a := r.TXT(ctx, mtasts.RecordName(domain))
	if unknown(a) != nil {
		return ""
	}
	id, err := mtasts.ParseRecord(a.Records)
	switch {
	case err != nil:
		return strings.TrimPrefix(err.Error(), "mta-sts: ")
	case id != want:
		return "the TXT record has the id of another policy (" + id + ")"
	}
	return ""
}

// hostingHealth tells whether the policies of our domains can be found and read by others.
func (d *daemon) hostingHealth() (bool, string) {
	policies := d.now.Load().policies
	if len(policies) == 0 {
		return true, "no policy is published"
	}
	if d.public == nil || len(d.where.PublicHTTPS) == 0 {
		return false, "nobody can read the policies: set web.public_https in gatepost.toml"
	}
	d.hosted.mu.Lock()
	defer d.hosted.mu.Unlock()
	var bad []string
	for _, domain := range slices.Sorted(maps.Keys(policies)) {
		switch unlike := d.hosted.unlike[domain]; {
		case !d.certifies(mtasts.HostName(domain)):
			bad = append(bad, "there is no certificate for "+mtasts.HostName(domain))
		case unlike != "":
			bad = append(bad, domain+": "+unlike+"; paste "+recordLine(domain, policies[domain].ID))
		}
		if len(bad) == 5 {
			break
		}
	}
	return len(bad) == 0, strings.Join(bad, "; ")
}

// certifies reports whether a certificate is shown for a name.
func (d *daemon) certifies(name string) bool {
	for _, o := range d.certificates.All() {
		if o.Certificate.Leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// hostingWarnings tells what keeps others from reading policies that the documents have.
func hostingWarnings(c *config.Config) (out config.Problems) {
	set, _, err := setOfFiles(c.Bootstrap)
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		if d.MTASTS == nil {
			continue
		}
		warn := func(message, instead string) {
			p := config.Problem{File: c.PolicyPath, Key: "domain[" + d.Name + "].mta_sts", Message: message, Instead: instead, Warning: true}
			where := c.Where["domain."+d.Name+".mta_sts"]
			if where == "" {
				where = c.Where["domain."+d.Name+".name"]
			}
			if line, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
				p.Line, p.Column = line, 1
			}
			out = append(out, p)
		}
		if len(c.Bootstrap.Web.PublicHTTPS) == 0 {
			warn("nobody can read the policy", `write public_https = ["0.0.0.0:443", "[::]:443"] in [web] of gatepost.toml`)
		}
		name := mtasts.HostName(d.Name)
		covered := err != nil // that is told elsewhere
		for _, x := range c.Bootstrap.TLS.ACME {
			covered = covered || slices.Contains(x.Names, name) || slices.Contains(x.Names, "*."+d.Name)
		}
		if set != nil {
			for _, o := range set.All() {
				covered = covered || o.Certificate.Leaf.VerifyHostname(name) == nil
			}
		}
		if !covered {
			warn("no certificate is for "+name+", so that no sender takes the policy", "write the name in a [[tls.acme]], or a file with it as [[tls.file]], in gatepost.toml")
		}
	}
	return out
}
