package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/received"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/store"
	"gatepost/tls/tlsrpt"
)

// receivedList lists reports that others sent about domains of ours.
func receivedList(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reports list")
	v := url.Values{}
	for _, name := range []string{"kind", "domain", "limit"} {
		f.Func(name, "", func(text string) error { v.Set(name, text); return nil })
	}
	since := f.String("since", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *since != "" {
		at, err := cli.Moment(*since, time.Now())
		if err != nil {
			fmt.Fprintf(e.Err, "gatepost reports list: --since: %v\n", err)
			return cli.Usage
		}
		v.Set("since", at.Format(time.RFC3339))
	}
	if _, err := receivedQuery(v.Get); err != nil {
		fmt.Fprintf(e.Err, "gatepost reports list: %v\n", err)
		return cli.Usage
	}
	var list []store.ReceivedReport
	if err := askFields[api.ReceivedAsk](ctx, e, f, receivedListQuestion(), v, &list); err != nil {
		return cli.Complain(e, "reports list", err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		r := &list[i]
		what := "passed %d, failed %d"
		if r.Kind == received.TLS {
			what = "sessions %d, failed %d"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t"+what+"\n", r.Number, r.Kind, r.Domain, r.Begin.Format(time.DateOnly), gateway.CleanText(r.Org, 60), r.Good, r.Bad)
	}
	t.Flush()
	fmt.Fprintf(e.Err, "%d reports shown\n", len(list))
	return cli.Done
}

// receivedShow shows one of them.
func receivedShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reports show")
	number, ok := f.One(e, args, "name a report by its number; gatepost reports list shows them")
	if !ok {
		return cli.Usage
	}
	v := url.Values{"number": {number}}
	if _, err := receivedQuery(v.Get); err != nil {
		fmt.Fprintf(e.Err, "gatepost reports show: %v\n", err)
		return cli.Usage
	}
	var list []store.ReceivedReport
	if err := askFields[api.ReceivedNumber](ctx, e, f, receivedShowQuestion(), v, &list); err != nil {
		return cli.Complain(e, "reports show", err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	for i := range list {
		printReceived(e.Out, &list[i])
	}
	return cli.Done
}

func printReceived(w io.Writer, r *store.ReceivedReport) {
	fmt.Fprintf(w, "Report %d of kind %s about %s\n", r.Number, r.Kind, r.Domain)
	fmt.Fprintf(w, "  by        %s, its number %s\n", gateway.CleanText(r.Org, 200), gateway.CleanText(r.ID, 200))
	fmt.Fprintf(w, "  period    %s to %s\n", cli.Stamp(r.Begin), cli.Stamp(r.End))
	fmt.Fprintf(w, "  came      %s from <%s>, gatepost trace %s\n", cli.Stamp(r.Received), r.From, r.Reference)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	defer t.Flush()
	switch r.Kind {
	case received.DMARC:
		var f dmarcreport.Feedback
		if err := json.Unmarshal(r.Body, &f); err != nil {
			fmt.Fprintf(t, "  cannot be read: %v\n", err)
			return
		}
		fmt.Fprintf(t, "  policy    p=%s sp=%s\n\n", f.Policy.P, f.Policy.SP)
		slices.SortStableFunc(f.Records, func(a, b dmarcreport.Record) int { return cmp.Compare(b.Count, a.Count) })
		fmt.Fprintln(t, "  messages\tsource\tdkim\tspf\tdone with it\tFrom\tMAIL FROM")
		for _, l := range f.Records {
			fmt.Fprintf(t, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Count, l.Source, yesNo(l.DKIM), yesNo(l.SPF), l.Disposition, l.HeaderFrom, l.EnvelopeFrom)
		}
	case received.TLS:
		var f tlsrpt.Report
		if err := json.Unmarshal(r.Body, &f); err != nil {
			fmt.Fprintf(t, "  cannot be read: %v\n", err)
			return
		}
		for _, p := range f.Policies {
			if p.Policy.Domain != r.Domain {
				continue
			}
			fmt.Fprintf(t, "\n  policy %s: %d sessions went well, %d failed\n", p.Policy.Kind, p.Summary.Successful, p.Summary.Failed)
			for _, l := range p.Failures {
				fmt.Fprintf(t, "  %d\t%s\t%s\t%s\n", l.Count, l.Result, l.MXHostname, gateway.CleanText(l.Code, 120))
			}
		}
	}
}

func yesNo(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
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
