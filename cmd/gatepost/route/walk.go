package route

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/api"
	"gatepost/internal/config"
)

// soonOver is how long before its end a certificate is told of.
const soonOver = 14 * 24 * time.Hour

// fingerprint is that of a whole certificate, as tls = fingerprint takes it.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// told is what a next hop came to, in words.
func told(p *relay.Probed, a about, size int64, now time.Time) api.RouteTryHop {
	out := api.RouteTryHop{NextHop: p.NextHop, Verdict: api.RouteOK}
	all := advices()
	a.hop, a.name = p.NextHop, p.Name
	for i := range p.Steps {
		s := &p.Steps[i]
		a.step = s
		step := api.RouteTryStep{Step: s.At, Verdict: api.RouteOK, Said: s.Said, Took: ms(s.Took)}
		if s.Fault != relay.NoFault {
			step.Verdict = api.RouteFail
			if s.Goes || s.Fault == relay.RecipientRefused && a.usual && strings.Contains(s.Said, " 5.1.") {
				step.Verdict = api.RouteWarn // a server that knows the domain and has no postmaster may know all others
			}
			step.Fault, step.Cause, step.Fix = string(s.Fault), all[s.Fault].cause, all[s.Fault].fix(&a)
		}
		if s.At == relay.ProbeTLS && s.Fault == relay.NoFault && a.route.TLS == config.TLSNone && !strings.HasPrefix(p.NextHop, "unix:") {
			step.Verdict, step.Cause = api.RouteWarn, "The route wants no encryption."
			step.Fix = []string{"Where the way to the server leaves this host, write tls = \"opportunistic\" or \"required\" for the route."}
		}
		out.Steps = append(out.Steps, step)
		switch {
		case s.At == relay.ProbeTLS && s.Peer != nil:
			out.Steps = append(out.Steps, certificate(s, now))
		case s.At == relay.ProbeHello && s.Fault == relay.NoFault:
			out.Steps = append(out.Steps, sizes(&p.Carries, size)...)
		}
	}
	for i := range out.Steps {
		out.Verdict = worse(out.Verdict, out.Steps[i].Verdict)
	}
	return out
}

// worse is the worse of two verdicts.
func worse(a, b string) string {
	switch {
	case a == api.RouteFail || b == api.RouteFail:
		return api.RouteFail
	case a == api.RouteWarn || b == api.RouteWarn:
		return api.RouteWarn
	}
	return api.RouteOK
}

// certificate is what the next hop shows. What is wrong with it stands at the step of TLS, unless nobody looks at it there.
func certificate(s *relay.ProbeStep, now time.Time) api.RouteTryStep {
	c := s.Peer
	names := c.DNSNames
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	more := ""
	if len(names) > 4 {
		names, more = names[:4], fmt.Sprintf(" and %d more", len(c.DNSNames)-4)
	}
	out := api.RouteTryStep{Step: "certificate", Verdict: api.RouteOK,
		Said: gateway.CleanText(fmt.Sprintf("names %s%s, valid until %s, signed by %s, SHA-256 %s", strings.Join(names, ", "), more, c.NotAfter.UTC().Format(time.DateOnly), c.Issuer.CommonName, fingerprint(c)), 400)}
	switch {
	case s.Fault != relay.NoFault:
	case now.After(c.NotAfter):
		out.Verdict, out.Fault, out.Cause = api.RouteWarn, string(relay.Expired), "It is over. Nobody looks at that here, since the route does not verify it."
		out.Fix = []string{"Renew it on the server."}
	case now.Add(soonOver).After(c.NotAfter):
		out.Verdict, out.Cause, out.Fix = api.RouteWarn, "It is over soon.", []string{"Renew it on the server."}
	}
	return out
}

// sizes tells what the next hop takes, beside what this gateway does.
func sizes(c *gateway.Carries, size int64) []api.RouteTryStep {
	if c.Size == 0 {
		return nil
	}
	out := api.RouteTryStep{Step: "size", Verdict: api.RouteOK, Said: "takes messages up to " + config.Size(c.Size).String()}
	if c.Size < size {
		out.Verdict, out.Cause = api.RouteWarn, "It takes smaller messages than this gateway, which takes "+config.Size(size).String()+"."
		out.Fix = []string{"Raise the limit there, or lower limits.message_size in the policy."}
	}
	return []api.RouteTryStep{out}
}

func ms(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}
