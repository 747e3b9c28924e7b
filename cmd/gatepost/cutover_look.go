package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/dns"
	"gatepost/internal/smtpwire"
)

// look looks at the policy, DNS, the listeners, and the next hops of the domain.
func (m *moving) look(ctx context.Context, listener string) []found {
	out := []found{m.lookServed()}
	out = append(out, m.lookMX(ctx)...)
	addresses := listenerAddresses(m.c)
	if listener != "" {
		addresses = []string{listener}
	}
	if len(addresses) == 0 {
		out = append(out, found{"note", "listener", "all are behind a proxy", "name the proxy's address: --listener 192.0.2.1:25"})
	}
	for _, a := range addresses {
		out = append(out, m.lookListener(ctx, a)...)
	}
	out = append(out, m.lookHops(ctx)...)
	return append(out, m.lookSPF(ctx))
}

// lookServed says whether policy serves the domain.
func (m *moving) lookServed() found {
	policy := makePolicy(m.c)
	if d := policy.Domain(m.domain); d != nil {
		return found{"ok", "policy", "serves " + m.domain + " by route " + d.Route, ""}
	}
	return found{"bad", "policy", m.domain + " is not served: its mail is refused with 550 5.7.1", "write it as [[domain]]"}
}

// lookMX says where the MX of the domain lead.
func (m *moving) lookMX(ctx context.Context) (out []found) {
	host := m.c.Bootstrap.Hostname
	own := m.dns.Addrs(ctx, host)
	switch own.Status {
	case dns.Found:
		out = append(out, found{"ok", "DNS", host + " is " + strings.Trim(fmt.Sprint(own.Records), "[]"), ""})
	case dns.None:
		out = append(out, found{"bad", "DNS", host + ", the name of this gateway, has no address", "publish A and AAAA records for it, and the same name for its address (PTR)"})
	default:
		out = append(out, found{"bad", "DNS", host + " could not be looked up: " + own.Detail, ""})
	}
	mx := m.dns.MX(ctx, m.domain)
	if mx.Status == dns.None {
		return append(out, found{"bad", "MX", m.domain + " has no MX record", "write one that names " + host})
	}
	if mx.Status != dns.Found {
		return append(out, found{"bad", "MX", "of " + m.domain + " is not found: " + mx.Status.String() + " " + mx.Detail, ""})
	}
	var shown []string
	at := -1
	for i, r := range mx.Records {
		shown = append(shown, fmt.Sprintf("%d %s", r.Pref, r.Host))
		if strings.EqualFold(r.Host, host) {
			at = i
		}
	}
	f := found{"ok", "MX", strings.Join(shown, ", ") + "; TTL " + mx.TTL.Round(time.Second).String(), ""}
	switch {
	case at < 0:
		f.Verdict, f.Do = "note", "this gateway is none of them yet: gatepost cutover plan says when"
	case at > 0:
		f.Verdict, f.Do = "note", "this gateway is not the first of them yet"
	}
	return append(out, f)
}

// lookListener says what a client meets: the banner, and the certificate of STARTTLS.
func (m *moving) lookListener(ctx context.Context, address string) (out []found) {
	what := "listener " + address
	bad := func(detail, do string) []found { return append(out, found{"bad", what, detail, do}) }
	conn, err := (&net.Dialer{Timeout: 15 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return bad("cannot be reached: "+err.Error(), "is the daemon running? gatepost status")
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second)) // an unknown client waits for the banner
	in := smtpwire.NewReader(conn)
	read := func() (smtpwire.Reply, error) { return in.ReadReply() }
	r, err := read()
	name, _, _ := strings.Cut(r.Text(200), " ")
	switch {
	case err != nil:
		return bad("says nothing: "+err.Error(), "")
	case !r.Is(220):
		return bad(fmt.Sprintf("greets with %d %s", r.Code, r.Text(100)), "")
	case !strings.EqualFold(name, m.c.Bootstrap.Hostname):
		out = append(out, found{"bad", what, "greets as " + name + ", not as " + m.c.Bootstrap.Hostname, "is that another server?"})
	default:
		out = append(out, found{"ok", what, "greets as " + name, ""})
	}
	if _, err = fmt.Fprintf(conn, "EHLO %s\r\n", m.c.Bootstrap.Hostname); err == nil {
		r, err = read()
	}
	if err != nil || !r.Is(250) {
		return bad("does not answer EHLO", "")
	}
	if !slices.ContainsFunc(r.Lines, func(l string) bool { return strings.EqualFold(l, "STARTTLS") }) {
		return append(out, found{"note", what, "offers no STARTTLS: mail comes in clear", ""})
	}
	if _, err = fmt.Fprintf(conn, "STARTTLS\r\n"); err == nil {
		r, err = read()
	}
	if err != nil || !r.Is(220) {
		return bad("does not begin TLS", "")
	}
	return append(out, m.lookCertificate(ctx, conn, what))
}

