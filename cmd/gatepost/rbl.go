package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/rbl"
)

// listLine is one DNS list as rbl status shows it. It never has the key.
type listLine struct {
	Name     string            `json:"name"`
	Zone     string            `json:"zone"` // with the key's place
	Inputs   string            `json:"inputs"`
	HasKey   bool              `json:"has_key"`
	State    string            `json:"state"`
	Cause    string            `json:"cause,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Since    time.Time         `json:"since,omitzero"`
	Proved   time.Time         `json:"proved,omitzero"`
	NextTest time.Time         `json:"next_test,omitzero"`
	Failures int               `json:"failures"` // of the last ten answers
	Listed   int               `json:"listed"`   // of the last Window networks or domains, those that it cleared before
	Window   int               `json:"window"`
	Queries  int               `json:"queries"` // in 24 hours
	Quota    int               `json:"quota,omitempty"`
	Warning  bool              `json:"warning,omitempty"`
	Results  map[string]uint64 `json:"results"`
	Terms    string            `json:"terms"`
	Website  string            `json:"website,omitempty"`
}

// listVerb tells of each list.
func (d *daemon) listVerb(context.Context, *struct{}) ([]listLine, error) {
	out := []listLine{}
	if lists := d.parts.lists.Load(); lists != nil {
		for _, s := range lists.Status(time.Now()) {
			out = append(out, listLine{Name: s.Name, Zone: s.Zone, Inputs: s.Inputs.String(), HasKey: s.HasKey, State: s.State.String(), Cause: s.Cause.String(),
				Detail: s.Detail, Since: s.Since, Proved: s.Proved, NextTest: s.NextTest, Failures: s.Failures, Listed: s.Listed, Window: s.Window,
				Queries: s.Queries, Quota: s.Quota, Warning: s.Warning, Results: s.Results, Terms: s.Terms, Website: s.Website})
		}
	}
	return out, nil
}

// rblStatus shows the lists of the running daemon.
func rblStatus(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "rbl status")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	all, err := cli.List[listLine](ctx, e, f, rblQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "rbl status", err)
	}
	if f.JSON {
		if err := json.NewEncoder(e.Out).Encode(all); err != nil {
			return cli.Found
		}
	} else {
		printLists(e.Out, all, time.Now())
	}
	if slices.ContainsFunc(all, func(l listLine) bool { return l.State != rbl.Armed.String() || l.Warning }) {
		return cli.Found
	}
	return cli.Done
}

func printLists(w io.Writer, all []listLine, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no list is used; [rbl] in policy.toml names them")
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return now.Sub(t).Round(time.Second).String() + " ago"
	}
	for i := range all {
		l := &all[i]
		word, state := "ok  ", "proved "+ago(l.Proved)
		switch {
		case l.State != rbl.Armed.String():
			word, state = "FAIL", strings.TrimSpace("since "+ago(l.Since)+": "+l.Cause+" "+l.Detail)+"; proved "+ago(l.Proved)
		case l.Warning:
			word = "WARN"
		}
		fmt.Fprintf(w, "%s %-20s %-9s %s\n", word, l.Name, l.State, state)
		volume := fmt.Sprintf("%d questions in 24 hours", l.Queries)
		if l.Quota > 0 {
			volume += fmt.Sprintf(" of %d", l.Quota)
		}
		if l.Warning {
			volume += ", nearly all that is free of charge"
		}
		fmt.Fprintf(w, "     %-20s %s, asked about %s; %s; turned against %d of the last %d that it had cleared; %d of the last 10 answers were none\n", "", l.Zone, l.Inputs, volume,
			l.Listed, l.Window, l.Failures)
	}
}

// listAnswer is what one list said to rbl test.
type listAnswer struct {
	List    string   `json:"list"`
	About   string   `json:"about"`
	Verdict string   `json:"verdict"`
	Codes   []string `json:"codes,omitempty"`
	Weight  int      `json:"weight"`
	Cause   string   `json:"cause,omitempty"`
	Detail  string   `json:"detail,omitempty"`
	Says    string   `json:"says,omitempty"` // the list's own text
	Website string   `json:"website,omitempty"`
	State   string   `json:"state"` // whether its test points answer as they should, now and here
	Why     string   `json:"why,omitempty"`
	Took    float64  `json:"took_ms"`
}

// rblTest asks all lists of the policy about an address or a domain, those too that do not prove that they work, and says which
// these are. It asks by itself, and needs no daemon.
func rblTest(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "rbl test")
	name, ok := f.One(e, args, "name an IP address or a domain")
	if !ok {
		return cli.Usage
	}
	subject, err := listSubject(name)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost rbl test: %v\n", err)
		return cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	cli.Tell(e, problems)
	if c == nil {
		return cli.Found
	}
	answers, err := askLists(ctx, c, subject)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost rbl test: %v\n", err)
		return cli.Found
	}
	if f.JSON {
		if err := json.NewEncoder(e.Out).Encode(answers); err != nil {
			return cli.Found
		}
	} else {
		printAnswers(e.Out, name, answers)
	}
	if slices.ContainsFunc(answers, func(a listAnswer) bool { return a.Verdict != rbl.NotListed.String() || a.State != rbl.Armed.String() }) {
		return cli.Found
	}
	return cli.Done
}

// listSubject is what rbl test was asked about: an address, or a domain wherever it may stand.
func listSubject(text string) (rbl.Subject, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		if addr = addr.Unmap(); gateway.Inside(addr) || !addr.IsGlobalUnicast() {
			return rbl.Subject{}, fmt.Errorf("%s is no address of the internet: no list is asked about it (test points are asked by themselves)", addr)
		}
		return rbl.Subject{Client: addr, Links: &rbl.Links{Addrs: []netip.Addr{addr}}}, nil
	}
	if !dns.ValidName(text) || !strings.Contains(text, ".") {
		return rbl.Subject{}, fmt.Errorf("%q is neither an IP address nor a domain; write internationalised names as A-labels", gateway.CleanText(text, 60))
	}
	return rbl.Subject{Helo: text, Reverse: text, MailFrom: text, From: text, Links: &rbl.Links{Hosts: []string{text}}}, nil
}

// askLists proves the lists of a policy and asks each, all at the same time.
func askLists(ctx context.Context, c *config.Config, subject rbl.Subject) ([]listAnswer, error) {
	entries, err := listEntries(c)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New("no list is used; policy.toml names them as [[rbl.list]], and says what for: rbl.use")
	}
	resolver, err := dns.New(resolverOptions(c.Bootstrap, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	watch, err := rbl.NewSupervisor(entries, nil)
	if err != nil {
		return nil, err
	}
	r := filters.ListDNS(resolver)
	var all sync.WaitGroup
	all.Go(func() { watch.Probe(ctx, r, time.Now()) })
	results := rbl.Check(ctx, r, entries, subject)
	says := make([]string, len(results))
	number := func(name string) int {
		return slices.IndexFunc(entries, func(e rbl.Entry) bool { return e.List.Name == name })
	}
	for i := range results {
		all.Go(func() { says[i] = rbl.Reason(ctx, r, &entries[number(results[i].List)], results[i]) })
	}
	all.Wait()
	states := watch.Status(time.Now())
	var out []listAnswer
	for i, res := range results {
		n := number(res.List)
		a := listAnswer{List: res.List, About: res.Inputs.String(), Verdict: res.Verdict.String(), Weight: res.Weight, Cause: res.Cause.String(), Detail: res.Detail,
			Says: says[i], Website: entries[n].List.Website, State: states[n].State.String(), Took: float64(res.Took.Microseconds()) / 1e3}
		if states[n].State != rbl.Armed {
			a.Why = strings.TrimSpace(states[n].Cause.String() + " " + states[n].Detail)
		}
		for _, code := range res.Codes {
			a.Codes = append(a.Codes, fmt.Sprintf("%s %s (%d)", code.Answer, code.Label, code.Weight))
		}
		out = append(out, a)
	}
	return out, nil
}

func printAnswers(w io.Writer, about string, answers []listAnswer) {
	sum, asked := 0, 0
	for _, a := range answers {
		text := strings.TrimSpace(strings.Join(a.Codes, ", ") + " " + a.Cause + " " + a.Detail)
		fmt.Fprintf(w, "%-10s %-20s %s\n", a.Verdict, a.List, text)
		if a.Says != "" {
			fmt.Fprintf(w, "%-10s %-20s it says: %s\n", "", "", a.Says)
		}
		if a.Verdict == rbl.Listed.String() && a.Website != "" {
			fmt.Fprintf(w, "%-10s %-20s see %s\n", "", "", a.Website)
		}
		if a.State != rbl.Armed.String() {
			fmt.Fprintf(w, "%-10s %-20s NOT USED for mail, since it does not prove that it works: %s\n", "", "", a.Why)
			continue
		}
		asked++
		sum += a.Weight
	}
	if len(answers) == 0 {
		fmt.Fprintf(w, "no list of the policy is asked about %s\n", about)
		return
	}
	fmt.Fprintf(w, "%d of %d lists are used for mail, and their weights are %d together; 10 refuses by default\n", asked, len(answers), sum)
}
