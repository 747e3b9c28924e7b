package user

import (
	"context"
	"fmt"
	"text/tabwriter"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// longestKey bounds what is read of a file with a public key.
const longestKey = 16 << 10

// keyCommands are those about keys of SSH.
func (t *Terminal) keyCommands() []cli.Command {
	const common = " [--config PATH] [--json]"
	return []cli.Command{
		{Words: "ssh key add", Args: "FILE --user U [--name NAME]" + common, Doc: "let a user come in by SSH with a key; FILE is its public half, *.pub of ssh-keygen, - the standard input", Run: t.keyAdd},
		{Words: "ssh key list", Args: "[--user U]" + common, Doc: "list the keys by which users come in by SSH, and the one by which this gateway is known", Run: t.keyList},
		{Words: "ssh key remove", Args: "ID" + common, Doc: "let nobody come in by a key any more; who is in by it is out", Run: t.keyRemove},
	}
}

func (t *Terminal) keyAdd(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "ssh key add")
	in := &keyIn{}
	f.StringVar(&in.User, "user", "", "")
	f.StringVar(&in.Name, "name", "", "")
	return run(ctx, t, e, f, keyQuestion(), args, 1, 1, func(rest []string) (*keyIn, error) {
		text, err := e.Read(rest[0], longestKey)
		in.Key = string(text)
		return in, err
	}, func(k *api.SSHKey) {
		fmt.Fprintf(e.Err, "%s comes in by SSH with the key %s, %s\n", k.User, k.ID, k.Fingerprint)
	})
}

func (t *Terminal) keyList(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "ssh key list")
	return run(ctx, t, e, f, keysQuestion(), args, 0, 0, ofWhom(f.String("user", "", "")), func(out *api.SSHKeys) {
		w := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tUSER\tNAME\tKIND\tFINGERPRINT\tADDED\tLAST USED")
		for _, k := range out.Keys {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s %s\n", k.ID, k.User, cli.Shown(k.Name, 64), k.Kind, k.Fingerprint, cli.Stamp(k.Created), stamp(k.Used, "never"), k.UsedFrom)
		}
		_ = w.Flush() // to a terminal that is gone
		if out.Host != "" {
			fmt.Fprintf(e.Err, "this gateway is known by %s\n", out.Host)
		}
		more(e, out.Next)
	})
}

func (t *Terminal) keyRemove(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "ssh key remove")
	return run(ctx, t, e, f, dropQuestion(), args, 1, 1, func(rest []string) (*revokeIn, error) { return &revokeIn{ID: rest[0]}, nil }, func(k *api.SSHKey) {
		fmt.Fprintf(e.Err, "%s of %s lets nobody in any more\n", cli.Shown(k.Name, 64), k.User)
	})
}
