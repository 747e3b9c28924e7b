package user

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// mostDays is how long a token lives at most.
const mostDays = 366

func (t *Terminal) token(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "token add")
	in := &tokenIn{}
	f.StringVar(&in.User, "user", "", "")
	days := f.Int("days", 90, "")
	rights, domains := words(f.FlagSet, "right"), words(f.FlagSet, "domain")
	return run(ctx, t, e, f, tokenQuestion(), args, 1, 1, func(rest []string) (*tokenIn, error) {
		if in.User == "" || *days < 1 || *days > mostDays {
			return nil, fmt.Errorf("write --user U, and where needed --days from 1 to %d", mostDays)
		}
		in.Name, in.Rights, in.Domains = rest[0], *rights, *domains
		in.Expires = time.Now().Add(time.Duration(*days) * 24 * time.Hour).Truncate(time.Second)
		return in, nil
	}, func(n *api.NewToken) {
		fmt.Fprintf(e.Err, "token %s of %s, with %s, until %s; it is shown once:\n", n.Token.ID, cli.Shown(n.Token.User, 64), rightsOf(&n.Token), cli.Stamp(n.Token.Expires))
		fmt.Fprintln(e.Out, n.Secret)
	})
}

func rightsOf(t *api.Token) string {
	if len(t.Rights) == 0 {
		return "all rights of its user"
	}
	var all []string
	for _, r := range t.Rights {
		all = append(all, string(r))
	}
	return strings.Join(all, ",")
}

// ofWhom is the In of lists.
func ofWhom(user *string) func([]string) (*whose, error) {
	return func([]string) (*whose, error) {
		return &whose{page: page{Limit: 1000}, User: *user, All: *user == ""}, nil
	}
}

func (t *Terminal) tokens(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "token list")
	return run(ctx, t, e, f, tokensQuestion(), args, 0, 0, ofWhom(f.String("user", "", "")), func(out *api.Tokens) {
		w := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tUSER\tNAME\tRIGHTS\tDOMAINS\tENDS\tLAST USED")
		for i := range out.Tokens {
			x := &out.Tokens[i]
			domains := "those of its user"
			if len(x.Domains) > 0 {
				domains = bounds(x.Domains)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s %s\n", x.ID, x.User, cli.Shown(x.Name, 64), rightsOf(x), domains, cli.Stamp(x.Expires), stamp(x.Used, "never"), x.UsedFrom)
		}
		_ = w.Flush() // to a terminal that is gone
		more(e, out.Next)
	})
}

// more says that a list goes on.
func more(e cli.Env, next string) {
	if next != "" {
		fmt.Fprintln(e.Err, "there are more; --user picks those of one")
	}
}

func (t *Terminal) revoke(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "token revoke")
	return run(ctx, t, e, f, revokeQuestion(), args, 1, 1, func(rest []string) (*revokeIn, error) { return &revokeIn{ID: rest[0]}, nil }, func(x *api.Token) {
		fmt.Fprintf(e.Err, "%s of %s is revoked\n", cli.Shown(x.Name, 64), x.User)
	})
}

func (t *Terminal) sessions(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "session list")
	return run(ctx, t, e, f, sessionsQuestion(), args, 0, 0, ofWhom(f.String("user", "", "")), func(out *api.Sessions) {
		w := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tUSER\tSINCE\tLAST SEEN\tADDRESS\tHOW\tBROWSER")
		for _, x := range out.Sessions {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.User, cli.Stamp(x.Created), cli.Stamp(x.Seen), x.Address, x.How, cli.Shown(x.Agent, 60))
		}
		_ = w.Flush() // to a terminal that is gone
		more(e, out.Next)
	})
}

func (t *Terminal) end(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "session end")
	user, all := f.String("user", "", ""), f.Bool("all", false, "")
	return run(ctx, t, e, f, endQuestion(), args, 0, 1, func(rest []string) (*endIn, error) {
		if *user == "" || *all == (len(rest) == 1) {
			return nil, errors.New("write --user U, and an ID or --all")
		}
		in := &endIn{User: *user, All: *all}
		if len(rest) == 1 {
			in.ID = rest[0]
		}
		return in, nil
	}, func(x *api.Ended) {
		fmt.Fprintf(e.Err, "%d %s ended\n", x.Ended, cli.Plural(x.Ended, "session is", "sessions are"))
	})
}
