package quarantine

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// keptDo is what a person wants done.
type keptDo struct {
	Verb  string // release, delete, report, forward
	IDs   []gateway.ID
	Rcpts []string
	To    string
	Force bool
	Spam  bool
}

// ask has the daemon do it.
func (a *keptDo) ask(ctx context.Context, e cli.Env, f *cli.Flags) ([]api.KeptDone, error) {
	var out *api.KeptChanged
	var err error
	switch a.Verb {
	case "release":
		out, err = cli.Call[api.KeptChanged](ctx, e, f, releaseQuestion(), &api.KeptRelease{IDs: a.IDs, Rcpts: a.Rcpts, To: a.To, Force: a.Force})
	case "delete":
		out, err = cli.Call[api.KeptChanged](ctx, e, f, deleteQuestion(), &api.KeptDelete{IDs: a.IDs, Rcpts: a.Rcpts})
	case "report":
		out, err = cli.Call[api.KeptChanged](ctx, e, f, reportQuestion(), &api.KeptReport{IDs: a.IDs, As: map[bool]string{true: "spam", false: "ham"}[a.Spam]})
	default:
		out, err = cli.Call[api.KeptChanged](ctx, e, f, forwardQuestion(), &api.KeptForward{IDs: a.IDs, To: a.To})
	}
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// keptChange makes the command of a verb.
func keptChange(verb string) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		name := "quarantine " + verb
		f := cli.NewFlags(e, name)
		v := keptFlags(f)
		all, dry := f.Bool("all", false, ""), f.Bool("dry-run", false, "")
		do := keptDo{Verb: verb}
		allow, as := allowing{}, ""
		switch verb {
		case "release":
			f.StringVar(&do.To, "other", "", "")
			f.BoolVar(&do.Force, "force", false, "")
			allow.flags(f)
		case "report":
			f.StringVar(&as, "as", "", "")
		case "forward":
			f.StringVar(&do.To, "analyst", "", "")
		}
		only := f.String("only", "", "")
		rest, ok := f.Read(e, args, keptAtMost)
		if !ok {
			return cli.Usage
		}
		for _, text := range rest {
			if err := addID(v, text); err != nil {
				fmt.Fprintf(e.Err, "gatepost %s: %q: %v\n", name, text, err)
				return cli.Usage
			}
		}
		if err := allow.read(time.Now()); err != nil {
			fmt.Fprintf(e.Err, "gatepost %s: %v\n", name, err)
			return cli.Usage
		}
		if *only != "" {
			do.Rcpts = strings.Split(*only, ",")
		}
		do.Spam = as == "spam"
		if len(v) > 0 {
			do.narrow(v)
		}
		switch {
		case len(v) == 0:
			fmt.Fprintf(e.Err, "gatepost %s: name messages by their references, or by a filter; gatepost quarantine list shows them\n", name)
			return cli.Usage
		case verb == "report" && as != "spam" && as != "ham":
			fmt.Fprintln(e.Err, "gatepost quarantine report: --as spam, or --as ham for what is none")
			return cli.Usage
		case verb == "forward" && do.To == "":
			fmt.Fprintln(e.Err, "gatepost quarantine forward: --analyst says to whom")
			return cli.Usage
		}
		return do.run(ctx, e, f, v, keptHow{all: *all, dry: *dry, allow: allow})
	}
}

// keptHow says how a change is made.
type keptHow struct {
	all, dry bool
	allow    allowing
}

// run finds the messages, and has the daemon change them, some at a time.
func (a *keptDo) run(ctx context.Context, e cli.Env, f *cli.Flags, v url.Values, how keptHow) int {
	name := "quarantine " + a.Verb
	list, err := all(ctx, e, f, v, keptAtMost)
	if err != nil {
		return cli.Complain(e, name, err)
	}
	if n := len(list.Messages); n > 1 && !how.all && !how.dry && len(v["id"]) != n {
		fmt.Fprintf(e.Err, "gatepost %s: that picks %d messages; add --all to do it to all of them, or --dry-run to see them\n", name, n)
		return cli.Usage
	}
	done, failed := 0, 0
	for _, id := range v["id"] {
		if !slices.ContainsFunc(list.Messages, func(r quarantine.Row) bool { return r.ID.String() == id }) {
			failed++
			fmt.Fprintf(e.Err, "%s: not in quarantine, or not picked by the filter; gatepost trace %s tells what became of it\n", id, id)
		}
	}
	if how.dry {
		if f.JSON {
			cli.JSONLines(e, list.Messages)
		} else {
			printKept(e.Out, list.Messages)
		}
		whose := ""
		if len(a.Rcpts) > 0 {
			whose = ", of each only the " + cli.Plural(len(a.Rcpts), "copy", "copies") + " of " + strings.Join(a.Rcpts, ", ")
		}
		fmt.Fprintf(e.Err, "%d %s would be changed%s\n", len(list.Messages), cli.Plural(len(list.Messages), "message", "messages"), whose)
		return cli.Done
	}
	each := keptAtOnce
	if a.Verb == "release" || a.Verb == "forward" {
		each = 1 // a next hop takes its time
	}
	for some := range slices.Chunk(list.Messages, each) {
		a.IDs = a.IDs[:0]
		for i := range some {
			a.IDs = append(a.IDs, some[i].ID)
		}
		out, err := a.ask(ctx, e, f)
		if err != nil {
			return cli.Complain(e, name, err)
		}
		for i := range out {
			if printDone(e, f.JSON, &out[i]) {
				done++
			} else {
				failed++
			}
		}
		if how.allow.wanted() {
			for i := range some {
				how.allow.print(ctx, e, f, some[i].ID)
			}
		}
	}
	fmt.Fprintf(e.Err, "%d %s done, %d not\n", done, cli.Plural(done, "message", "messages"), failed)
	if list.Next != "" {
		fmt.Fprintln(e.Err, "there are more: say it again")
	}
	if done == 0 || failed > 0 {
		return cli.Found
	}
	return cli.Done
}

// printDone tells what became of one message, and whether all of it was done.
func printDone(e cli.Env, asJSON bool, k *api.KeptDone) bool {
	good := k.Error == ""
	for i := range k.Results {
		good = good && k.Results[i].Done
	}
	if asJSON {
		cli.JSONLines(e, []api.KeptDone{*k})
		return good
	}
	if k.Error != "" {
		fmt.Fprintf(e.Err, "%s: %s\n", k.ID, k.Error)
	}
	if k.Said != "" {
		fmt.Fprintf(e.Out, "%s: %s\n", k.ID, k.Said)
	}
	for i := range k.Results {
		r := &k.Results[i]
		word := map[bool]string{true: "delivered", false: "not delivered"}[r.Done]
		if r.Spooled {
			word = "taken"
		}
		fmt.Fprintf(e.Out, "%s: %s for %s: %s\n", k.ID, word, gateway.CleanText(strings.Join(r.Rcpts, ", "), 1000), r.Said)
	}
	return good
}
