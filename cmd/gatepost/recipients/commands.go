package recipients

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/directory"
)

// Commands are those of recipients.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "recipients show", Args: "ADDRESS | --all [--limit N] [--config PATH] [--json]", Doc: "show who knows a recipient, and what next hops said of it", Run: showing},
		{Words: "recipients forget", Args: "ADDRESS | --route NAME [--config PATH] [--json]", Doc: "have the next hop asked again for a recipient, or for all of a route", Run: forgetting},
		{Words: "recipients import", Args: "--csv FILE [--column NAME|N] [--separator comma|semicolon|tab] [--config PATH] [--json]", Doc: "have recipients known for 24 hours, as if their next hop had said so", Run: importTable},
		{Words: "recipients sync", Args: "[DIRECTORY] [--force] [--config PATH] [--json]", Doc: "read directories of recipients now; --force takes one that lost more than half", Run: syncing},
		{Words: "recipients directories", Args: "[--config PATH] [--json]", Doc: "show the directories of recipients with their age, and what the word of each next hop is worth", Run: listing},
	}
}

// showing shows what is known of one recipient, or what is remembered of all.
func showing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients show")
	all := f.Bool("all", false, "")
	limit := f.Int("limit", shown, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if *all == (len(rest) == 1) || *limit < 1 || *limit > AtMost {
		fmt.Fprintf(e.Err, "gatepost recipients show: write an ADDRESS, or --all, and with that --limit from 1 to %d\n", AtMost)
		return cli.Usage
	}
	in := api.RcptAsk{Limit: *limit}
	if len(rest) == 1 {
		in.Address = rest[0]
	}
	out, err := cli.Call[Shown](ctx, e, f, showQuestion(), &in)
	if err != nil {
		return cli.Complain(e, "recipients show", err)
	}
	if f.JSON {
		if *all {
			return cli.JSONLines(e, out.Remembered)
		}
		if json.NewEncoder(e.Out).Encode(out) != nil {
			return cli.Found
		}
	} else {
		out.print(e)
	}
	if out.More {
		fmt.Fprintf(e.Err, "there are more; --limit shows up to %d\n", AtMost)
	}
	if !*all && out.Route == "" {
		return cli.Found
	}
	return cli.Done
}

func (r *Shown) print(e cli.Env) {
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	defer t.Flush()
	switch {
	case r.Address == "":
	case r.Route == "":
		fmt.Fprintf(t, "served\tno: its mail is refused with 550 5.7.1\n")
	case len(r.To) > 0:
		fmt.Fprintf(t, "route\t%s\nsent on to\t%s\n", r.Route, strings.Join(r.To, ", "))
	default:
		fmt.Fprintf(t, "route\t%s\n", r.Route)
	}
	for _, l := range r.Looks {
		word := map[bool]string{true: "has it", false: "does not have it"}[l.Found]
		if !l.Ready {
			word = "was never read"
		}
		fmt.Fprintf(t, "directory\t%s %s, as seen %s ago\n", l.Directory, word, l.Age.Round(time.Second))
	}
	if r.Address != "" && r.Route != "" && len(r.To) == 0 {
		fmt.Fprintf(t, "next hop\t%s\n", map[bool]string{true: "is asked", false: "is not asked"}[r.Asks])
	}
	for _, x := range r.Remembered {
		fmt.Fprintf(t, "%s\t%s\t%s\tsince %s\tuntil %s\t%s %s\n", x.Kind, x.Address, x.Route, cli.Stamp(x.Since), cli.Stamp(x.Until), x.Sender, x.Said)
	}
}

