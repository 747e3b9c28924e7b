package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"gatepost/internal/dns"
	"gatepost/internal/smtpwire"
	"gatepost/tls/mtasts"
)

// policyLook looks at what a domain of ours publishes as a sender would: by DNS, over HTTPS, and at its mail hosts.
type policyLook struct {
	domain   string
	want     *mtasts.Policy // of policy.toml, with its id; nil where that has none
	hostname string         // in EHLO
	resolver *dns.Resolver
	fetch    func(ctx context.Context, domain string) (*mtasts.Policy, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error) // by address
	roots    *x509.CertPool                                                       // nil: the system's
}

// Bounds of a look.
const (
	policyLookTime = 90 * time.Second
	mostMX         = 20
)

// all looks at everything, in the order in which it is to be put right.
func (l *policyLook) all(ctx context.Context) []found {
	out := []found{l.ours()}
	published, answer := l.record(ctx)
	out = append(out, answer)
	read, answer := l.page(ctx)
	out = append(out, answer)
	policy := l.want
	if policy == nil && read != nil {
		policy = read
	}
	out = append(out, l.hosts(ctx, policy)...)
	if published {
		out = append(out, l.reports(ctx))
	}
	return out
}

// ours is what policy.toml has.
func (l *policyLook) ours() found {
	if l.want == nil {
		return found{"note", "policy.toml", "publishes no policy for " + l.domain, `write mta_sts = { mode = "testing" } in the [[domain]] ` + l.domain}
	}
	return found{"ok", "policy.toml", describePolicy(l.want) + ", id " + l.want.ID, ""}
}

// describePolicy says what a policy asks for.
func describePolicy(p *mtasts.Policy) string {
	hosts := strings.Join(p.MX[:min(len(p.MX), mostMX)], ", ")
	if hosts == "" {
		hosts = "no host"
	}
	return fmt.Sprintf("mode %s, %s, kept for %s", p.Mode, hosts, age(p.MaxAge))
}

// age is a time in the unit that policies have.
func age(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return d.String()
}

// record looks at the TXT record, and reports whether there is one.
func (l *policyLook) record(ctx context.Context) (published bool, f found) {
	what, name := "TXT record", mtasts.RecordName(l.domain)
	a := l.resolver.TXT(ctx, name)
	if err := unknown(a); err != nil {
		return false, found{"note", what, name + " cannot be told: " + err.Error(), "look again when DNS works"}
	}
	line := "publish a policy first"
	if l.want != nil {
		line = "paste " + recordLine(l.domain, l.want.ID)
	}
	id, err := mtasts.ParseRecord(a.Records)
	switch {
	case errors.Is(err, mtasts.ErrNoRecord) && l.want == nil:
		return false, found{"ok", what, "there is none", ""}
	case err != nil:
		return false, found{"bad", what, strings.TrimPrefix(err.Error(), "mta-sts: "), line}
	case l.want == nil:
		return true, found{"bad", what, "has id " + id + ", and there is no policy here", `if another server has the policy, leave it; else write mta_sts = { mode = "none" }, and remove the record once nobody keeps the policy any more`}
	case id != l.want.ID:
		return true, found{"bad", what, "has id " + id + ", of another policy: senders that know that id do not read this one", line}
	}
	return true, found{"ok", what, mtasts.Record(id), ""}
}

// page fetches the policy.
func (l *policyLook) page(ctx context.Context) (*mtasts.Policy, found) {
	what := "https://" + mtasts.HostName(l.domain) + mtasts.Path
	p, err := l.fetch(ctx, l.domain)
	var fault *mtasts.Fault
	switch {
	case err != nil && l.want == nil:
		return nil, found{"ok", what, "no policy: " + strings.TrimPrefix(err.Error(), "mta-sts: "), ""}
	case errors.As(err, &fault) && fault.Result == mtasts.WebPKIInvalid:
		return nil, found{"bad", what, strings.TrimPrefix(err.Error(), "mta-sts: "), "have a certificate made for " + mtasts.HostName(l.domain) + ": the name in a [[tls.acme]], or a file as [[tls.file]]; gatepost tls status shows those that there are"}
	case err != nil:
		return nil, found{"bad", what, strings.TrimPrefix(err.Error(), "mta-sts: "), "point " + mtasts.HostName(l.domain) + " to this gateway (A, AAAA), set web.public_https, and let port 443 through"}
	case l.want == nil:
		return p, found{"note", what, "another server has one: " + describePolicy(p), ""}
	}
	p.ID = l.want.ID
	if !reflect.DeepEqual(p, l.want) {
		return p, found{"bad", what, "another policy: " + describePolicy(p), "gatepost reload; or does the name lead to another server?"}
	}
	return p, found{"ok", what, "the policy of policy.toml, with a valid certificate", ""}
}

