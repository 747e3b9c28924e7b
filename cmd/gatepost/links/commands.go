package links

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of gatepost portal.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "portal links", Args: "[ADDRESS] [--limit N] [--cursor N] [--config PATH] [--json]", Doc: "list the addresses that users of the portal linked to their own, the newest first", Run: listing},
		{Words: "portal unlink", Args: "NUMBER [--config PATH] [--json]", Doc: "take a linked address away from a user of the portal; both addresses are told", Run: removing},
	}
}

func listing(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "portal links"), &api.LinksAsk{}
	f.IntVar(&in.Limit, "limit", 100, "")
	f.Int64Var(&in.Cursor, "cursor", 0, "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	if len(rest) > 0 {
		in.Address = rest[0]
	}
	out, err := cli.Call[api.Links](ctx, e, f, listQuestion(), in)
	if err != nil {
		return cli.Complain(e, "portal links", err)
	}
	if f.JSON {
		return cli.JSONLines(e, out.Links)
	}
	show(e, out.Links)
	switch {
	case out.Next != 0:
		fmt.Fprintf(e.Err, "there may be more: --cursor %d\n", out.Next)
	case len(out.Links) == 0:
		fmt.Fprintln(e.Err, "no address is linked")
	}
	return cli.Done
}

func show(e cli.Env, list []api.Link) {
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		x := &list[i]
		fmt.Fprintf(t, "%d\t%s\tsees\t%s\tsince %s\n", x.ID, side(x.Owner), side(x.Address), cli.Stamp(x.Since))
	}
	_ = t.Flush()
}

// side is one address of a link.
func side(address string) string { return cmp.Or(cli.Shown(address, 320), "(of another domain)") }

func removing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "portal unlink")
	text, ok := f.One(e, args, "name the number of a link, as gatepost portal links shows it")
	if !ok {
		return cli.Usage
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost portal unlink: %q is no number; gatepost portal links shows it\n", cli.Shown(text, 40))
		return cli.Usage
	}
	out, err := cli.Call[api.Link](ctx, e, f, removeQuestion(), &api.LinkNumber{ID: id})
	if err != nil {
		return cli.Complain(e, "portal unlink", err)
	}
	if f.JSON {
		return cli.JSONLines(e, []api.Link{*out})
	}
	fmt.Fprintf(e.Out, "%s does not see %s any more\n", side(out.Owner), side(out.Address))
	return cli.Done
}
