package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Listener is where clients reach this host.
type Listener struct {
	Named   string                             // host:port that is looked at, and nothing else; "" for what follows
	Find    func(ctx context.Context) []string // host:port of this host's own listeners, as they are reached from here
	Roots   *x509.CertPool
	Without []string // extensions that are not offered, on purpose
}

// reachTime bounds a connection to an address that may lead nowhere: a firewall that drops says nothing.
const reachTime = 6 * time.Second

// lookListener looks at what a stranger meets.
func (w *World) lookListener(ctx context.Context, r *Report) {
	p, addresses := r.at(0), []string{w.Listener.Named}
	if w.Listener.Named == "" {
		if addresses = w.reached(ctx, p); len(addresses) == 0 && w.Listener.Find != nil {
			addresses = w.Listener.Find(ctx)
		}
	}
	if len(addresses) == 0 {
		p.unknown("listener.reach", "", "all listeners are behind a proxy", "name the proxy's address: gatepost doctor --listener HOST:25")
		return
	}
	names := w.mxNames(ctx)
	var all sync.WaitGroup
	for i, a := range addresses[:min(len(addresses), mostHosts)] {
		all.Go(func() { w.stranger(ctx, r.at(i+1), a, names) })
	}
	all.Wait()
}

// reached connects to the addresses of the hostname, as strangers do, and returns those at which this host answers. Those
// that are private are nobody's way in from outside.
func (w *World) reached(ctx context.Context, p part) (out []string) {
	const id = "listener.reach"
	for _, a := range w.DNS.Lookup(ctx, w.Hostname, Addresses).Addrs {
		if a.IsPrivate() || a.IsLoopback() || !reachable(a) {
			continue
		}
		address := netip.AddrPortFrom(a, 25).String()
		short, cancel := context.WithTimeout(ctx, reachTime)
		nc, err := w.Dial(short, "tcp", address)
		cancel()
		if err != nil {
			p.unknown(id, address, "cannot be reached from here ("+err.Error()+"), which says little of the world outside",
				"on another host: gatepost doctor --only listener --listener "+address)
			continue
		}
		_ = nc.Close()
		out = append(out, address)
	}
	return out
}

// mxNames are the names by which senders know this host: its own, and those of MX that lead here.
func (w *World) mxNames(ctx context.Context) []string {
	names := []string{w.Hostname}
	for i := range w.Domains[:min(len(w.Domains), 20)] {
		for _, h := range w.DNS.Lookup(ctx, w.Domains[i].Name, MX).Hosts {
			known := slices.ContainsFunc(names, func(n string) bool { return same(n, h.Name) })
			if known || len(names) > mostHosts || h.Name == "." {
				continue
			}
			if w.leadsHere(ctx, w.DNS.Lookup(ctx, h.Name, Addresses).Addrs) {
				names = append(names, h.Name)
			}
		}
	}
	return names
}

// stranger looks at one address.
func (w *World) stranger(ctx context.Context, p part, address string, names []string) {
	d, err := w.connect(ctx, address)
	if err != nil {
		p.fail("listener.reach", address, "no client gets in: "+err.Error(), "systemctl status gatepost; is a firewall in front of it?")
		return
	}
	defer d.close()
	p.ok("listener.reach", address, "answers")
	greeted, _, _ := strings.Cut(d.banner.Text(200), " ")
	switch {
	case !d.banner.Is(220):
		p.fail("listener.banner", address, "refuses: "+said(d.banner), "gatepost log search --client ADDRESS says why; gatepost status shows whether it drains")
		return
	case !same(greeted, w.Hostname):
		p.fail("listener.banner", address, "greets as "+greeted+", not as "+w.Hostname+": another server answers there", "let port 25 of this address lead here, or "+w.key("hostname", `"`+greeted+`"`))
	default:
		p.ok("listener.banner", address, "greets as "+greeted)
	}
	if err := d.hello("EHLO", w.Hostname); err != nil {
		p.fail("listener.offers", address, err.Error(), "gatepost status")
		return
	}
	w.offers(p, address, d)
	w.starttls(ctx, p, address, d, names)
	w.relaying(ctx, p, address)
}

