package entries

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of gatepost entry.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "entry list", Args: "[--list client|sender|author|own|rule] [--mark unused|soon|over] [--rcpt A] [--limit N] [--config PATH] [--json]",
			Doc: "list the entries of allow and block lists, or the rules of the policy, with how often each was met in 30 days, and when for the last time", Run: listing},
		{Words: "entry try", Args: "client NETWORK [--allow] | sender ADDRESS | helo NAME | reverse NAME | author ADDRESS [--days N] [--limit N] [--config PATH] [--json]",
			Doc: "tell which mail of the last days an entry would have met that is not written yet, and what would have become of it", Run: trying},
	}
}

func listing(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "entry list"), &api.EntryQuery{}
	f.StringVar(&in.List, "list", "", "")
	f.StringVar(&in.Mark, "mark", "", "")
	f.StringVar(&in.Rcpt, "rcpt", "", "")
	f.IntVar(&in.Limit, "limit", 100, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Entries](ctx, e, f, listQuestion(), in)
	if err != nil {
		return cli.Complain(e, "entry list", err)
	}
	if out.Trouble != "" {
		fmt.Fprintln(e.Err, out.Trouble)
	}
	if out.Next != "" {
		fmt.Fprintln(e.Err, "there are more: ask with a larger --limit")
	}
	if f.JSON {
		return cli.JSONLines(e, out.Entries)
	}
	if len(out.Entries) == 0 {
		fmt.Fprintln(e.Err, "there are none")
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range out.Entries {
		printEntry(t, &out.Entries[i])
	}
	_ = t.Flush() // Out is what a pipe makes of it
	return cli.Done
}

// printEntry prints a line: what it does, how often it was met, and whose it is.
func printEntry(w io.Writer, x *api.Entry) {
	last := "never met"
	if !x.Last.IsZero() {
		last = "last " + cli.Stamp(x.Last)
	}
	var more []string
	add := func(word, text string) {
		if text != "" {
			more = append(more, word+cli.Shown(text, 200))
		}
	}
	add("of ", x.Rcpt)
	add("owner ", x.Owner)
	add("reason ", x.Reason)
	add("until ", x.Expires)
	for _, m := range []struct {
		is   bool
		word string
	}{{x.Observed, "observed"}, {x.Unused, "UNUSED"}, {x.Soon, "ENDS SOON"}, {x.Over, "OVER"}} {
		if m.is {
			more = append(more, m.word)
		}
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d hits\t%s\t%s\n", x.List, x.Kind, cli.Shown(x.Value, 320), x.Hits, last, strings.Join(more, ", "))
}

func trying(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "entry try"), &api.EntryTry{Kind: "block"}
	allow := f.Bool("allow", false, "")
	f.IntVar(&in.Days, "days", 7, "")
	f.IntVar(&in.Limit, "limit", 20, "")
	words, ok := f.Read(e, args, 2)
	if !ok {
		return cli.Usage
	}
	if len(words) != 2 {
		fmt.Fprintln(e.Err, "gatepost entry try: say which list, and what would stand in the entry: client 192.0.2.0/24")
		return cli.Usage
	}
	in.List, in.Value = words[0], words[1]
	switch in.List {
	case "helo", "reverse":
		in.List, in.Name = "sender", in.List
	case "sender":
		in.Name = "address"
	}
	if *allow || in.List == "author" {
		in.Kind = "allow"
	}
	out, err := cli.Call[api.EntryTried](ctx, e, f, tryQuestion(), in)
	return cli.Reply(e, f, "entry try", out, err, func(s *api.EntryTried) { printTried(e.Out, s) })
}

// printTried tells what came of a trial.
func printTried(w io.Writer, s *api.EntryTried) {
	if s.Messages == 0 {
		fmt.Fprintln(w, "no message is recorded of that time")
		return
	}
	fmt.Fprintf(w, "%s would have met %d of %d messages from %s to %s\n", cli.Shown(s.Value, 320), s.Met, s.Messages, cli.Stamp(s.First), cli.Stamp(s.Last))
	fmt.Fprintf(w, "%d of them would have had another verdict: %d milder, %d harder; of %d it is not known\n", s.Changed, s.Milder, s.Harder, s.NotKnown)
	if s.Unsure > 0 {
		fmt.Fprintf(w, "whether it would have met %d more is not known: what it goes by was not found out then\n", s.Unsure)
	}
	for _, gap := range s.Gaps {
		fmt.Fprintln(w, "not read: "+gap)
	}
	for i := range s.List {
		c := &s.List[i]
		fmt.Fprintf(w, "%s  %s  %s -> %s  %s\n", c.ID, c.Time.Local().Format(time.DateTime), c.Live.Outcome, c.Draft.Outcome, cli.Shown(c.From, 80))
	}
	if s.More > 0 {
		fmt.Fprintf(w, "... and %d more; --limit shows them\n", s.More)
	}
}
