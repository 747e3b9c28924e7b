package privacy

import (
	"context"
	"fmt"
	"io"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Commands are those of the noun.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "privacy export", Args: "--address A [--reason TEXT] [--config PATH]", Doc: "print as JSON what is kept of a person, by his address", Run: run("privacy export", exportQuestion()),
			Note: "TEXT is in the audit log, where the address is not"},
		{Words: "privacy erase", Args: "--address A [--reason TEXT] --yes [--config PATH] [--json]", Doc: "erase what is kept of a person, by his address, for good, and tell what stays and why", Run: run("privacy erase", eraseQuestion()),
			Note: "TEXT is in the audit log, where the address is not. docs/privacy.md says what is covered"},
	}
}

// askAgain is how often a job is asked for.
const askAgain = time.Second

// run is how both commands run.
func run(words string, question control.Operation) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		f := cli.NewFlags(e, words)
		var in api.PrivacyAsked
		f.StringVar(&in.Address, "address", "", "")
		f.StringVar(&in.Reason, "reason", "", "")
		erase, yes := question.Name == "privacy erase", new(bool)
		if erase {
			yes = f.Bool("yes", false, "")
		}
		if _, ok := f.Read(e, args, 0); !ok {
			return cli.Usage
		}
		switch {
		case in.Address == "":
			fmt.Fprintf(e.Err, "gatepost %s: --address is needed\n", words)
			return cli.Usage
		case erase && !*yes:
			fmt.Fprintf(e.Err, "gatepost %s: nothing brings it back; gatepost privacy export shows what is there, --yes erases it\n", words)
			return cli.Usage
		}
		j, err := cli.Call[api.PrivacyJob](ctx, e, f, question, &in)
		for err == nil && j.Running {
			fmt.Fprintf(e.Err, "%s: %s ...\n", words, j.At)
			select {
			case <-ctx.Done():
				return cli.Found
			case <-time.After(askAgain):
			}
			j, err = cli.Call[api.PrivacyJob](ctx, e, f, statusQuestion(), &struct{}{})
		}
		if err == nil && !erase {
			j, err = cli.Call[api.PrivacyJob](ctx, e, f, resultQuestion(), &struct{}{})
		}
		if err != nil {
			return cli.Complain(e, words, err)
		}
		code := cli.Done
		if f.JSON || !erase {
			code = cli.JSON(e, j)
		} else {
			print(e.Out, j)
		}
		if j.Failed() {
			return cli.Found
		}
		return code
	}
}

// print tells what became of an erasure.
func print(w io.Writer, j *api.PrivacyJob) {
	for i := range j.Parts {
		p := &j.Parts[i]
		switch {
		case p.Error != "":
			fmt.Fprintf(w, "FAIL %-16s %d erased, and then: %s\n", p.Part, p.Erased, cli.Shown(p.Error, 300))
		case p.Kept != "" && p.Found > 0:
			fmt.Fprintf(w, "kept %-16s %d: %s\n", p.Part, p.Found, p.Kept)
		default:
			fmt.Fprintf(w, "ok   %-16s %d erased\n", p.Part, p.Erased)
		}
	}
}
