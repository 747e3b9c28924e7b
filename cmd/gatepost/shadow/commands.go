package shadow

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/cmd/gatepost/policy"
	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of the noun.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "policy shadow start", Args: "FILE --for 24h [--comment TEXT] [--config PATH] [--json]", Doc: "let a draft judge live mail beside the policy in force for a while, and count what it would have done; - is the standard input", Run: start},
		{Words: "policy shadow show", Args: "[--config PATH] [--json]", Doc: "show what the draft that runs in the shadow would have done so far, or the last one", Run: show},
		{Words: "policy shadow stop", Args: "[--config PATH] [--json]", Doc: "end the shadow run before its time", Run: stop},
	}
}

func start(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy shadow start")
	long, comment := f.String("for", "", ""), f.String("comment", "", "")
	file, ok := f.One(e, args, "name the file of the draft, or - for the standard input")
	if !ok {
		return cli.Usage
	}
	text, err := policy.ReadDocument(e, file)
	if err != nil {
		return cli.Complain(e, "policy shadow start", err)
	}
	s, err := cli.Call[api.Shadow](ctx, e, f, startQuestion(), &api.ShadowStart{Text: text, For: *long, Comment: *comment})
	return cli.Reply(e, f, "policy shadow start", s, err, func(s *api.Shadow) { print(e.Out, s) })
}

func show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy shadow show")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	s, err := cli.Call[api.Shadow](ctx, e, f, showQuestion(), &struct{}{})
	return cli.Reply(e, f, "policy shadow show", s, err, func(s *api.Shadow) { print(e.Out, s) })
}

func stop(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy shadow stop")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	s, err := cli.Call[api.Shadow](ctx, e, f, stopQuestion(), &struct{}{})
	return cli.Reply(e, f, "policy shadow stop", s, err, func(s *api.Shadow) { print(e.Out, s) })
}

// print tells of a run.
func print(w io.Writer, s *api.Shadow) {
	if s.Result == nil {
		fmt.Fprintln(w, "no draft ran in the shadow since the daemon began")
		return
	}
	if s.Running {
		fmt.Fprintf(w, "policy %s runs in the shadow since %s until %s, started by %s\n", s.Policy, s.Since.Local().Format(time.DateTime), s.Until.Local().Format(time.DateTime), s.By)
	} else {
		fmt.Fprintf(w, "policy %s ran in the shadow from %s to %s, started by %s\n", s.Policy, s.Since.Local().Format(time.DateTime), s.Ended.Local().Format(time.DateTime), s.By)
	}
	if s.Comment != "" {
		fmt.Fprintf(w, "     %s\n", gateway.CleanText(s.Comment, 300))
	}
	if s.Trouble != "" {
		fmt.Fprintf(w, "FAIL it ended before its time: %s\n", s.Trouble)
	}
	r := s.Result
	fmt.Fprintf(w, "%d messages: %d would have fared otherwise (%d milder, %d harder), of %d it is not known", r.Messages, r.Changed, r.Milder, r.Harder, r.NotKnown)
	if s.Skipped > 0 {
		fmt.Fprintf(w, ", %d came too fast and were left out", s.Skipped)
	}
	fmt.Fprintln(w)
	if len(r.Stale) > 0 {
		fmt.Fprintf(w, "what checks found is taken as it was found, although these differ: %s\n", strings.Join(r.Stale, ", "))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "it was\t")
	for o := gateway.Accept; o <= gateway.Drop; o++ {
		fmt.Fprintf(t, "%s\t", o)
	}
	fmt.Fprintln(t, "not known\t")
	for i := range r.Matrix {
		l := &r.Matrix[i]
		fmt.Fprintf(t, "%s\t", l.Live)
		for o := gateway.Accept; o <= gateway.Drop; o++ {
			fmt.Fprintf(t, "%d\t", *l.Of(o))
		}
		fmt.Fprintf(t, "%d\t\n", l.NotKnown)
	}
	_ = t.Flush() // a reader that went away needs no table
}
