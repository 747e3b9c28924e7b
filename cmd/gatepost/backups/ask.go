package backups

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// asking is a command that asks the daemon what has no arguments, and bears the name of the command.
func asking(o control.Operation) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		f := cli.NewFlags(e, o.Name)
		if _, ok := f.Read(e, args, 0); !ok {
			return cli.Usage
		}
		out, err := cli.Call[api.Backups](ctx, e, f, o, &struct{}{})
		code := cli.Reply(e, f, o.Name, out, err, func(b *api.Backups) { showStatus(e.Out, b) })
		if code == cli.Done && (out.Opens == "" || out.Trouble != "") {
			return cli.Found
		}
		return code
	}
}

func showStatus(w io.Writer, b *api.Backups) {
	switch {
	case b.Opens == "":
		fmt.Fprintln(w, "nobody could open a backup, so that none is made: write recipients or passphrase_file of [backup]")
	case b.Every == 0:
		fmt.Fprintln(w, "none is made by itself")
	default:
		fmt.Fprintf(w, "one is made every %s, the next %s\n", b.Every, cli.Stamp(b.Next))
	}
	if !b.Began.IsZero() {
		fmt.Fprintf(w, "one is being made, since %s\n", cli.Stamp(b.Began))
	}
	if b.Trouble != "" {
		fmt.Fprintf(w, "the last one: %s\n", cli.Shown(b.Trouble, 500))
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range b.Targets {
		x := &b.Targets[i]
		good := "none yet"
		if !x.Good.IsZero() {
			good = fmt.Sprintf("last good %s, %s", cli.Stamp(x.Good), gateway.ShowSize(x.Octets))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cli.Shown(x.Name, 60), good, cli.Shown(x.Where, 200), cli.Shown(x.Error, 500))
	}
	for i := range b.Files {
		x := &b.Files[i]
		fmt.Fprintf(t, "  on this machine\t%s\t%s\t%s\n", gateway.ShowSize(x.Octets), cli.Shown(x.Target, 60), cli.Shown(x.Name, 300))
	}
	_ = t.Flush() // Out is what a pipe makes of it
	for _, why := range b.Missed {
		fmt.Fprintf(w, "cannot be looked at: %s\n", cli.Shown(why, 300))
	}
}
