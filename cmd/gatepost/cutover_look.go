package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/dns"
	"gatepost/internal/doctor"
)

// look looks at the policy, DNS, the listeners, and the next hops of the domain.
func (m *moving) look(ctx context.Context, listener string) []found {
	out := []found{m.lookServed()}
	out = append(out, m.lookMX(ctx)...)
	out = append(out, m.lookListeners(ctx, listener)...)
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

// lookListeners says what a client meets, and whether mail to elsewhere is taken from it: as gatepost doctor does.
func (m *moving) lookListeners(ctx context.Context, listener string) (out []found) {
	o := doctorOptions{server: m.server, listener: listener, config: m.Config}
	if makePolicy(m.c).Domain(m.domain) != nil {
		o.domain = m.domain
	}
	w, err := newWorld(m.c, o)
	if err != nil {
		return []found{{"bad", "listener", err.Error(), ""}}
	}
	groups := slices.DeleteFunc(w.Groups(), func(g doctor.Group) bool { return g.Name != "listener" })
	for _, g := range doctor.Examine(ctx, groups, doctor.Bound) {
		for _, l := range g.Lines {
			word := map[doctor.Verdict]string{doctor.OK: "ok", doctor.Fail: "bad"}[l.Verdict]
			out = append(out, found{cmp.Or(word, "note"), strings.TrimSpace("listener " + l.About), l.Saw, strings.Join(l.Fix, "; ")})
		}
	}
	return out
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
