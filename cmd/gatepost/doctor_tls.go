package main

import (
	"context"
	"errors"
	"slices"

	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/dns"
	"gatepost/internal/doctor"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// tlsa is how the TLSA records of our mail hosts stand, by the daemon's word, or by the certificates that lie in files.
func (b *behind) tlsa(ctx context.Context) (out []doctor.TLSAHost, err error) {
	var all []tlsaHost
	asked := control.Asking[struct{}](tlsaQuestion())
	err = control.NewClient(b.c.Bootstrap.Control.Socket).Ask(ctx, &asked, &struct{}{}, &all)
	if errors.Is(err, control.ErrNotRunning) {
		all, err = tlsaOfFiles(ctx, b.asked)
	}
	if err != nil {
		return nil, err
	}
	for i := range all {
		out = append(out, tlsaLineOf(&all[i]))
	}
	return out, nil
}

// tlsaLineOf makes a line of a host: what fails mail first, and what to paste.
func tlsaLineOf(h *tlsaHost) doctor.TLSAHost {
	out := doctor.TLSAHost{Host: h.Host, State: string(h.State), Verdict: doctor.OK,
		Counts: slices.Contains([]dane.State{dane.Right, dane.RightNext, dane.Stale}, h.State)}
	if h.Detail != "" {
		out.State += ": " + h.Detail
	}
	switch h.State {
	case dane.NotPublished, dane.NotSigned:
		out.State = "no TLSA records are published"
		return out
	case dane.CannotTell, dane.Missing:
		out.Verdict = doctor.Unknown
	case dane.NotValidated, dane.Unusable:
		out.Verdict = doctor.Warn
	}
	if h.Alarm {
		out.Verdict = doctor.Fail
	}
	if out.Verdict == doctor.OK {
		return out
	}
	for _, l := range h.Lines {
		if !l.Published && h.State != dane.CannotTell { // it may be there
			out.Do = append(out.Do, l.Line)
		}
	}
	for _, l := range h.Remove {
		out.Do = append(out.Do, "remove: "+l)
	}
	out.Do = append(out.Do, h.Do...)
	return out
}

// stsRecord is the id of an MTA-STS record; "" for none.
func stsRecord(texts []string) (string, error) {
	id, err := mtasts.ParseRecord(texts)
	if errors.Is(err, mtasts.ErrNoRecord) {
		return "", nil
	}
	return id, err
}

// fetchSTS fetches the policy of a domain as senders do, but by our resolver.
func fetchSTS(r *dns.Resolver) func(ctx context.Context, domain string) (*doctor.STS, error) {
	f := &mtasts.Fetcher{Dial: policyHosts{r}.dial}
	return func(ctx context.Context, domain string) (*doctor.STS, error) {
		p, err := f.Fetch(ctx, domain)
		if err != nil {
			return nil, err
		}
		return &doctor.STS{Mode: string(p.Mode), Enforce: p.Mode == mtasts.Enforce, Matches: p.Matches}, nil
	}
}

// proofs are the names that an authority asks for at a port of theirs.
func proofs(b *config.Bootstrap) (out []doctor.Proof) {
	for i := range b.TLS.ACME {
		x := &b.TLS.ACME[i]
		port := map[string]int{config.ChallengeHTTP: 80, config.ChallengeALPN: 443}[x.Challenge]
		if port == 0 {
			continue
		}
		for _, name := range x.Names {
			out = append(out, doctor.Proof{Name: name, Port: port})
		}
	}
	return out
}
