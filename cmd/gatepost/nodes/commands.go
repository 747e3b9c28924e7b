package nodes

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of gatepost node.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "node list", Args: "[--config PATH] [--json]", Doc: "list the nodes that share their control data, and how each is", Run: listing},
		{Words: "node remove", Args: "NAME [--config PATH] [--json]", Doc: "forget a node that is gone for good, with its alarms and what it counted", Run: removing},
	}
}

func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "node list")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Nodes](ctx, e, f, listQuestion(), &struct{}{})
	return told(e, f, "node list", out, err)
}

func removing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "node remove")
	name, ok := f.One(e, args, "name a node")
	if !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Nodes](ctx, e, f, removeQuestion(), &api.NodeName{Name: name})
	return told(e, f, "node remove", out, err)
}

// told prints nodes. One that is stale or not well is a finding.
func told(e cli.Env, f *cli.Flags, what string, out *api.Nodes, err error) int {
	if code := cli.Reply(e, f, what, out, err, func(all *api.Nodes) { print(e.Out, all) }); code != cli.Done {
		return code
	}
	if out.Trouble != "" {
		fmt.Fprintln(e.Err, out.Trouble)
	}
	if out.Trouble != "" || slices.ContainsFunc(out.Nodes, func(n api.Node) bool { return n.Stale || len(n.Unwell()) > 0 }) {
		return cli.Found
	}
	return cli.Done
}

// print shows a line for each node.
func print(w io.Writer, all *api.Nodes) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range all.Nodes {
		n := &all.Nodes[i]
		state := "well"
		switch bad := n.Unwell(); {
		case n.Stale:
			state = "STALE, silent for " + (time.Duration(n.Age) * time.Second).String()
		case len(bad) > 0:
			state = "FAIL " + cli.Shown(strings.Join(bad, ", "), 200)
		}
		if n.Here {
			state += ", here"
		}
		clock := ""
		if n.Clock != nil {
			clock = fmt.Sprintf("clock %+d ms", *n.Clock/1000)
		}
		policy := cli.Shown(n.Policy, 40)
		if n.Number > 0 {
			policy = fmt.Sprintf("version %d", n.Number)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tpolicy %s\t%d sessions\tload %.2f\tqueue %d\tdisk %d MB free\t%s\n", cli.Shown(n.Name, 255), state, cli.Shown(n.Version, 60), policy, n.Sessions, n.Load, n.Queue, n.Free/1_000_000, clock)
	}
	_ = t.Flush() // Out is what a pipe makes of it
}