// lookCertificate says whether senders that verify (MTA-STS) would be content.
func (m *moving) lookCertificate(ctx context.Context, conn net.Conn, what string) found {
	host := m.c.Bootstrap.Hostname
	t := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // verified below, to tell why
	if err := t.HandshakeContext(ctx); err != nil {
		return found{"bad", what, "TLS: " + err.Error(), ""}
	}
	state := t.ConnectionState()
	leaf := state.PeerCertificates[0]
	pool := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: pool})
	detail := tls.VersionName(state.Version) + ", certificate until " + leaf.NotAfter.UTC().Format(time.DateOnly)
	if err != nil {
		return found{"note", what, detail + ": " + err.Error(), "most senders do not look; those with MTA-STS for the domain would not deliver"}
	}
	return found{"ok", what, detail + " for " + host, ""}
}

// lookHops asks the next hop of the domain's route for postmaster, the address that must exist (RFC 5321 section 4.5.1).
func (m *moving) lookHops(ctx context.Context) []found {
	d := makePolicy(m.c).Domain(m.domain)
	if d == nil {
		return nil
	}
	p, err := newParts(m.c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		return []found{{"bad", "next hop", err.Error(), ""}}
	}
	b, err := assemble(m.c, p)
	if err != nil {
		return []found{{"bad", "next hop", err.Error(), ""}}
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	to := gateway.Address{Text: "postmaster@" + m.domain, Local: "postmaster", Domain: m.domain}
	v := b.relay.Verify(ctx, d.Route, gateway.Address{}, to)
	what := "next hop of route " + d.Route
	said := strings.TrimSpace(v.NextHop + " " + v.Said)
	switch v.Result {
	case relay.Takes:
		return []found{{"ok", what, said + ": takes mail for " + to.Text, ""}}
	case relay.Refuses:
		return []found{{"bad", what, said + ": refuses mail for " + to.Text, "every domain has a postmaster; and the gateway must be allowed to bring mail for " + m.domain + ": gatepost handover"}}
	}
	return []found{{"bad", what, said + ": could not be asked", "gatepost check --live"}}
}

// lookSPF says whether the way out stays what it is.
func (m *moving) lookSPF(ctx context.Context) found {
	record, err := m.spf(ctx)
	if err != nil {
		return found{"bad", "SPF", err.Error(), ""}
	}
	if record == "" {
		return found{"note", "SPF", m.domain + " has no SPF record", "it is about mail that goes out, and no part of the move"}
	}
	for _, w := range strings.Fields(strings.ToLower(record)) {
		if name := strings.TrimLeft(w, "+-~?"); name == "mx" || strings.HasPrefix(name, "mx:") || strings.HasPrefix(name, "mx/") {
			return found{"bad", "SPF", record + ": " + w + " means whoever receives the mail, and moves with the MX", "name the hosts that send in its place, before the old MX goes: gatepost cutover plan"}
		}
	}
	return found{"ok", "SPF", record + ": does not change with the MX", ""}
}
