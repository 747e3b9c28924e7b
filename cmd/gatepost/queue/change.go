package queue

import (
	"context"
	"fmt"
	"slices"

	"gatepost/gateway/spool"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// changing makes the command of a verb.
func changing(verb spool.Verb) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		name := "queue " + string(verb)
		f := cli.NewFlags(e, name)
		in := flags(f)
		each := f.Bool("all", false, "")
		dry := f.Bool("dry-run", false, "")
		var route string
		if verb == spool.Reroute {
			f.StringVar(&route, "to-route", "", "")
		}
		rest, ok := f.Read(e, args, atOnce)
		if !ok {
			return cli.Usage
		}
		for _, text := range rest {
			if err := addID(in, text); err != nil {
				fmt.Fprintf(e.Err, "gatepost %s: %q: %v\n", name, text, err)
				return cli.Usage
			}
		}
		switch {
		case len(in.IDs) == 0 && in.QueueFilter == api.QueueFilter{}:
			fmt.Fprintf(e.Err, "gatepost %s: name messages by their references, or by --route, --from, --to, --said, --state or --older; gatepost queue list shows them\n", name)
			return cli.Usage
		case verb == spool.Reroute && route == "":
			fmt.Fprintf(e.Err, "gatepost %s: --to-route says where they are to go\n", name)
			return cli.Usage
		}
		c := &change{verb: verb, route: route, filter: in, dry: *dry}
		return c.run(ctx, e, f, *each)
	}
}

// change is what is done to messages.
type change struct {
	verb   spool.Verb
	route  string
	filter *api.QueueAsk
	dry    bool
}

// ask has the daemon do it to some messages.
func (c *change) ask(ctx context.Context, e cli.Env, f *cli.Flags, some []spool.Listed) ([]api.QueueDone, error) {
	in := api.QueueChange{QueueFilter: c.filter.QueueFilter, DryRun: c.dry}
	for i := range some {
		in.IDs = append(in.IDs, some[i].ID)
	}
	var out *api.QueueChanged
	var err error
	if c.verb == spool.Reroute {
		out, err = cli.Call[api.QueueChanged](ctx, e, f, changeQuestion(c.verb), &api.QueueReroute{QueueChange: in, ToRoute: c.route})
	} else {
		out, err = cli.Call[api.QueueChanged](ctx, e, f, changeQuestion(c.verb), &in)
	}
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// run finds the messages, and has the daemon change them, some at a time.
func (c *change) run(ctx context.Context, e cli.Env, f *cli.Flags, each bool) int {
	name := "queue " + string(c.verb)
	list, more, err := all(ctx, *c.filter, atMost, func(in *api.QueueAsk) (*api.QueueList, error) {
		return cli.Call[api.QueueList](ctx, e, f, listQuestion(), in)
	})
	if err != nil {
		return cli.Complain(e, name, err)
	}
	if n := len(list.Messages); n > 1 && !each && !c.dry && len(c.filter.IDs) != n {
		fmt.Fprintf(e.Err, "gatepost %s: that picks %d messages; add --all to do it to all of them, or --dry-run to see them\n", name, n)
		return cli.Usage
	}
	done, failed := 0, 0
	for some := range slices.Chunk(list.Messages, atOnce) {
		out, err := c.ask(ctx, e, f, some)
		if err != nil {
			return cli.Complain(e, name, err)
		}
		for i := range out {
			if out[i].Error != "" {
				failed++
				fmt.Fprintf(e.Err, "%s: %s; it is %s\n", out[i].ID, out[i].Error, out[i].State)
				continue
			}
			done++
		}
		c.print(e, f.JSON, out)
	}
	for _, id := range c.filter.IDs {
		if !slices.ContainsFunc(list.Messages, func(l spool.Listed) bool { return l.ID == id }) {
			failed++
			fmt.Fprintf(e.Err, "%s: not in the spool, or not picked by the filter; gatepost trace %s tells what became of it\n", id, id)
		}
	}
	what := map[bool]string{true: "would be changed", false: "changed"}[c.dry]
	fmt.Fprintf(e.Err, "%d %s %s, %d not\n", done, cli.Plural(done, "message", "messages"), what, failed)
	if more {
		fmt.Fprintln(e.Err, "there are more: say it again")
	}
	if done == 0 || failed > 0 {
		return cli.Found
	}
	return cli.Done
}

func (c *change) print(e cli.Env, asJSON bool, out []api.QueueDone) {
	if asJSON {
		cli.JSONLines(e, out)
		return
	}
	if !c.dry {
		return
	}
	var would []spool.Listed
	for i := range out {
		if out[i].Error == "" {
			would = append(would, out[i].Listed)
		}
	}
	printQueue(e.Out, would)
}

// clearLatch opens the spool again after its disk failed.
func clearLatch(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue clear-latch")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Was](ctx, e, f, clearQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "queue clear-latch", err)
	}
	fmt.Fprintf(e.Err, "the disk took and flushed a file: mail is taken into the spool again (it was shut since: %s)\n", out.Was)
	return cli.Done
}
