package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/store"
)

// logReader finds the message log by the configuration. It works whether or not the daemon runs: the files tell the story.
func logReader(e cli.Env, configPath string) (*store.Reader, bool) {
	c, problems := config.Load(configPath, sections())
	if c == nil {
		cli.Tell(e, problems)
		return nil, false
	}
	r, err := theLog(c.Bootstrap)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return nil, false
	}
	return r, true
}

func logSearch(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "log search")
	var q store.Query
	var since, until, verdicts string
	f.StringVar(&q.From, "from", "", "")
	f.StringVar(&q.To, "to", "", "")
	f.StringVar(&since, "since", "1d", "")
	f.StringVar(&until, "until", "", "")
	f.StringVar(&q.MessageID, "message-id", "", "")
	f.StringVar(&q.Client, "client", "", "")
	f.StringVar(&q.Subject, "subject", "", "")
	f.StringVar(&verdicts, "verdict", "", "")
	f.IntVar(&q.Limit, "limit", 50, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var err error
	if q.Since, err = cli.Moment(since, time.Now()); err == nil {
		q.Until, err = cli.Moment(until, time.Now())
	}
	if err == nil {
		q.Verdicts, err = outcomes(verdicts)
	}
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost log search: %v\n", err)
		return cli.Usage
	}
	if e.Remote != nil {
		return searchRemote(ctx, e, f, q)
	}
	r, ok := logReader(e, f.Config)
	if !ok {
		return cli.Found
	}
	return search(ctx, e, r, q, f.JSON)
}

func search(ctx context.Context, e cli.Env, r *store.Reader, q store.Query, asJSON bool) int {
	result, err := r.Search(ctx, q)
	if errors.Is(err, store.ErrQuery) {
		fmt.Fprintf(e.Err, "gatepost log search: %v\n", err)
		return cli.Usage
	}
	if err != nil {
		return cli.Complain(e, "log search", err)
	}
	early, moreEarly, err := r.Early(ctx, q.Window, 20)
	if err != nil {
		return cli.Complain(e, "log search", err)
	}
	activity, err := r.Activity(ctx, q.Window)
	if err != nil {
		return cli.Complain(e, "log search", err)
	}
	if asJSON {
		if code := cli.JSONLines(e, result.Rows); code != cli.Done {
			return code
		}
	} else {
		printRows(e.Out, result.Rows)
	}
	summarise(e.Err, result, early, moreEarly, activity)
	if len(result.Rows) == 0 {
		return cli.Found
	}
	return cli.Done
}

// printRows lists events, the newest first, with what a help desk looks for.
func printRows(w io.Writer, rows []store.Row) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range rows {
		r := &rows[i]
		to := strings.Join(r.Rcpts, ",")
		if len(r.Rcpts) > 2 {
			to = fmt.Sprintf("%s and %d more", r.Rcpts[0], len(r.Rcpts)-1)
		}
		what := r.Verdict.String()
		if r.Reason != "" {
			what += " " + string(r.Reason)
		}
		if r.Later != "" {
			what += ", spooled: " + string(r.Later)
		}
		if r.Node != "" {
			what += ", at " + cli.Shown(r.Node, 64)
		}
		if r.Kind == gateway.ConnectionEvent {
			fmt.Fprintf(t, "%s\t%s\t%s\tconnection, %s\t%s\t\n", cli.Stamp(r.Time), r.ID, r.Client, ended(r), what)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t<%s> -> %s\t%s\t%s\n", cli.Stamp(r.Time), r.ID, r.Client, r.From, to, what, r.Reply)
	}
	t.Flush()
}

func ended(r *store.Row) string {
	if r.End == "" {
		return "no mail"
	}
	return "ended by " + r.End
}

// summarise says on stderr what the list does not: what is missing, what was refused before the banner, and whether
// anybody connected at all.
func summarise(w io.Writer, r *store.Result, early []store.Early, more bool, a *store.Activity) {
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "the log of %s could not be read: %s\n", g.Day, g.Why)
	}
	if r.More {
		fmt.Fprintln(w, "there are older ones: ask with a larger --limit or an earlier --until")
	}
	if r.Partial {
		fmt.Fprintf(w, "not all was read: the search came back to %s\n", cli.Stamp(r.Reached))
	}
	for _, x := range early {
		fmt.Fprintf(w, "%s  %d connections from %s were refused before the banner: %s\n", cli.Stamp(x.Minute), x.N, x.Network, x.Reason)
	}
	if more {
		fmt.Fprintln(w, "and more were refused before the banner")
	}
	total := a.Total()
	switch {
	case a.None():
		fmt.Fprintln(w, "no connection came at all in that time: the sender never reached this host (look at the MX records and the firewall)")
	case len(r.Rows) == 0:
		fmt.Fprintf(w, "nothing found among %d connections with %d transactions in that time\n", total.Connections, total.Transactions)
	}
}

func outcomes(text string) (out []gateway.Outcome, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		var o gateway.Outcome
		if err := o.UnmarshalText([]byte(word)); err != nil {
			return nil, fmt.Errorf("--verdict: %w", err)
		}
		out = append(out, o)
	}
	return out, nil
}
