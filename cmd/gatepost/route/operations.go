package route

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/routing"
	"gatepost/internal/seats"
	"gatepost/internal/smtpwire"
)

// Bounds of a try, and how many there are at once.
const (
	mostTime  = 50 * time.Second
	mostTries = 4
	maxHost   = 253
)

func testQuestion() control.Operation {
	return control.Operation{Name: "route test", Method: http.MethodPost, Path: "/routes/test", Doc: "Try the way of mail to a next hop, step by step, without a message", Right: access.PolicyDraft, Time: mostTime + 5*time.Second}
}

// Desk is what the operation works with.
type Desk struct {
	// Document is what is in force, or the draft of whoever asks, which is refused where it cannot be read.
	Document func(ctx context.Context, draft bool) (*config.Config, error)
	// Pools are those of the daemon; their resolvers are asked, and nothing in them changes.
	Pools func() *relay.Pools
	// Routes makes the routes of a document. Its errors are of files that it names.
	Routes func(*config.Config) ([]relay.Route, error)
	// Serves is the route of a domain; "" of one that is not served.
	Serves func(c *config.Config, domain string) string

	seats seats.Seats
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(testQuestion(), d.test)}
}

func wrong(field, message, hint string) error {
	return &control.Fault{Status: http.StatusBadRequest, Field: field, Message: field + ": " + message, Hint: hint}
}

// test tries.
func (d *Desk) test(ctx context.Context, in *api.RouteAsk) (*api.RouteTested, error) {
	if !d.seats.Enter(netip.Prefix{}, seats.Bounds{Most: mostTries, OfEach: mostTries}) {
		return nil, &control.Fault{Status: http.StatusTooManyRequests, Message: fmt.Sprintf("%d tries are under way", mostTries), Hint: "wait until one is done", Retry: 5 * time.Second}
	}
	defer d.seats.Leave(netip.Prefix{})
	c, err := d.Document(ctx, in.Draft)
	if err != nil {
		return nil, err
	}
	out, r, err := d.pick(c, in)
	if err != nil {
		return nil, err
	}
	if actor := access.Of(ctx); in.Draft && showsSecrets(r) && !actor.May(access.PolicyPublish) {
		return nil, &control.Fault{Status: http.StatusForbidden, Field: "draft", Message: "the route of your draft shows its next hop a password or a certificate of this host", Hint: "who may publish can try it"}
	}
	one, policy := *c, *c.Policy
	policy.Routes, one.Policy = []config.Route{*r}, &policy
	made, err := d.Routes(&one)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusUnprocessableEntity, Field: "route", Message: "the route cannot be used: " + err.Error(), Hint: "gatepost check tells all that is wrong"}
	}
	q, usual, err := question(c, out, in)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	trying, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	all, err := d.Pools().Probe(trying, made[0], q)
	if err != nil {
		return nil, wrong("host", strings.TrimPrefix(err.Error(), "relay: "), "")
	}
	a := about{host: c.Bootstrap.Hostname, route: r, rcpt: out.Recipient, usual: usual}
	for i := range all {
		out.Hops = append(out.Hops, told(&all[i], a, int64(c.Policy.Limits.MessageSize), began))
	}
	out.Verdict, out.Took = whole(out.Hops), ms(time.Since(began))
	return out, nil
}

// showsSecrets reports whether a next hop of the route is shown what files of this host hold. A draft names the next hop and the files: who
// may write one, and put none in force, would have any of them sent wherever he likes.
func showsSecrets(r *config.Route) bool { return r.Auth.Used() || r.ClientCert != "" }

// whole is the verdict about a route: where one of its next hops works, mail goes on.
func whole(hops []api.RouteTryHop) string {
	bad, out := 0, api.RouteOK
	for i := range hops {
		if hops[i].Verdict == api.RouteFail {
			bad++
		}
		out = worse(out, hops[i].Verdict)
	}
	if bad > 0 && bad < len(hops) {
		return api.RouteWarn
	}
	if len(hops) == 0 {
		return api.RouteFail
	}
	return out
}

