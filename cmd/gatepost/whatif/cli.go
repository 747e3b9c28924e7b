package whatif

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"gatepost/cmd/gatepost/policy"
	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// Commands are those of the noun.
func Commands() []cli.Command {
	return []cli.Command{{Words: "policy simulate", Args: "[--policy FILE | --version N] [--days N] [--domain D] [--limit N] [--config PATH] [--json]",
		Doc: "judge the mail of the last days again under a draft, and tell which messages would have had another verdict; without --policy, policy.toml as it is on the disk", Run: simulate}}
}

// readDraft reads the file that is tried: policy.toml beside gatepost.toml where none is named.
func readDraft(e cli.Env, f *cli.Flags, name string) (string, error) {
	if name == "" && e.Apart {
		return "", errors.New("write --policy - or --version N")
	}
	if name == "" {
		name = f.Config
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			name = filepath.Dir(name)
		}
		name = filepath.Join(name, config.PolicyFile)
	}
	text, err := policy.ReadDocument(e, name)
	if err == nil && len(text) > config.MaxFile {
		err = fmt.Errorf("%s has more than %d octets", name, config.MaxFile)
	}
	return text, err
}

func simulate(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy simulate")
	ask := api.SimulateAsk{}
	file := f.String("policy", "", "")
	f.Int64Var(&ask.Version, "version", 0, "")
	f.IntVar(&ask.Days, "days", 7, "")
	f.StringVar(&ask.Domain, "domain", "", "")
	f.IntVar(&ask.Limit, "limit", 20, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if ask.Version == 0 {
		var err error
		if ask.Text, err = readDraft(e, f, *file); err != nil {
			return cli.Complain(e, "policy simulate", err)
		}
	}
	got, err := cli.Call[api.Simulation](ctx, e, f, Simulate(), &ask)
	return cli.Reply(e, f, "policy simulate", got, err, func(s *api.Simulation) { print(e.Out, s) })
}

// print tells a simulation.
func print(w io.Writer, s *api.Simulation) {
	if s.Messages == 0 {
		fmt.Fprintln(w, "no message is recorded of that time")
		return
	}
	fmt.Fprintf(w, "%d messages from %s to %s, judged again in %.1f s\n", s.Messages, cli.Stamp(s.First), cli.Stamp(s.Last), float64(s.Took)/1000)
	fmt.Fprintf(w, "%d would have had another verdict: %d milder, %d harder; of %d it is not known\n", s.Changed, s.Milder, s.Harder, s.NotKnown)
	if s.Against > 0 {
		fmt.Fprintf(w, "%d of them contradict what people said, %d of these were released from quarantine\n", s.Against, s.Released)
	}
	for _, key := range s.Stale {
		fmt.Fprintf(w, "%s differs: what it would have found is not known, and what it found then is taken for it\n", key)
	}
	for _, gap := range s.Gaps {
		fmt.Fprintln(w, "not read: "+gap)
	}
	fmt.Fprintln(w)
	printMatrix(w, s)
	printCounts(w, "not known for want of:", s.Missing)
	printCounts(w, "why they change:", s.Reasons)
	for i := range s.List {
		printChange(w, &s.List[i])
	}
	if s.More > 0 {
		fmt.Fprintf(w, "... and %d more; --limit shows them\n", s.More)
	}
}

// printMatrix shows what became of messages, by what the draft makes of them.
func printMatrix(w io.Writer, s *api.Simulation) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "then\\draft\t")
	for o := gateway.Accept; o <= gateway.Drop; o++ {
		fmt.Fprint(t, o.String()+"\t")
	}
	fmt.Fprintln(t, "not known\t")
	for i := range s.Matrix {
		l := &s.Matrix[i]
		fmt.Fprint(t, l.Live.String()+"\t")
		for o := gateway.Accept; o <= gateway.Drop; o++ {
			fmt.Fprint(t, number(*l.Of(o))+"\t")
		}
		fmt.Fprintln(t, number(l.NotKnown)+"\t")
	}
	_ = t.Flush() // Out is what a pipe makes of it
	fmt.Fprintln(w)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func printCounts(w io.Writer, title string, all []api.SimCount) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for _, c := range all {
		fmt.Fprintf(w, "%8d  %s\n", c.N, c.What)
	}
	fmt.Fprintln(w)
}

// printChange tells of one message.
func printChange(w io.Writer, c *api.SimChange) {
	mark := ""
	switch {
	case c.Mark.Released:
		mark = ", released"
	case c.Mark.Reported != "":
		mark = ", reported as " + c.Mark.Reported
	}
	fmt.Fprintf(w, "%s  %s -> %s  %.1f -> %.1f  %s -> ", c.ID, told(&c.Live), told(&c.Draft), c.Live.Score, c.Draft.Score, cli.Shown(orNull(c.From), 80))
	var to []string
	for _, r := range c.Rcpts {
		to = append(to, cli.Shown(r.To, 80))
	}
	if c.More > 0 {
		to = append(to, fmt.Sprintf("%d more", c.More))
	}
	fmt.Fprintln(w, strings.Join(to, ", ")+mark)
}

func orNull(from string) string {
	if from == "" {
		return "<>"
	}
	return from
}

// told is an outcome with what it is for.
func told(t *api.SimTold) string {
	switch {
	case t.Outcome == gateway.Accept:
		return t.Outcome.String()
	case t.Check != "":
		return fmt.Sprintf("%s (%s)", t.Outcome, t.Check)
	}
	return fmt.Sprintf("%s (%s)", t.Outcome, t.Reason)
}
