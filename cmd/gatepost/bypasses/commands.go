package bypasses

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of gatepost bypass.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "bypass list", Args: "[--config PATH] [--json]", Doc: "list the checks that are left out for a while", Run: listing},
		{Words: "bypass end", Args: "CHECK [--config PATH] [--json]", Doc: "end a bypass before its time", Run: ending},
		{Words: "bypass", Args: "CHECK|scoring --for 2h --reason TEXT [--config PATH] [--json]", Doc: "leave out a check for a while, or what points decide, in an emergency; it ends by itself, and is an alarm", Run: starting},
	}
}

func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "bypass list")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Bypasses](ctx, e, f, listQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "bypass list", err)
	}
	return show(e, f, out.Bypasses)
}

func show(e cli.Env, f *cli.Flags, list []api.Bypass) int {
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		x := &list[i]
		fmt.Fprintf(t, "%s\tuntil %s, %s left\tby %s\t%s\n", x.Check, cli.Stamp(x.Until), time.Until(x.Until).Round(time.Second), cli.Shown(x.By, 120), cli.Shown(x.Reason, 300))
	}
	_ = t.Flush()
	if len(list) == 0 {
		fmt.Fprintln(e.Err, "nothing is left out")
	}
	return cli.Done
}

func ending(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "bypass end")
	check, ok := named(e, f, args)
	if !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Bypasses](ctx, e, f, endQuestion(), &api.BypassName{Check: check})
	if err != nil {
		return cli.Complain(e, "bypass end", err)
	}
	return show(e, f, out.Bypasses)
}

func starting(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "bypass"), &api.BypassStart{}
	f.StringVar(&in.For, "for", "", "")
	f.StringVar(&in.Reason, "reason", "", "")
	check, ok := named(e, f, args)
	if !ok {
		return cli.Usage
	}
	in.Check = check
	if in.For == "" || in.Reason == "" {
		fmt.Fprintln(e.Err, "gatepost bypass: say for how long and why: --for 2h --reason TEXT")
		return cli.Usage
	}
	out, err := cli.Call[api.Bypass](ctx, e, f, startQuestion(), in)
	if err != nil {
		return cli.Complain(e, "bypass", err)
	}
	return show(e, f, []api.Bypass{*out})
}

// named reads the name of a check.
func named(e cli.Env, f *cli.Flags, args []string) (string, bool) {
	return f.One(e, args, "name a check, or scoring")
}
