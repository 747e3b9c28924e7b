package received

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
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

// How many reports are listed unless more are asked for, and at most, as the tags of api.ReceivedAsk say it.
const (
	shown  = 50
	atMost = 10_000
)

// Commands are those of reports that others sent.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "reports list", Args: "[--kind dmarc|tls] [--domain D] [--since T] [--limit N] [--config PATH] [--json]", Doc: "list the reports that others sent about your domains, the newest first", Run: listing},
		{Words: "reports show", Args: "NUMBER [--config PATH] [--json]", Doc: "show one of them", Run: showing},
	}
}

// listing lists reports that others sent about domains of ours.
func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reports list")
	var in api.ReceivedAsk
	f.StringVar(&in.Kind, "kind", "", "")
	f.StringVar(&in.Domain, "domain", "", "")
	f.IntVar(&in.Limit, "limit", shown, "")
	since := f.String("since", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	wrong := ""
	var err error
	switch kind := received.Kind(in.Kind); {
	case kind != "" && kind != received.DMARC && kind != received.TLS:
		wrong = fmt.Sprintf("--kind: %q is none; write dmarc or tls", kind)
	case in.Limit < 1 || in.Limit > atMost:
		wrong = fmt.Sprintf("--limit: %d is no number from 1 to %d", in.Limit, atMost)
	case *since != "":
		if in.Since, err = cli.Moment(*since, time.Now()); err != nil {
			wrong = fmt.Sprintf("--since: %v", err)
		}
	}
	if wrong != "" {
		fmt.Fprintf(e.Err, "gatepost reports list: %s\n", wrong)
		return cli.Usage
	}
	list, err := cli.List[store.ReceivedReport](ctx, e, f, ListQuestion(), &in)
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
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		fmt.Fprintf(e.Err, "gatepost reports show: %q is no number of a report; gatepost reports list shows them\n", number)
		return cli.Usage
	}
	list, err := cli.List[store.ReceivedReport](ctx, e, f, showQuestion(), &api.ReceivedNumber{Number: n})
	if err != nil {
		return cli.Complain(e, "reports show", err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	for i := range list {
		printReport(e.Out, &list[i])
	}
	return cli.Done
}

func printReport(w io.Writer, r *store.ReceivedReport) {
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
