package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	theirs "gatepost/cmd/gatepost/received"
	"gatepost/gateway/received"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/store"
	"gatepost/tls/mtasts"
	"gatepost/tls/tlsrpt"
)

// policyLine is one MTA-STS policy as gatepost mta-sts show lists it.
type policyLine struct {
	Domain  string    `json:"domain"`
	Ours    bool      `json:"ours"` // published here; else of a next hop
	Mode    string    `json:"mode"` // "" where a next hop has none
	ID      string    `json:"id,omitempty"`
	MX      []string  `json:"mx,omitempty"`
	MaxAge  float64   `json:"max_age"`          // seconds
	Since   time.Time `json:"since,omitzero"`   // served as it is, or fetched
	Ends    time.Time `json:"ends,omitzero"`    // of a next hop: counts until then
	Record  string    `json:"record,omitempty"` // to paste
	Problem string    `json:"problem,omitempty"`
}

// policiesVerb lists the policies of our domains and of next hops.
func (d *daemon) policiesVerb(context.Context, *struct{}) ([]policyLine, error) {
	out := []policyLine{}
	policies := d.now.Load().policies
	d.hosted.mu.Lock()
	for _, domain := range slices.Sorted(maps.Keys(policies)) {
		p := policies[domain]
		out = append(out, policyLine{Domain: domain, Ours: true, Mode: string(p.Mode), ID: p.ID, MX: p.MX, MaxAge: p.MaxAge.Seconds(),
			Since: d.hosted.served[domain].Since, Record: recordLine(domain, p.ID), Problem: d.hosted.unlike[domain]})
	}
	d.hosted.mu.Unlock()
	for _, k := range d.parts.policies.Known() {
		line := policyLine{Domain: k.Domain}
		if p := k.Policy; p != nil {
			line.Mode, line.ID, line.MX, line.MaxAge, line.Since, line.Ends = string(p.Mode), p.ID, p.MX, p.MaxAge.Seconds(), k.Fetched, k.Ends
		}
		if k.Err != nil {
			line.Problem = k.Err.Error()
		}
		out = append(out, line)
	}
	return out, nil
}

// policiesShow lists policies, or looks at one domain as a sender would.
func policiesShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "mta-sts show")
	server := f.String("dns", "", "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if len(rest) == 1 {
		_, _, all, code := lookAtPolicy(ctx, e, f, rest[0], *server)
		if code != cli.Done {
			return code
		}
		return tellFound(e, f, all)
	}
	list, err := cli.List[policyLine](ctx, e, f, policiesQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "mta-sts show", err)
	}
	code := cli.Done
	if slices.ContainsFunc(list, func(l policyLine) bool { return l.Problem != "" }) {
		code = cli.Found
	}
	if f.JSON {
		return max(code, cli.JSONLines(e, list))
	}
	for i := range list {
		list[i].print(e)
	}
	if len(list) == 0 {
		fmt.Fprintln(e.Out, "no policy is published, and no next hop is found by MX")
	}
	return code
}

// print shows one policy to people.
func (l *policyLine) print(e cli.Env) {
	word, of, says := "ok  ", "next hop", "no policy"
	if l.Problem != "" {
		word = "WARN"
	}
	if l.Ours {
		of = "our own "
	}
	if l.Mode != "" {
		says = describePolicy(&mtasts.Policy{Mode: mtasts.Mode(l.Mode), MX: l.MX, MaxAge: time.Duration(l.MaxAge * float64(time.Second))})
	}
	switch {
	case l.Ours && !l.Since.IsZero():
		says += ", so since " + cli.Stamp(l.Since)
	case !l.Since.IsZero():
		says += ", fetched " + cli.Stamp(l.Since) + ", counts until " + cli.Stamp(l.Ends)
	}
	fmt.Fprintf(e.Out, "%s %s %s: %s\n", word, of, l.Domain, says)
	if l.Problem != "" {
		fmt.Fprintf(e.Out, "     %s\n", l.Problem)
	}
	if l.Record != "" {
		fmt.Fprintf(e.Out, "     %s\n", l.Record)
	}
}