// forgetting has next hops asked again.
func forgetting(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients forget")
	route := f.String("route", "", "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if (*route == "") == (len(rest) == 0) {
		fmt.Fprintln(e.Err, "gatepost recipients forget: write an ADDRESS, or --route NAME for all of a route")
		return cli.Usage
	}
	in := api.RcptForget{Route: *route}
	if len(rest) == 1 {
		in.Address = rest[0]
	}
	out, err := cli.Call[api.RcptChanged](ctx, e, f, forgetQuestion(), &in)
	if err != nil {
		return cli.Complain(e, "recipients forget", err)
	}
	return tellChanged(e, f.JSON, *out, cli.Plural(out.Changed, "answer is", "answers are")+" forgotten; the next hop is asked again")
}

func tellChanged(e cli.Env, asJSON bool, out api.RcptChanged, done string) int {
	if asJSON && json.NewEncoder(e.Out).Encode(out) != nil {
		return cli.Found
	}
	fmt.Fprintf(e.Err, "%d %s\n", out.Changed, done)
	if out.Changed == 0 {
		return cli.Found
	}
	return cli.Done
}

// importTable has the addresses of a table known, as if their next hops had just said so.
func importTable(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients import")
	table := directory.CSV{}
	f.StringVar(&table.Path, "csv", "", "")
	f.StringVar(&table.Column, "column", "1", "")
	separator := f.String("separator", "comma", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	comma, known := map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t'}[*separator]
	if table.Path == "" || !known {
		fmt.Fprintln(e.Err, "gatepost recipients import: write --csv FILE, and where needed --column NAME or NUMBER, --separator comma, semicolon or tab")
		return cli.Usage
	}
	table.Comma = comma
	var all []string
	_, err := table.Read(ctx, func(a string) error {
		if len(all) == AtMost {
			return fmt.Errorf("more than %d addresses: use a [[directory]] of kind csv", AtMost)
		}
		if _, err := directory.Key(a); err != nil {
			return fmt.Errorf("%q %w; --column names the column", a, err)
		}
		all = append(all, a)
		return nil
	})
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost recipients import: %v\n", err)
		return cli.Found
	}
	var sum api.RcptChanged
	for rest := all; len(rest) > 0; rest = rest[min(len(rest), importAtOnce):] {
		out, err := cli.Call[api.RcptChanged](ctx, e, f, importQuestion(), &api.RcptImport{Addresses: rest[:min(len(rest), importAtOnce)]})
		if err != nil {
			return cli.Complain(e, "recipients import", err)
		}
		sum.Changed += out.Changed
	}
	words := fmt.Sprintf("of %d recipients are known for 24 hours", len(all))
	if sum.Changed < len(all) {
		words += "; the others are not of a domain that is served, or are aliases"
	}
	return tellChanged(e, f.JSON, sum, words)
}

// syncing has directories read now.
func syncing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients sync")
	force := f.Bool("force", false, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	in := api.RcptSync{Force: *force}
	if len(rest) == 1 {
		in.Name = rest[0]
	}
	out, err := cli.Call[Sources](ctx, e, f, syncQuestion(), &in)
	if err != nil {
		return cli.Complain(e, "recipients sync", err)
	}
	return out.show(e, f.JSON)
}

// listing shows who says which recipients exist, and what that is worth.
func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients directories")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[Sources](ctx, e, f, sourcesQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "recipients directories", err)
	}
	return out.show(e, f.JSON)
}

// show prints directories and canaries, and returns whether all is well.
func (s *Sources) show(e cli.Env, asJSON bool) int {
	code := cli.Done
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range s.Directories {
		d, word := &s.Directories[i], "ok"
		if !d.OK() {
			code, word = cli.Found, "FAIL"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", word, d.Name, d.Kind, Words(d))
	}
	for i := range s.Canaries {
		c, word := &s.Canaries[i], "ok"
		says, bad := CanaryWords(c)
		if bad {
			code, word = cli.Found, "FAIL"
		}
		fmt.Fprintf(t, "%s\t%s\tcall-ahead\t%s\n", word, c.Domain, says)
	}
	if asJSON {
		if json.NewEncoder(e.Out).Encode(s) != nil {
			return cli.Found
		}
		return code
	}
	t.Flush()
	return code
}