// hosts looks at each mail host of the domain: whether the policy names it, and whether its certificate is valid.
func (l *policyLook) hosts(ctx context.Context, policy *mtasts.Policy) (out []found) {
	mx := l.resolver.MX(ctx, l.domain)
	if err := unknown(mx); err != nil {
		return []found{{"note", "MX", "cannot be told: " + err.Error(), "look again when DNS works"}}
	}
	var hosts []string
	for _, r := range mx.Records[:min(len(mx.Records), mostMX)] {
		hosts = append(hosts, strings.ToLower(r.Host))
	}
	if len(hosts) == 0 {
		hosts = []string{l.domain} // RFC 5321 section 5.1
	}
	probed := make([]found, len(hosts))
	atOnce(len(hosts), func(i int) { probed[i] = l.host(ctx, hosts[i]) })
	for i, host := range hosts {
		if policy != nil && policy.Mode != mtasts.None && !policy.Matches(host) {
			out = append(out, found{"bad", "MX " + host, "is none of the hosts of the policy: under enforce nobody sends there", "add it to mx of mta_sts, or remove the MX"})
		}
		out = append(out, probed[i])
	}
	if policy != nil {
		for _, pattern := range policy.MX {
			if !slices.ContainsFunc(hosts, (&mtasts.Policy{MX: []string{pattern}}).Matches) {
				out = append(out, found{"note", "policy", pattern + " is no MX of the domain", "it is of no harm; whoever has such a name may receive the domain's mail if he can forge DNS"})
			}
		}
	}
	return out
}

// host asks a mail host for its certificate, by STARTTLS, as a sender that obeys the policy would (RFC 8461 section 4.2).
func (l *policyLook) host(ctx context.Context, host string) found {
	what := "certificate of " + host
	a := l.resolver.Addrs(ctx, host)
	if err := lookedUp(a.Status, a.Kind, a.Detail); err != nil {
		return found{"bad", what, "the host has no address that can be told: " + err.Error(), ""}
	}
	state, err := l.startTLS(ctx, host, net.JoinHostPort(a.Records[0].String(), "25"))
	if err != nil {
		return found{"bad", what, err.Error(), "under enforce nobody could send there; gatepost tls status shows the certificates of this gateway"}
	}
	leaf, pool := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: pool, Roots: l.roots}); err != nil {
		return found{"bad", what, err.Error(), "show one that is valid for " + host + " there; under enforce nobody could send there"}
	}
	return found{"ok", what, tls.VersionName(state.Version) + ", valid until " + leaf.NotAfter.UTC().Format(time.DateOnly), ""}
}

// startTLS speaks with a mail server up to the handshake, which verifies nothing.
func (l *policyLook) startTLS(ctx context.Context, host, address string) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, policyLookTime/2)
	defer cancel()
	conn, err := l.dial(ctx, "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, fmt.Errorf("cannot be reached: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in := smtpwire.NewReader(conn)
	for _, step := range [...]struct {
		say  string
		want int
	}{{"", 220}, {"EHLO " + l.hostname, 250}, {"STARTTLS", 220}} {
		if step.say != "" {
			if _, err := fmt.Fprintf(conn, "%s\r\n", step.say); err != nil {
				return tls.ConnectionState{}, fmt.Errorf("no answer: %w", err)
			}
		}
		r, err := in.ReadReply()
		switch {
		case err != nil:
			return tls.ConnectionState{}, fmt.Errorf("no answer: %w", err)
		case !r.Is(step.want):
			return tls.ConnectionState{}, fmt.Errorf("%s is answered by %d %s", strings.Fields(step.say + " the connection")[0], r.Code, r.Text(100))
		}
	}
	t := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // verified by the caller, to tell why
	if err := t.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("TLS: %w", err)
	}
	return t.ConnectionState(), nil
}

// reports looks whether others are asked to report failures (RFC 8460 section 3).
func (l *policyLook) reports(ctx context.Context) found {
	what, name := "TLSRPT record", "_smtp._tls."+l.domain
	a := l.resolver.TXT(ctx, name)
	if err := unknown(a); err != nil {
		return found{"note", what, name + " cannot be told: " + err.Error(), "look again when DNS works"}
	}
	for _, text := range a.Records {
		if strings.HasPrefix(text, "v=TLSRPTv1;") {
			return found{"ok", what, text, ""}
		}
	}
	return found{"bad", what, "there is none: nobody tells when the policy keeps mail away", fmt.Sprintf("paste %s. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:tlsrpt@%s\"", name, l.domain)}
}
