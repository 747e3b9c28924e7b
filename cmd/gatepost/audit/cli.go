package audit

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Commands are those of the noun.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "audit list", Args: "[--actor A] [--operation WORDS] [--object X] [--domain D] [--since T] [--until T] [--limit N] [--config PATH] [--json]",
			Doc: "list who changed what, looked into mail, or was refused, the newest first", Run: list, Note: "A, X: exactly. T: 2h, 3d, 14:30, 2026-11-23. --json: with what was asked, before and after"},
		{Words: "audit export", Args: "[--actor A] [--operation WORDS] [--object X] [--domain D] [--since T] [--until T] [--config PATH]",
			Doc: "print all entries that are picked, one JSON object a line, the newest first", Run: export, Note: "at most 50,000; more are refused, and never left out"},
		{Words: "audit verify", Args: "[--config PATH] [--json]", Doc: "go through the chain of entries: was any changed, removed, or put in later", Run: verify,
			Note: "keep the line that it prints on another machine: with it a whole chain that was made anew is found, too"},
	}
}

// pageMost is how many entries are asked for at once.
const pageMost = 1000

// picks are the flags that pick entries. What it returns reads their times, once the flags are read.
func picks(f *cli.Flags, p *api.AuditPick) (times func() error) {
	var since, until string
	f.StringVar(&p.Actor, "actor", "", "")
	f.StringVar(&p.Operation, "operation", "", "")
	f.StringVar(&p.Object, "object", "", "")
	f.StringVar(&p.Domain, "domain", "", "")
	f.StringVar(&since, "since", "", "")
	f.StringVar(&until, "until", "", "")
	return func() (err error) {
		if p.Since, err = cli.Moment(since, time.Now()); err == nil {
			p.Until, err = cli.Moment(until, time.Now())
		}
		return err
	}
}

func export(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "audit export")
	var p api.AuditPick
	times := picks(f, &p)
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if err := times(); err != nil {
		fmt.Fprintf(e.Err, "gatepost audit export: %v\n", err)
		return cli.Usage
	}
	file, err := cli.Call[control.File](ctx, e, f, exportQuestion(), &p)
	if err != nil {
		return cli.Complain(e, "audit export", err)
	}
	if _, err := e.Out.Write(file.Data); err != nil {
		return cli.Found
	}
	return cli.Done
}

func list(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "audit list")
	var q api.AuditQuery
	times := picks(f, &q.AuditPick)
	limit := f.Int("limit", 50, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	err := times()
	if err == nil && *limit < 1 {
		err = fmt.Errorf("--limit: is at least 1")
	}
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost audit list: %v\n", err)
		return cli.Usage
	}
	var all []api.AuditEntry
	for len(all) < *limit {
		q.Limit = min(*limit-len(all), pageMost)
		page, err := cli.Call[api.AuditList](ctx, e, f, listQuestion(), &q)
		if err != nil {
			return cli.Complain(e, "audit list", err)
		}
		all = append(all, page.Entries...)
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if f.JSON {
		if code := cli.JSONLines(e, all); code != cli.Done {
			return code
		}
	} else {
		print(e.Out, all)
	}
	if q.Cursor != "" {
		fmt.Fprintln(e.Err, "there are older ones: ask with a larger --limit or an earlier --until")
	}
	if len(all) == 0 {
		return cli.Found
	}
	return cli.Done
}

// print lists entries.
func print(w io.Writer, all []api.AuditEntry) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range all {
		x := &all[i]
		if x.Erased {
			fmt.Fprintf(t, "%d\t%s\t\t\t(its text went by age)\t\t\n", x.Number, cli.Stamp(x.Time))
			continue
		}
		who, what := x.Actor, "done"
		if x.Address != "" {
			who += " from " + x.Address
		}
		if x.Error != "" {
			what = "refused or failed: " + x.Error
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Number, cli.Stamp(x.Time), cli.Shown(who, 80), x.Via, cli.Shown(x.Operation, 40), cli.Shown(x.Object, 80), cli.Shown(what, 200))
	}
	t.Flush()
}

func verify(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "audit verify")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	r, err := cli.Call[api.AuditReport](ctx, e, f, verifyQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "audit verify", err)
	}
	if f.JSON {
		if code := cli.JSON(e, r); code != cli.Done {
			return code
		}
	} else {
		printReport(e.Out, r)
	}
	if r.Bad != 0 {
		return cli.Found
	}
	return cli.Done
}

func printReport(w io.Writer, r *api.AuditReport) {
	if r.Bad != 0 {
		fmt.Fprintf(w, "FAIL entry %d: %s\n%d entries before it hold\n", r.Bad, r.Why, r.Bad-1)
		return
	}
	fmt.Fprintf(w, "ok   %d entries hold, of %d the text went by age\n     the last one: %s\n", r.Entries, r.Erased, r.Head)
}
