package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/cutover"
	"gatepost/internal/dns"
	"gatepost/internal/smtpwire"
)

// cutoverTime bounds all that a plan or a look asks.
const cutoverTime = 2 * time.Minute

// moving is what both verbs work with.
type moving struct {
	*cli.Flags
	domain string
	server string // the resolver that --dns names; "" for those of the document
	c      *config.Config
	dns    *dns.Resolver
}

// newMoving reads the options and the configuration. ok is false after a mistake was told, with the exit code.
func newMoving(e cli.Env, f *cli.Flags, domain, server string) (m *moving, code int) {
	name, err := smtpwire.ParseDomain(domain)
	if domain == "" || err != nil {
		fmt.Fprintf(e.Err, "%s: name the domain that moves: --domain example.org\n", f.Name())
		return nil, cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	if c == nil {
		cli.Tell(e, problems)
		return nil, cli.Found
	}
	o := dns.Options{Servers: c.Bootstrap.DNS.Servers, Timeout: c.Bootstrap.DNS.Timeout}
	if server != "" {
		o.Servers = []string{server}
	}
	r, err := dns.New(o)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: --dns: %v\n", f.Name(), err)
		return nil, cli.Usage
	}
	return &moving{f, name, server, c, r}, cli.Done
}

// cutoverPlan prints the steps by which mail of a domain moves to this gateway.
func cutoverPlan(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "cutover plan")
	domain, server, start := f.String("domain", "", ""), f.String("dns", "", ""), f.String("start", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	day := time.Now().UTC().AddDate(0, 0, 3)
	if *start != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, *start); err != nil {
			fmt.Fprintf(e.Err, "%s: --start is a day, as 2027-01-15\n", f.Name())
			return cli.Usage
		}
	}
	m, code := newMoving(e, f, *domain, *server)
	if m == nil {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, cutoverTime)
	defer cancel()
	facts, err := m.facts(ctx)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	facts.Start = day
	steps := cutover.Plan(facts)
	if f.JSON {
		type line struct {
			Step int      `json:"step"`
			Day  string   `json:"day"`
			What string   `json:"what"`
			Do   []string `json:"do,omitempty"`
			Why  string   `json:"why,omitempty"`
			Back string   `json:"back,omitempty"`
		}
		var lines []line
		for i, s := range steps {
			lines = append(lines, line{i + 1, s.Day.Format(time.DateOnly), s.What, s.Do, s.Why, s.Back})
		}
		return cli.JSONLines(e, lines)
	}
	printPlan(e.Out, facts, steps)
	return cli.Done
}

func printPlan(w io.Writer, f cutover.Facts, steps []cutover.Step) {
	fmt.Fprintf(w, "%s moves to %s. Now:\n", f.Domain, f.Hostname)
	for _, m := range f.MX {
		fmt.Fprintf(w, "  MX %d %s\n", m.Pref, m.Host)
	}
	fmt.Fprintf(w, "  TTL up to %s\n", f.TTL.Round(time.Second))
	for i, s := range steps {
		fmt.Fprintf(w, "\n%2d. %s  %s\n", i+1, s.Day.Format(time.DateOnly), s.What)
		for _, d := range s.Do {
			fmt.Fprintf(w, "      %s\n", d)
		}
		if s.Why != "" {
			fmt.Fprintf(w, "    why:  %s\n", s.Why)
		}
		if s.Back != "" {
			fmt.Fprintf(w, "    back: %s\n", s.Back)
		}
	}
}

// facts are what DNS says of the domain. Error: it could not be told, and a plan would be a guess.
func (m *moving) facts(ctx context.Context) (cutover.Facts, error) {
	f := cutover.Facts{Domain: m.domain, Hostname: m.c.Bootstrap.Hostname}
	mx := m.dns.MX(ctx, m.domain)
	if mx.Status != dns.Found && mx.Status != dns.None {
		return f, fmt.Errorf("the MX of %s could not be looked up: %s", m.domain, mx.Detail)
	}
	f.TTL = mx.TTL
	hosts := []string{}
	for _, r := range mx.Records {
		f.MX = append(f.MX, cutover.MX{Host: r.Host, Pref: r.Pref})
		if !strings.EqualFold(r.Host, f.Hostname) {
			hosts = append(hosts, r.Host)
		}
	}
	if len(f.MX) == 0 {
		hosts = []string{m.domain}
	}
	for _, h := range hosts[:min(len(hosts), 8)] {
		f.Old = append(f.Old, m.dns.Addrs(ctx, h).Records...)
	}
	spf, err := m.spf(ctx)
	if err != nil {
		return f, err
	}
	f.SPF = spf
	for _, text := range m.dns.TXT(ctx, "_mta-sts."+m.domain).Records {
		f.STS = f.STS || strings.HasPrefix(text, "v=STSv1")
	}
	return f, nil
}

// spf is the SPF record of the domain, "" for none.
func (m *moving) spf(ctx context.Context) (string, error) {
	a := m.dns.TXT(ctx, m.domain)
	if a.Status != dns.Found && a.Status != dns.None {
		return "", fmt.Errorf("the SPF record of %s could not be looked up: %s", m.domain, a.Detail)
	}
	for _, text := range a.Records {
		if low := strings.ToLower(text); low == "v=spf1" || strings.HasPrefix(low, "v=spf1 ") {
			return text, nil
		}
	}
	return "", nil
}

// found is one thing that verify looked at.
type found struct {
	Verdict string `json:"verdict"` // "ok", "note" or "bad"
	What    string `json:"what"`
	Detail  string `json:"detail"`
	Do      string `json:"do,omitempty"`
}

// cutoverVerify looks from here at what the move depends on.
func cutoverVerify(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "cutover verify")
	domain, server, listener := f.String("domain", "", ""), f.String("dns", "", ""), f.String("listener", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	m, code := newMoving(e, f, *domain, *server)
	if m == nil {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, cutoverTime)
	defer cancel()
	all := m.look(ctx, *listener)
	code = cli.Done
	for _, r := range all {
		if r.Verdict == "bad" {
			code = cli.Found
		}
		if f.JSON {
			continue
		}
		fmt.Fprintf(e.Out, "%-4s %s: %s\n", r.Verdict, r.What, r.Detail)
		if r.Do != "" {
			fmt.Fprintf(e.Out, "     %s\n", r.Do)
		}
	}
	if f.JSON {
		enc := json.NewEncoder(e.Out)
		for _, r := range all {
			if enc.Encode(r) != nil {
				return cli.Found
			}
		}
	}
	return code
}

// listenerAddresses are where this host's own listeners can be reached from here.
func listenerAddresses(c *config.Config) (out []string) {
	for _, l := range c.Bootstrap.Listeners {
		for _, a := range l.Addresses {
			if len(l.ProxyFrom) == 0 { // behind a proxy nobody else is heard
				out = append(out, cli.FromHere(a).String())
			}
		}
	}
	return out
}
