package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway/reports"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/dmarcreport"
)

// reportVerb answers gatepost dmarc report.
func (d *daemon) reportVerb(ctx context.Context, in *api.ReportsAsk) (*reports.Overview, error) {
	return showReports(ctx, d.reports, in)
}

// tlsReportVerb answers gatepost tlsrpt report.
func (d *daemon) tlsReportVerb(ctx context.Context, in *api.ReportsAsk) (*reports.Overview, error) {
	return showReports(ctx, d.tlsReports, in)
}

func showReports(ctx context.Context, of *reports.Reports, in *api.ReportsAsk) (*reports.Overview, error) {
	v := url.Values{"domain": {in.Domain}, "day": {in.Day}, "format": {in.Format}}
	if in.DryRun {
		v.Set("dry", "1")
	}
	q, err := reportQuery(v)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	}
	o, err := of.Show(ctx, q)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	return o, nil
}

// reportQuery reads what the command line asks for.
func reportQuery(v url.Values) (q reports.Query, err error) {
	q.Domain, q.DryRun = strings.ToLower(v.Get("domain")), v.Get("dry") != ""
	if text := v.Get("day"); text != "" {
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return q, fmt.Errorf("--day: %q is no day; write for example 2026-11-23", text)
		}
		day := reports.DayOf(t)
		q.Day = &day
	}
	switch format := v.Get("format"); format {
	case "":
	case "9990", "7489":
		f := dmarcreport.RFC9990
		if format == "7489" {
			f = dmarcreport.RFC7489
		}
		q.Format = &f
	default:
		return q, fmt.Errorf("--format: %q is neither 9990 nor 7489", format)
	}
	return q, nil
}

// dmarcReport and tlsReport show what waits to be reported, what was sent, and what would be.
func dmarcReport(ctx context.Context, e cli.Env, args []string) int {
	return askForReports(ctx, e, args, "dmarc", "reports.dmarc.from", "domain", "day", "format")
}

func tlsReport(ctx context.Context, e cli.Env, args []string) int {
	return askForReports(ctx, e, args, "tlsrpt", "tlsrpt.from or reports.dmarc.from", "domain", "day")
}

// askForReports shows the reports of one kind, which key switches on.
func askForReports(ctx context.Context, e cli.Env, args []string, kind, key string, options ...string) int {
	f := cli.NewFlags(e, kind+" report")
	v := url.Values{}
	dry := f.Bool("dry-run", false, "")
	for _, name := range options {
		f.Func(name, "", func(text string) error { v.Set(name, text); return nil })
	}
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *dry {
		v.Set("dry", "1")
	}
	if _, err := reportQuery(v); err != nil {
		fmt.Fprintf(e.Err, "gatepost %s report: %v\n", kind, err)
		return cli.Usage
	}
	var o reports.Overview
	if err := askReports(ctx, e, f, kind, &api.ReportsAsk{Domain: v.Get("domain"), Day: v.Get("day"), Format: v.Get("format"), DryRun: *dry}, &o); err != nil {
		return cli.Complain(e, kind+" report", err)
	}
	if f.JSON {
		if json.NewEncoder(e.Out).Encode(o) != nil {
			return cli.Found
		}
	} else {
		printReports(e.Out, &o)
	}
	switch {
	case o.Off:
		fmt.Fprintln(e.Err, "reports are off: nothing is counted or sent until "+key+" is set")
	case o.Trouble != "":
		fmt.Fprintln(e.Err, "nothing is sent:", o.Trouble)
	case len(o.Subjects) == 0:
		fmt.Fprintln(e.Err, "nothing was counted")
	}
	if o.More {
		fmt.Fprintln(e.Err, "there are others: ask with --domain or --day")
	}
	if o.Trouble != "" {
		return cli.Found
	}
	return cli.Done
}

// printReports lists subjects with what became of each, and the reports themselves where they were asked for.
func printReports(w io.Writer, o *reports.Overview) {
	for i := range o.Subjects {
		s := &o.Subjects[i]
		n, what := s.Messages, "messages"
		if s.Sessions > 0 {
			n, what = s.Sessions, "sessions"
		}
		fmt.Fprintf(w, "%s %s: %d %s in %d lines%s\n", s.Day, s.Domain, n, what, s.Lines, progress(s))
		if s.Lost > 0 {
			fmt.Fprintf(w, "  and %d %s that found no room\n", s.Lost, what)
		}
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for k := range s.Deliveries {
			d := &s.Deliveries[k]
			when := ""
			if !d.Next.IsZero() {
				when = "at " + cli.Stamp(d.Next)
			} else if !d.Last.IsZero() {
				when = "at " + cli.Stamp(d.Last)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", d.State, d.Address, when, d.ReportID, d.Said)
		}
		t.Flush()
		for _, bad := range s.Bad {
			fmt.Fprintf(w, "  not used: %s\n", bad)
		}
		fmt.Fprint(w, s.XML, indented(s.Report))
	}
}

// indented is a report as a file has it; through the socket it came in one line.
func indented(report json.RawMessage) string {
	var b bytes.Buffer
	if len(report) == 0 || json.Indent(&b, report, "", "  ") != nil {
		return ""
	}
	return b.String() + "\n"
}

func progress(s *reports.Shown) string {
	switch {
	case s.Done:
		return ", done"
	case len(s.Deliveries) > 0 && s.XML == "" && s.Report == nil:
		return ""
	}
	return ", due at " + cli.Stamp(s.Due)
}
