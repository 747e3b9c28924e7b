package doctor

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// web looks at what others fetch from the domains: the MTA-STS policies, as senders do, and where an authority proves names.
func (w *World) web(ctx context.Context, r *Report) {
	list := w.Domains[:min(len(w.Domains), mostDomains)]
	each(len(list), func(i int) { w.policy(ctx, r.at(i), &list[i]) })
	proofs := w.Proofs[:min(len(w.Proofs), mostDomains)]
	each(len(proofs), func(i int) { w.proof(ctx, r.at(len(list)+i), &proofs[i]) })
}

// policy fetches the policy of a domain that has a record, and holds it against its MX.
func (w *World) policy(ctx context.Context, p part, d *Domain) {
	const id = "web.mta_sts"
	a := w.DNS.Lookup(ctx, "_mta-sts."+d.Name, TXT)
	if found, err := w.STSRecord(a.Texts); err != nil || found == "" {
		return // the group domain tells
	}
	host := "mta-sts." + d.Name
	sts, err := w.FetchSTS(ctx, d.Name)
	if err != nil {
		fix := []string{"curl -v https://" + host + "/.well-known/mta-sts.txt    on a host outside", "docs/mta-sts.md tells how this gateway hosts it"}
		if w.DNS.Lookup(ctx, host, Addresses).Status == None {
			fix = w.addressFix(ctx, host)
		}
		p.fail(id, d.Name, "its policy cannot be fetched, so senders go on without it: "+err.Error(), fix...)
		return
	}
	mx := w.DNS.Lookup(ctx, d.Name, MX)
	var missing []string
	for _, h := range mx.Hosts {
		if !sts.Matches(h.Name) {
			missing = append(missing, h.Name)
		}
	}
	fix := "gatepost mta-sts advise " + d.Name
	if d.STS == "" { // another serves it
		fix = "mx: NAME    for each of them, in https://" + host + "/.well-known/mta-sts.txt, and a new id at _mta-sts." + d.Name
	}
	switch {
	case mx.Status != Found:
		p.unknown(id, d.Name, "whether its policy names its MX cannot be told: "+mx.Detail)
	case len(missing) > 0 && sts.Enforce:
		p.fail(id, d.Name, "its policy (enforce) does not name "+join(missing)+": senders do not deliver there", fix)
	case len(missing) > 0:
		p.warn(id, d.Name, "its policy ("+sts.Mode+") does not name "+join(missing)+": with enforce senders would not deliver there", fix)
	case !sts.Enforce:
		p.warn(id, d.Name, "its policy is "+sts.Mode+": senders deliver in clear all the same", "gatepost mta-sts advise "+d.Name+"    tells what must be true before enforce")
	default:
		p.ok(id, d.Name, "its policy (enforce) names all its MX")
	}
}

// proof connects to where an authority asks for a name.
func (w *World) proof(ctx context.Context, p part, x *Proof) {
	const id = "web.acme"
	about := net.JoinHostPort(x.Name, strconv.Itoa(x.Port))
	a := w.DNS.Lookup(ctx, x.Name, Addresses)
	switch {
	case a.Status == None:
		p.fail(id, about, "has no address, so that no authority can ask there", w.addressFix(ctx, x.Name)...)
		return
	case a.Status != Found:
		p.unknown(id, about, "could not be looked up: "+a.Detail)
		return
	}
	for _, addr := range a.Addrs[:min(len(a.Addrs), mostHosts)] {
		short, cancel := context.WithTimeout(ctx, reachTime)
		at := net.JoinHostPort(addr.String(), strconv.Itoa(x.Port))
		nc, err := w.Dial(short, "tcp", at)
		cancel()
		if err != nil {
			key, scheme := "web.public_http", "http"
			if x.Port == 443 {
				key, scheme = "web.public_https", "https"
			}
			p.unknown(id, about, "cannot be reached from here ("+err.Error()+"), which says little of the world outside", fmt.Sprintf("curl -v %s://%s/    on a host outside; the port must lead to %s", scheme, about, w.key(key, `["0.0.0.0:`+strconv.Itoa(x.Port)+`", "[::]:`+strconv.Itoa(x.Port)+`"]`)))
			return
		}
		_ = nc.Close()
	}
	p.ok(id, about, "an authority can ask there")
}
