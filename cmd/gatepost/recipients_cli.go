package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/directory"
)

// recipientsShow shows what is known of one recipient, or what is remembered of all.
func recipientsShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients show")
	all := f.Bool("all", false, "")
	limit := f.Int("limit", rcptsShown, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if *all == (len(rest) == 1) || *limit < 1 || *limit > rcptsAtMost {
		fmt.Fprintf(e.Err, "gatepost recipients show: write an ADDRESS, or --all, and with that --limit from 1 to %d\n", rcptsAtMost)
		return cli.Usage
	}
	v := url.Values{"limit": {strconv.Itoa(*limit)}}
	if len(rest) == 1 {
		v.Set("address", rest[0])
	}
	var out rcptShown
	if err := askFields[api.RcptAsk](ctx, e, f, rcptShowQuestion(), v, &out); err != nil {
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
		fmt.Fprintf(e.Err, "there are more; --limit shows up to %d\n", rcptsAtMost)
	}
	if !*all && out.Route == "" {
		return cli.Found
	}
	return cli.Done
}

func (r *rcptShown) print(e cli.Env) {
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

// recipientsForget has next hops asked again.
func recipientsForget(ctx context.Context, e cli.Env, args []string) int {
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
	v := url.Values{"route": {*route}}
	if len(rest) == 1 {
		v.Set("address", rest[0])
	}
	var out changed
	if err := askFields[api.RcptForget](ctx, e, f, rcptForgetQuestion(), v, &out); err != nil {
		return cli.Complain(e, "recipients forget", err)
	}
	return tellChanged(e, f.JSON, out, cli.Plural(out.Changed, "answer is", "answers are")+" forgotten; the next hop is asked again")
}

func tellChanged(e cli.Env, asJSON bool, out changed, done string) int {
	if asJSON && json.NewEncoder(e.Out).Encode(out) != nil {
		return cli.Found
	}
	fmt.Fprintf(e.Err, "%d %s\n", out.Changed, done)
	if out.Changed == 0 {
		return cli.Found
	}
	return cli.Done
}

// recipientsImport has the addresses of a table known, as if their next hops had just said so.
func recipientsImport(ctx context.Context, e cli.Env, args []string) int {
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
		if len(all) == rcptsAtMost {
			return fmt.Errorf("more than %d addresses: use a [[directory]] of kind csv", rcptsAtMost)
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
	var sum changed
	for rest := all; len(rest) > 0; rest = rest[min(len(rest), importAtOnce):] {
		out, err := cli.Call[changed](ctx, e, f, rcptImportQuestion(), &api.RcptImport{Addresses: rest[:min(len(rest), importAtOnce)]})
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

// recipientsSync has directories read now.
func recipientsSync(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients sync")
	force := f.Bool("force", false, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	v := url.Values{"force": {strconv.FormatBool(*force)}}
	if len(rest) == 1 {
		v.Set("name", rest[0])
	}
	var out sourcesShown
	if err := askFields[api.RcptSync](ctx, e, f, rcptSyncQuestion(), v, &out); err != nil {
		return cli.Complain(e, "recipients sync", err)
	}
	return out.show(e, f.JSON)
}

// recipientsDirectories shows who says which recipients exist, and what that is worth.
func recipientsDirectories(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "recipients directories")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var out sourcesShown
	if err := askFields[struct{}](ctx, e, f, rcptSourcesQuestion(), nil, &out); err != nil {
		return cli.Complain(e, "recipients directories", err)
	}
	return out.show(e, f.JSON)
}

// show prints directories and canaries, and returns whether all is well.
func (s *sourcesShown) show(e cli.Env, asJSON bool) int {
	code := cli.Done
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range s.Directories {
		d, word := &s.Directories[i], "ok"
		if !d.OK() {
			code, word = cli.Found, "FAIL"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", word, d.Name, d.Kind, directoryWords(d))
	}
	for i := range s.Canaries {
		c, word := &s.Canaries[i], "ok"
		says, bad := canaryWords(c)
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
