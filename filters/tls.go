package filters

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// tlsCheck is what the operator asks of the encryption of some senders' mail.
func tlsCheck() Definition {
	return Definition{
		Name: "tls", Stage: gateway.Mail, Class: gateway.ClassDemand,
		Doc:     "Does mail of the domains and networks of [[tls_required]] come as is asked there: encrypted, by a version of TLS that is new enough, with a client certificate that is known? The domain is that of the reverse-path; a bounce has none, and is held to what is said of its network. Of what a trusted relay brings, only what is said of the relay's network counts.",
		RFC:     "RFC 3207 section 4",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Build: func(_ any, d *Deps) (Built, error) {
			rules, where := d.TLSRules, d.Policy
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return tlsFinding(rules, where, in) }, Ready: always}, nil
		},
	}
}

// TLSRule is one entry of [[tls_required]]: what holds for mail of one of the domains, and for mail that comes from one of
// the networks.
type TLSRule struct {
	Domains  []string // A-labels in lower case; with "*." in front the names below
	Networks []netip.Prefix
	Pins     []string // SHA-256 of certificates or public keys, in lower-case hexadecimal; none: no certificate is asked for
	Version  string   // the oldest that will do, as gateway.TLS has it: "TLS1.2"
}

// AskCertificate tells of which clients the rules can use a certificate: of all where a domain has pins, since who sends for
// it is only known behind the handshake. nil: of none.
func AskCertificate(rules []TLSRule) func(netip.Addr) bool {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r TLSRule) bool { return len(r.Pins) == 0 })
	if len(rules) == 0 {
		return nil
	}
	all := slices.ContainsFunc(rules, func(r TLSRule) bool { return len(r.Domains) > 0 })
	return func(a netip.Addr) bool {
		return all || slices.ContainsFunc(rules, func(r TLSRule) bool { _, ok := r.network(a); return ok })
	}
}

// network is the one of the rule that has the client.
func (r *TLSRule) network(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap()
	i := slices.IndexFunc(r.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return r.Networks[i], true
}

// about is the mail that the rule asks something of, as the sender's postmaster reads it, and the key that says so.
func (r *TLSRule) about(in *gateway.Input) (what, key, entry string) {
	if domain := in.Envelope.From.Domain; !in.Session.Relay {
		for _, d := range r.Domains {
			if below, wild := strings.CutPrefix(d, "*"); domain == d || wild && strings.HasSuffix(domain, below) {
				return "mail of the domain " + domain, "domains", d
			}
		}
	}
	if n, ok := r.network(in.Session.Client.Addr()); ok {
		return "mail from your network " + n.String(), "networks", n.String()
	}
	return "", "", ""
}

// tlsFinding holds the session against every rule that is about the mail: the strictest counts.
func tlsFinding(rules []TLSRule, policy *gateway.Policy, in *gateway.Input) gateway.Finding {
	out := gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	for i := range rules {
		what, key, entry := rules[i].about(in)
		if what == "" {
			continue
		}
		f := rules[i].hold(what, &in.Session.TLS)
		f = f.Show("required by", policy.Line("tls_required."+strconv.Itoa(i+1)+"."+key, strconv.Quote(entry)))
		if f.Result == gateway.Fail {
			return f
		}
		out = f
	}
	return out
}

// hold says what is missing of what the rule asks.
func (r *TLSRule) hold(what string, t *gateway.TLS) gateway.Finding {
	switch {
	case !t.On():
		return gateway.Failed(gateway.TLSNone, what)
	case t.Version < r.Version: // of TLS 1.0 to 1.3 the text is in the order of age
		return gateway.Failed(gateway.TLSOld, what, r.Version, t.Version)
	case len(r.Pins) == 0:
		return gateway.Passed().Show("tls", t.Version+", "+t.Cipher)
	case t.Certificate == "":
		return gateway.Failed(gateway.TLSNoCertificate, what)
	case !slices.Contains(r.Pins, t.Certificate) && !slices.Contains(r.Pins, t.Key):
		return gateway.Failed(gateway.TLSOtherCertificate, what, t.Certificate).Show("certificate", t.Client).
			Show("SHA-256 of it", t.Certificate).Show("SHA-256 of its key", t.Key)
	}
	return gateway.Passed().Show("tls", t.Version+", "+t.Cipher).Show("certificate", t.Client)
}