// policiesAdvise tells what must be true before a policy goes on to its next mode, and how it goes on or back.
func policiesAdvise(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "mta-sts advise")
	server := f.String("dns", "", "")
	domain, ok := f.One(e, args, "name a domain that is served")
	if !ok {
		return cli.Usage
	}
	c, look, all, code := lookAtPolicy(ctx, e, f, domain, *server)
	if code != cli.Done {
		return code
	}
	served, err := readServed(c.Bootstrap.StateDir)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost mta-sts advise: %v\n", err)
	}
	a := advice{domain: look.domain, policy: look.want, served: served[look.domain], now: time.Now(), enforced: 7 * 24 * time.Hour,
		at: places{c, f.Config}.at("domain." + look.domain + ".mta_sts")}
	if c.Where["domain."+look.domain+".mta_sts.max_age"] != "" {
		a.enforced = look.want.MaxAge
	}
	a.good, a.bad, a.worst, a.reported = reportedFailures(ctx, f.Config, look.domain)
	return tellFound(e, f, a.on(all))
}

// reportedFailures asks the daemon what reports of the last two weeks say of sessions under the policy of a domain. known is
// false where there is none, or nobody to ask.
func reportedFailures(ctx context.Context, config, domain string) (good, bad int64, worst tlsrpt.Detail, known bool) {
	list, err := cli.List[store.ReceivedReport](ctx, cli.Env{Err: io.Discard, Sections: sections}, &cli.Flags{Config: config}, theirs.ListQuestion(),
		&api.ReceivedAsk{Kind: string(received.TLS), Domain: domain, Bodies: true, Limit: 1000, Since: time.Now().Add(-testingTime)})
	if err != nil {
		return 0, 0, worst, false // told as no reports: the daemon may be another host's
	}
	return stsFailures(list, domain)
}

// lookAtPolicy looks at a domain. Its code is cli.Done where it could.
func lookAtPolicy(ctx context.Context, e cli.Env, f *cli.Flags, domain, server string) (*config.Config, *policyLook, []found, int) {
	c := e.Load(f.Config)
	if c == nil {
		return nil, nil, nil, cli.Found
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if makePolicy(c).Domain(domain) == nil || mtasts.CheckPattern(domain) != nil {
		fmt.Fprintf(e.Err, "%s: %s is not served; write it as [[domain]] in policy.toml first\n", f.Name(), domain)
		return nil, nil, nil, cli.Found
	}
	o := resolverOptions(c.Bootstrap, slog.New(slog.DiscardHandler))
	if server != "" {
		o.Servers = []string{server}
	}
	r, err := dns.New(o)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: dns: %v\n", f.Name(), err)
		return nil, nil, nil, cli.Found
	}
	fetcher := mtasts.Fetcher{Dial: policyHosts{r}.dial}
	l := &policyLook{domain: domain, want: hostedPolicies(c)[domain], hostname: c.Bootstrap.Hostname, resolver: r, fetch: fetcher.Fetch,
		dial: new(net.Dialer).DialContext}
	ctx, cancel := context.WithTimeout(ctx, policyLookTime)
	defer cancel()
	return c, l, l.all(ctx), cli.Done
}