// offers looks at what EHLO offers before TLS.
func (w *World) offers(p part, address string, d *dialog) {
	const id = "listener.offers"
	if _, ok := d.offered("AUTH"); ok {
		p.warn(id, address, "offers AUTH before TLS: strangers guess passwords here, and read them", "a gateway for mail from outside needs no logins: take AUTH off what answers there")
		return
	}
	p.ok(id, address, strings.Join(d.offers, ", "))
}

// starttls looks at TLS as a sender uses it, and at its certificate.
func (w *World) starttls(ctx context.Context, p part, address string, d *dialog, names []string) {
	const id = "listener.starttls"
	if _, ok := d.offered("STARTTLS"); !ok {
		fix := "gatepost check; gatepost tls status"
		if slices.Contains(w.Listener.Without, "STARTTLS") {
			fix = w.key("smtp.without", "[]") + "    without STARTTLS"
		}
		p.warn(id, address, "offers no STARTTLS: mail comes in clear", fix)
		return
	}
	if err := d.startTLS(ctx, names[0], 0); err != nil {
		p.fail(id, address, err.Error()+": senders fall back to clear, or do not deliver", "gatepost tls status; openssl s_client -starttls smtp -connect "+address)
		return
	}
	version := tls.VersionName(d.state.Version) + ", " + tls.CipherSuiteName(d.state.CipherSuite)
	if old := w.oldTLS(ctx, address); old != "" {
		p.warn(id, address, version+"; "+old+" is taken too, which RFC 8996 forbids", "let what ends TLS there ask for 1.2 at least")
	} else {
		p.ok(id, address, version)
	}
	w.certificate(p, address, d.state, names)
}

// oldTLS is the name of an old version that is taken; "" for none.
func (w *World) oldTLS(ctx context.Context, address string) string {
	d, err := w.connect(ctx, address)
	if err != nil {
		return ""
	}
	defer d.close()
	if d.hello("EHLO", w.Hostname) != nil || d.startTLS(ctx, w.Hostname, tls.VersionTLS11) != nil {
		return ""
	}
	return tls.VersionName(d.state.Version)
}

// certificate looks at the certificate that senders see.
func (w *World) certificate(p part, address string, state *tls.ConnectionState, names []string) {
	const id = "listener.certificate"
	leaf, now := state.PeerCertificates[0], w.Now()
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	var missing []string
	for _, n := range names {
		if leaf.VerifyHostname(n) != nil {
			missing = append(missing, n)
		}
	}
	fix := "gatepost tls status shows what is shown and why; docs/certificates.md tells how to have one made (ACME)"
	err := verifies(state, names[0], w.Listener.Roots, now)
	left, life := leaf.NotAfter.Sub(now), leaf.NotAfter.Sub(leaf.NotBefore)
	switch {
	case left <= 0:
		p.fail(id, address, "ended on "+until+": senders that verify do not deliver", fix)
	case now.Before(leaf.NotBefore):
		p.fail(id, address, "begins only on "+leaf.NotBefore.UTC().Format(time.DateOnly)+": is the clock right?", fix)
	case left < life/3:
		p.warn(id, address, fmt.Sprintf("ends on %s, in %d days: less than a third of its lifetime is left, and no new one came", until, int(left.Hours()/24)), fix)
	case len(missing) > 0:
		p.warn(id, address, "is not for "+join(missing)+", which senders look for (MTA-STS)", fix)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		what := "no public authority vouches for it"
		if len(state.PeerCertificates) == 1 && !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
			what += "; it comes without its chain"
		}
		p.warn(id, address, what+": senders with MTA-STS do not deliver; those with DANE look at TLSA only", fix)
	case err != nil:
		p.warn(id, address, "does not verify: "+err.Error(), fix)
	default:
		p.ok(id, address, "for "+join(names)+" until "+until+", by "+clean(leaf.Issuer.CommonName, 60))
	}
}

// hostOf is the host of host:port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
