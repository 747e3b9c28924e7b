package main

import (
	"context"
	"slices"

	nexthop "gatepost/cmd/gatepost/route"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/dns"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// recordOperations are those about what domains publish.
func (d *daemon) recordOperations() []control.Operation {
	return (&nexthop.Zone{Document: func() *config.Config { return d.document.Load() }, Look: d.lookRecord, Addresses: d.ownAddresses, TLSA: d.ownTLSALines, STS: stsText}).Operations()
}

// lookRecord asks DNS what a name has.
func (d *daemon) lookRecord(ctx context.Context, kind, name string) (found []string, known bool) {
	r := d.parts.resolver
	switch kind {
	case "MX":
		a := r.MX(ctx, name)
		for _, x := range a.Records {
			found = append(found, x.Host)
		}
		return found, a.Status == dns.Found || a.Status == dns.None
	case "A", "AAAA":
		a := r.A(ctx, name)
		if kind == "AAAA" {
			a = r.AAAA(ctx, name)
		}
		for _, x := range a.Records {
			found = append(found, x.String())
		}
		return found, a.Status == dns.Found || a.Status == dns.None
	}
	a := r.TXT(ctx, name)
	return a.Records, a.Status == dns.Found || a.Status == dns.None
}

// ownAddresses are those that listeners name one by one, and those of the host's interfaces where they listen on all. Behind a
// translation of addresses they are not those that strangers see.
func (d *daemon) ownAddresses() (out []string) {
	add := func(a string) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for i := range d.bootstrap.Listeners {
		for _, at := range d.bootstrap.Listeners[i].Addresses {
			switch a := at.Addr().Unmap(); {
			case a.IsUnspecified():
				for _, x := range interfaces() {
					if a.Is6() || x.Is4() {
						add(x.String())
					}
				}
			case !a.IsLoopback():
				add(a.String())
			}
		}
	}
	return out
}

// ownTLSALines are those of the keys that are shown under a name of ours.
func (d *daemon) ownTLSALines(host string) (out []string) {
	for _, k := range d.tlsa.keys(d.liveKeys()) {
		if !dane.Covers(k.Names, host) {
			continue
		}
		if record, err := dane.Own(k.Public); err == nil {
			if line := dane.Line(host, smtpPort, record); !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	return out
}

// stsText is the record of the MTA-STS policy that is served here for a domain; "" for none.
func stsText(c *config.Config, domain string) string {
	if p := hostedPolicies(c)[domain]; p != nil {
		return mtasts.Record(p.ID)
	}
	return ""
}