// pick finds which route is tried, for which domain.
func (d *Desk) pick(c *config.Config, in *api.RouteAsk) (*api.RouteTested, *config.Route, error) {
	out := &api.RouteTested{Route: in.Route, Domain: in.Domain}
	if in.Domain != "" {
		name, err := smtpwire.ParseDomain(in.Domain)
		if err != nil {
			return nil, nil, wrong("domain", fmt.Sprintf("%q is no domain", gateway.CleanText(in.Domain, 80)), "")
		}
		out.Domain = name
	}
	switch {
	case in.Host != "" && in.Route != "":
		return nil, nil, wrong("host", "is named beside a route", "name one of them")
	case in.Host != "":
		r, err := server(in)
		return out, r, err
	case in.Route == "" && out.Domain == "":
		return nil, nil, wrong("domain", "is needed, or route, or host", "")
	case in.Route == "":
		if out.Route = d.Serves(c, out.Domain); out.Route == "" {
			return nil, nil, &control.Fault{Status: http.StatusNotFound, Field: "domain", Message: out.Domain + " is not served", Hint: "name the server as host, to try it before the domain is added"}
		}
	}
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		if r.Name != out.Route {
			continue
		}
		if r.Kind == config.RouteReport {
			return nil, nil, &control.Fault{Status: http.StatusConflict, Field: "route", Message: "mail of the route " + r.Name + " ends here, as reports that are read"}
		}
		if out.Domain == "" {
			out.Domain = ofRoute(c, r.Name)
		}
		return out, r, nil
	}
	return nil, nil, &control.Fault{Status: http.StatusNotFound, Field: "route", Message: fmt.Sprintf("there is no route %q", gateway.CleanText(out.Route, 80)), Hint: "gatepost route ADDRESS tells which one an address takes"}
}

// ofRoute is a domain whose mail goes by a route; "" for none.
func ofRoute(c *config.Config, route string) string {
	for i := range c.Policy.Domains {
		if x := &c.Policy.Domains[i]; x.Route == route && !strings.HasPrefix(x.Name, "*.") {
			return x.Name
		}
	}
	return ""
}

// server is a route to a server that is in none yet.
func server(in *api.RouteAsk) (*config.Route, error) {
	host := strings.TrimSpace(in.Host)
	if len(host) > maxHost || strings.ContainsAny(host, " \t\r\n\x00") {
		return nil, wrong("host", "is no server", "write a name or an address")
	}
	r := &config.Route{Name: "server", TLS: config.RouteTLS(in.TLS), Protocol: config.Protocol(in.Protocol), ServerName: in.ServerName, MTASTS: true}
	if in.TLS == "" {
		r.TLS = config.TLSOpportunistic
	}
	hop := config.NextHop{Port: in.Port, Weight: 1}
	if name, ok := strings.CutPrefix(host, "mx:"); ok {
		hop.MX = name
	} else if name, ok := strings.CutPrefix(host, "srv:"); ok {
		hop.SRV = name
	} else {
		hop.Host = strings.Trim(host, "[]")
	}
	r.NextHops = []config.NextHop{hop}
	for _, pin := range strings.FieldsFunc(in.Pins, func(c rune) bool { return c == ',' || c == ' ' }) {
		if _, err := relay.ParseDigest(pin); err != nil {
			return nil, wrong("fingerprints", "are 64 hexadecimal digits each", "")
		}
		r.Fingerprints = append(r.Fingerprints, pin)
	}
	if r.TLS == config.TLSFingerprint && len(r.Fingerprints) == 0 {
		return nil, wrong("fingerprints", "are needed where tls is fingerprint", "try it with tls = opportunistic first: the certificate is shown then, with its SHA-256")
	}
	return r, nil
}

// question is what the next hop is asked, and whether it is about the usual recipient. A domain that nobody knows has none.
func question(c *config.Config, out *api.RouteTested, in *api.RouteAsk) (q *relay.Question, usual bool, err error) {
	own := c.Bootstrap.Hostname
	q = &relay.Question{From: gateway.Address{Text: "postmaster@" + own, Local: "postmaster", Domain: own}}
	if out.Recipient = in.Recipient; out.Recipient == "" {
		if out.Domain == "" {
			return q, true, nil
		}
		out.Recipient, usual = "postmaster@"+out.Domain, true
	}
	if q.Takes, err = routing.Address(out.Recipient); err != nil {
		return nil, usual, wrong("recipient", fmt.Sprintf("%q is no address", gateway.CleanText(out.Recipient, 80)), "write it whole, as info@example.org")
	}
	local := "gatepost-canary-" + strings.ToLower(rand.Text()[:16])
	q.Never = gateway.Address{Text: local + "@" + q.Takes.Domain, Local: local, Domain: q.Takes.Domain}
	return q, usual, nil
}
