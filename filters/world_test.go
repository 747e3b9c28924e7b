package filters

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	known "gatepost/internal/memory"
	"gatepost/internal/shaping"
)

// sections describe the checks to the configuration as the program does.
func sections() config.Sections {
	out := config.Sections{}
	for _, d := range Definitions() {
		s := config.Section{Name: d.Name, Doc: d.Doc, RFC: d.RFC, Options: d.Options, Moved: d.Moved, Costly: d.Costly,
			Action: config.Action(d.Action.String()), Unknown: config.Action(d.Unknown.String())}
		for _, m := range d.Measures {
			s.Measures = append(s.Measures, config.Measure{Name: m.Name, Doc: m.Doc, Price: m.Price})
		}
		for r, a := range d.Reasons {
			if s.Reasons == nil {
				s.Reasons = map[string]config.Action{}
			}
			s.Reasons[string(r)] = config.Action(a.String())
		}
		out[d.Name] = s
	}
	return out
}

// load reads a policy document and returns what it says of the checks, and the problems it has.
func load(t testing.TB, policy string) (map[string]Configured, config.Problems) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.PolicyFile), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := config.Load(dir, sections())
	if problems.Refused() {
		return nil, problems
	}
	action := func(a config.Action) (out gateway.Action) {
		if err := out.UnmarshalText([]byte(a)); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := map[string]Configured{}
	for name, c := range c.Policy.Checks {
		f := Configured{Action: action(c.Action), Unknown: action(c.Unknown), Prices: c.Prices, Options: c.Options, Undecided: c.When == config.Undecided,
			Reasons: map[gateway.Reason]gateway.Action{}}
		for r, a := range c.Reasons {
			f.Reasons[gateway.Reason(r)] = action(a)
		}
		out[name] = f
	}
	return out, problems
}

// servedPolicy serves three domains, the second with the names below it, the third one internationalised.
func servedPolicy() *gateway.Policy {
	p := &gateway.Policy{Thresholds: gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 15}, Domains: map[string]*gateway.Domain{}}
	for _, d := range []gateway.Domain{{Name: "served.example", Route: "in"}, {Name: "wide.example", Subdomains: true, Route: "in"},
		{Name: "xn--bcher-kva.example", Route: "in"}} {
		p.Domains[d.Name] = &d
	}
	p.Postmaster = p.Domains["served.example"]
	return p
}

// build builds the checks under a policy document; what the checks need and deps lack is a scanner that must not be asked.
func build(t testing.TB, policy string, d *Deps) *gateway.Pipeline {
	t.Helper()
	c, problems := load(t, policy)
	if problems.Refused() {
		t.Fatal(problems)
	}
	if d.Policy == nil {
		d.Policy = servedPolicy()
	}
	if d.Hostname == "" {
		d.Hostname = "mx.served.example"
	}
	if d.ClamAV == nil {
		d.ClamAV = deadClamAV{}
	}
	if d.SpamAssassin == nil {
		d.SpamAssassin = deadSpam{}
	}
	if d.Unpack == nil {
		d.Unpack = &here{}
	}
	if d.Recipients == nil {
		d.Recipients = answers{}
	}
	if d.Shaper == nil {
		d.Shaper = shaping.New(limit.NewMemory(0), greylist.NewMemory(0)) // without Rates nothing is limited
	}
	if d.Resolver == nil {
		d.Resolver = patient(t, dnslab.New(t, nil))
	}
	if d.Reputation == nil {
		d.Reputation = shaping.NewReputation(known.NewReputation(known.ReputationOptions{}))
	}
	if d.Keyer == nil {
		d.Keyer = keyerOf(t)
	}
	pl, err := Build(d, c)
	if err != nil {
		t.Fatal(err)
	}
	return pl
}

// keyerOf makes keys under a key that everybody knows.
func keyerOf(t testing.TB) *greylist.Keyer {
	t.Helper()
	k, err := greylist.NewKeyer(make([]byte, greylist.LeastKey))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// patient asks the lab's name server and waits as the program does: on a busy machine an answer may take its time.
func patient(t testing.TB, s *dnslab.Server) *dns.Resolver {
	t.Helper()
	r, err := dns.New(dns.Options{Servers: []string{s.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// resolver asks the lab's name server and gives up soon; it is for names that are never answered.
func resolver(t testing.TB, s *dnslab.Server) *dns.Resolver {
	t.Helper()
	r, err := dns.New(dns.Options{Servers: []string{s.Addr()}, Timeout: 150 * time.Millisecond, Attempts: 1, Deadline: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// from begins a session of a client.
func from(client, name string) *gateway.Session {
	s := &gateway.Session{ID: 1 << 30, Client: netip.AddrPortFrom(netip.MustParseAddr(client), 4711),
		Local: netip.MustParseAddrPort("203.0.113.25:25"), Started: time.Now(), Helo: helloOf(name)}
	return s
}

// input is the input of a stage.
func input(s *gateway.Session, e *gateway.Envelope) *gateway.Input {
	if e != nil {
		if e.Session != s { // what was begun ahead may read it
			e.Session = s
		}
		if e.Started.IsZero() {
			e.Started = s.Started
		}
	}
	return &gateway.Input{Session: s, Envelope: e, Rcpt: -1}
}

// run runs a check under the row's context.
func run(t testing.TB, check func(context.Context, *gateway.Input) gateway.Finding, in *gateway.Input) gateway.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return check(ctx, in)
}

// measured are the names of a finding's measures.
func measured(f gateway.Finding) (out []string) {
	for _, m := range f.Measures {
		out = append(out, m.Name)
	}
	return out
}

// evidence is the text of a finding's evidence of that name.
func evidence(f gateway.Finding, name string) string {
	return gateway.Evident([]gateway.Finding{f}, name)
}

// memory is a body.
type memory struct{ *strings.Reader }

func (memory) Close() error { return nil }

// dataOf is a transaction whose message was read whole, for one recipient.
func dataOf(t testing.TB, text string) *gateway.Envelope {
	t.Helper()
	body := memory{strings.NewReader(text)}
	h, err := gateway.ReadHeader(body, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	to := recipientOf(t, servedPolicy(), "<anna@served.example>")
	to.Reply = gateway.SayRcptOK.Reply()
	return &gateway.Envelope{ID: 1 << 31, From: mailFrom(t, "<a@b.example>"), Body: body, Header: h, Rcpts: []gateway.Recipient{to}, Route: to.Route}
}