// tellFound prints what was found, and returns the exit code.
func tellFound(e cli.Env, f *cli.Flags, all []found) int {
	code := cli.Done
	enc := json.NewEncoder(e.Out)
	for _, r := range all {
		if r.Verdict == "bad" {
			code = cli.Found
		}
		if f.JSON {
			if enc.Encode(r) != nil {
				return cli.Found
			}
			continue
		}
		fmt.Fprintf(e.Out, "%-4s %s: %s\n", r.Verdict, r.What, r.Detail)
		for line := range strings.Lines(r.Do) {
			fmt.Fprintf(e.Out, "     %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	return code
}

// testingTime is how long a policy should be tested: two weekly rounds of whoever sends seldom, with their reports.
const testingTime = 14 * 24 * time.Hour

// advice is what the way of a policy from mode to mode depends on.
type advice struct {
	domain   string
	policy   *mtasts.Policy // of policy.toml; nil for none
	enforced time.Duration  // its max_age under enforce
	served   servedPolicy
	at       string // where policy.toml has it
	now      time.Time

	// What senders reported of sessions under the policy, in the last two weeks.
	good, bad int64
	worst     tlsrpt.Detail
	reported  bool
}

// reports tells what senders reported while the policy is tested.
func (a *advice) reports() found {
	switch {
	case !a.reported:
		return found{"note", "reports", "none of the last 14 days is known here", "have the rua of the TLSRPT record go to a route with kind = \"report\" (docs/reports.md), or look for failures of sts in its mailbox"}
	case a.bad > 0:
		return found{"bad", "reports", fmt.Sprintf("of %d sessions that senders reported in 14 days, %d failed; most often %s at %s", a.good+a.bad, a.bad, a.worst.Result, a.worst.MXHostname),
			"gatepost reports list --kind tls --domain " + a.domain + "; under enforce this mail would not have come"}
	}
	return found{"ok", "reports", fmt.Sprintf("all %d sessions that senders reported in 14 days went well", a.good), ""}
}

// on adds to what was found what the next step is.
func (a *advice) on(all []found) []found {
	if a.policy == nil {
		return append(all, found{"next", "to begin", "senders will report, and deliver all the same",
			"in " + a.at + `, in the [[domain]] ` + a.domain + `: mta_sts = { mode = "testing" }` + "\ngatepost reload, then gatepost mta-sts advise " + a.domain})
	}
	current := a.served.ID == a.policy.ID
	switch {
	case !current:
		all = append(all, found{"bad", "daemon", "does not serve this policy yet", "gatepost reload"})
	case a.policy.Mode == mtasts.Testing:
		since := a.now.Sub(a.served.Since)
		f := found{"ok", "time", fmt.Sprintf("tested since %s", cli.Stamp(a.served.Since)), ""}
		if since < testingTime {
			f.Verdict, f.Do = "bad", "wait until "+cli.Stamp(a.served.Since.Add(testingTime))+": who sends seldom, and their reports, take that long"
		}
		all = append(all, f, a.reports())
	}
	ready := !slices.ContainsFunc(all, func(f found) bool { return f.Verdict == "bad" })
	switch a.policy.Mode {
	case mtasts.Testing:
		next := *a.policy
		next.Mode, next.MaxAge = mtasts.Enforce, a.enforced
		if !ready {
			return append(all, found{"next", "enforce", "not yet: what is bad comes first", ""})
		}
		return append(all, found{"next", "enforce", "all is as it must be",
			"in " + a.at + `: mode = "enforce"` + "\ngatepost reload, then paste " + recordLine(a.domain, next.ContentID()) + "\ngatepost mta-sts show " + a.domain})
	case mtasts.Enforce:
		return append(all, found{"next", "to take it back", "never remove record or policy first: senders keep what they have (RFC 8461 section 8.3)",
			"in " + a.at + `: mode = "none"` + "\ngatepost reload, paste the record that gatepost mta-sts show " + a.domain + " prints\nafter " + age(a.policy.MaxAge) + " remove the record, then mta_sts"})
	}
	f := found{"next", "to remove it", "senders may keep what was published before until " + cli.Stamp(a.served.Held), "leave it as it is until then"}
	if !a.served.Held.After(a.now) && current {
		f.Detail, f.Do = "nobody keeps an older policy any more", "remove the record "+mtasts.RecordName(a.domain)+", then mta_sts in "+a.at
	}
	return append(all, f)
}

// stsFailures is what reports of the last 14 days say of sessions under the policy of a domain: known is false where there was
// none.
func stsFailures(list []store.ReceivedReport, domain string) (good, bad int64, worst tlsrpt.Detail, known bool) {
	for i := range list {
		var f tlsrpt.Report
		if json.Unmarshal(list[i].Body, &f) != nil {
			continue
		}
		for _, p := range f.Policies {
			if p.Policy.Domain != domain || p.Policy.Kind != tlsrpt.STS {
				continue
			}
			known = true
			good, bad = good+p.Summary.Successful, bad+p.Summary.Failed
			for _, d := range p.Failures {
				if d.Count > worst.Count {
					worst = d
				}
			}
		}
	}
	return good, bad, worst, known
}
