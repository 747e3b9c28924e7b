package received

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/received"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/store"
	"gatepost/tls/tlsrpt"
)

// Commands are those of reports that others sent.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "reports list", Args: "[--kind dmarc|tls] [--domain D] [--since T] [--limit N] [--config PATH] [--json]", Doc: "list the reports that others sent about your domains, the newest first", Run: listing},
		{Words: "reports show", Args: "NUMBER [--config PATH] [--json]", Doc: "show one of them", Run: showing},
	}
}

// ask asks for reports.
func ask[In any](ctx context.Context, e cli.Env, f *cli.Flags, o control.Operation, v url.Values) ([]store.ReceivedReport, error) {
	list, err := cli.CallFields[[]store.ReceivedReport, In](ctx, e, f, o, v)
	if err != nil {
		return nil, err
	}
	return *list, nil
}

// listing lists reports that others sent about domains of ours.
func listing(ctx context.Context, e cli.Env, args []string) int {
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
	if _, err := query(v.Get); err != nil {
		fmt.Fprintf(e.Err, "gatepost reports list: %v\n", err)
		return cli.Usage
	}
	list, err := ask[api.ReceivedAsk](ctx, e, f, ListQuestion(), v)
	if err != nil {
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

// showing shows one of them.
func showing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reports show")
	number, ok := f.One(e, args, "name a report by its number; gatepost reports list shows them")
	if !ok {
		return cli.Usage
	}
	v := url.Values{"number": {number}}
	if _, err := query(v.Get); err != nil {
		fmt.Fprintf(e.Err, "gatepost reports show: %v\n", err)
		return cli.Usage
	}
	list, err := ask[api.ReceivedNumber](ctx, e, f, showQuestion(), v)
	if err != nil {
		return cli.Complain(e, "reports show", err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	for i := range list {
		print(e.Out, &list[i])
	}
	return cli.Done
}

func print(w io.Writer, r *store.ReceivedReport) {
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

// shown is how many reports are listed unless more are asked for.
const shown = 50

// query reads what the command line asks for.
func query(get func(string) string) (q store.ReceivedQuery, err error) {
	q = store.ReceivedQuery{Kind: received.Kind(get("kind")), Domain: strings.ToLower(get("domain")), Limit: shown}
	if q.Kind != "" && q.Kind != received.DMARC && q.Kind != received.TLS {
		return q, fmt.Errorf("--kind: %q is none; write dmarc or tls", q.Kind)
	}
	if text := get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return q, fmt.Errorf("--since: %q is no time", text)
		}
	}
	if text := get("number"); text != "" {
		if q.Number, err = strconv.ParseInt(text, 10, 64); err != nil || q.Number < 1 {
			return q, fmt.Errorf("%q is no number of a report; gatepost reports list shows them", text)
		}
		q.Bodies, q.Limit = true, 1
	}
	if get("bodies") != "" {
		q.Bodies = true
	}
	if text := get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > 10_000 {
			return q, fmt.Errorf("--limit: %q is no number from 1 to 10000", text)
		}
	}
	return q, nil
}
