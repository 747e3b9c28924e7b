package user

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Terminal is what the commands need of the machine.
type Terminal struct {
	// Offline opens what the operations need where no daemon runs, for whoever may read its files; close ends that.
	Offline func(ctx context.Context, e cli.Env, config string) (s *control.Surface, close func(), err error)
}

// Commands are user, token, session and ssh key.
func (t *Terminal) Commands() []cli.Command {
	const common = " [--config PATH] [--json]"
	return append([]cli.Command{
		{Words: "user list", Args: strings.TrimSpace(common), Doc: "list who may log in to the console, and what they may", Run: t.list},
		{Words: "user show", Args: "NAME" + common, Doc: "show a user", Run: t.show},
		{Words: "user add", Args: "NAME --role R [--domain D]... [--display TEXT] [--mail A]" + common, Doc: "make a user, and print a code by which he sets a password", Run: t.add, Note: roleNote()},
		{Words: "user edit", Args: "NAME [--display TEXT] [--mail A]" + common, Doc: "change the name that is shown and the address of a user", Run: t.edit},
		{Words: "user role", Args: "NAME ROLE" + common, Doc: "give a user another role; his sessions end", Run: t.role, Note: roleNote()},
		{Words: "user domains", Args: "NAME DOMAIN... | NAME --all" + common, Doc: "bound a user by domains, or by none; his sessions end", Run: t.domains},
		{Words: "user reset", Args: "NAME [--second]" + common, Doc: "take away a password, with --second the second factors too, and print a code to set another; works without the daemon", Run: t.reset},
		{Words: "user disable", Args: "NAME" + common, Doc: "let a user in no more: his sessions end, his tokens are refused", Run: t.disable},
		{Words: "user enable", Args: "NAME" + common, Doc: "let a user in again", Run: t.enable},
		{Words: "user remove", Args: "NAME" + common, Doc: "remove a user, with his sessions and tokens", Run: t.remove},
		{Words: "user setup-code", Args: strings.TrimSpace(common), Doc: "print the code by which the first owner comes in, while there is no user; an earlier one is void", Run: t.setup},
		{Words: "token add", Args: "NAME --user U [--right R]... [--domain D]... [--days N]" + common, Doc: "make a token by which a program asks the API, and print it", Run: t.token, Note: "R: a right of those of the user, such as log.read; none: all that he has"},
		{Words: "token list", Args: "[--user U]" + common, Doc: "list tokens, without their secrets", Run: t.tokens},
		{Words: "token revoke", Args: "ID" + common, Doc: "end a token", Run: t.revoke},
		{Words: "session list", Args: "[--user U]" + common, Doc: "list who is logged in", Run: t.sessions},
		{Words: "session end", Args: "ID --user U | --user U --all" + common, Doc: "end a session, or all of a user", Run: t.end},
	}, t.keyCommands()...)
}

func roleNote() string {
	var words []string
	for _, r := range access.Roles() {
		words = append(words, string(r))
	}
	return "roles: " + strings.Join(words, ", ") + ". docs/users.md tells what each may"
}

// ask asks the daemon, or, where none runs, does it here: root on the machine can do what the daemon would let him.
func ask[Out, In any](ctx context.Context, t *Terminal, e cli.Env, f *cli.Flags, o control.Operation, in *In) (*Out, error) {
	out, err := cli.Call[Out](ctx, e, f, o, in)
	if t.Offline == nil || !errors.Is(err, control.ErrNotRunning) {
		return out, err
	}
	s, done, err := t.Offline(ctx, e, f.Config)
	if err != nil {
		return nil, err
	}
	defer done()
	fmt.Fprintf(e.Err, "gatepost %s: no daemon runs; it is done in its files\n", o.Name)
	got, err := s.Call(access.With(ctx, access.Actor{Name: cli.By() + " (offline)", Role: access.Owner, Via: access.BySocket}), o.Name, in)
	if err != nil {
		return nil, err
	}
	return got.(*Out), nil
}

// run reads options and arguments, between least and most of these, asks, and shows the answer.
func run[Out, In any](ctx context.Context, t *Terminal, e cli.Env, f *cli.Flags, o control.Operation, args []string, least, most int, in func(rest []string) (*In, error), show func(*Out)) int {
	rest, ok := f.Read(e, args, most)
	if !ok {
		return cli.Usage
	}
	if len(rest) < least {
		fmt.Fprintf(e.Err, "%s: something is missing; %s --help shows what\n", f.Name(), f.Name())
		return cli.Usage
	}
	asked, err := in(rest)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Usage
	}
	out, err := ask[Out](ctx, t, e, f, o, asked)
	return cli.Reply(e, f, o.Name, out, err, show)
}

// words is an option that may stand more than once.
func words(f *flag.FlagSet, name string) *[]string {
	var all []string
	f.Func(name, "", func(s string) error {
		all = append(all, s)
		return nil
	})
	return &all
}

// one is the In of what concerns one user.
func one(rest []string) (*named, error) { return &named{Name: rest[0]}, nil }

// told says on Err what became of a user.
func told(e cli.Env, format string, args ...any) func(*api.User) {
	return func(u *api.User) {
		fmt.Fprintf(e.Err, "%s: "+format+"\n", append([]any{cli.Shown(u.Name, 64)}, args...)...)
	}
}

func (t *Terminal) list(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user list")
	return run(ctx, t, e, f, listQuestion(), args, 0, 0, func([]string) (*listIn, error) { return &listIn{page{Limit: 1000}}, nil }, func(out *api.Users) {
		w := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tDOMAINS\tSECOND FACTOR\tLAST LOGIN\tSTATE")
		for _, u := range out.Users {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Name, u.Role, bounds(u.Domains), second(&u), stamp(u.Login, "never"), state(&u))
		}
		_ = w.Flush() // to a terminal that is gone
	})
}

func (t *Terminal) show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user show")
	return run(ctx, t, e, f, showQuestion(), args, 1, 1, one, func(u *api.User) {
		w := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintf(w, "name\t%s\nshown as\t%s\nmail\t%s\nrole\t%s\ndomains\t%s\nsecond factor\t%s\nstate\t%s\nmade\t%s\nlast login\t%s %s\n", u.Name, cli.Shown(u.Display, 100), cli.Shown(u.Mail, 254),
			u.Role, bounds(u.Domains), second(u), state(u), cli.Stamp(u.Created), stamp(u.Login, "never"), cli.Shown(u.LoginFrom, 64))
		_ = w.Flush() // to a terminal that is gone
	})
}

// bounds shows domains.
func bounds(domains []string) string {
	if len(domains) == 0 {
		return "all"
	}
	return strings.Join(domains, ",")
}

func second(u *api.User) string {
	var has []string
	if u.TOTP {
		has = append(has, "app")
	}
	if u.Passkeys > 0 {
		has = append(has, fmt.Sprintf("%d %s", u.Passkeys, cli.Plural(u.Passkeys, "passkey", "passkeys")))
	}
	if has == nil {
		return "none"
	}
	return strings.Join(has, ", ")
}

func state(u *api.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Lapsed:
		return "in no group that may log in"
	case u.Source != "":
		return "of " + u.Source
	case !u.Password && u.Passkeys == 0:
		return "no password yet"
	}
	return "ok"
}

func stamp(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return cli.Stamp(t)
}

func (t *Terminal) add(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user add")
	in := &addIn{}
	f.StringVar(&in.Role, "role", "", "")
	f.StringVar(&in.Display, "display", "", "")
	f.StringVar(&in.Mail, "mail", "", "")
	domains := words(f.FlagSet, "domain")
	return run(ctx, t, e, f, addQuestion(), args, 1, 1, func(rest []string) (*addIn, error) {
		if in.Role == "" {
			return nil, errors.New("--role is missing; " + roleNote())
		}
		in.Name, in.Domains = rest[0], *domains
		return in, nil
	}, invited(e))
}

// invited prints a code: on Out alone, so that a script has it.
func invited(e cli.Env) func(*api.Invited) {
	return func(in *api.Invited) {
		if in.Code == "" {
			fmt.Fprintf(e.Err, "%s has no second factor any more; the password is not kept here\n", cli.Shown(in.User.Name, 64))
			return
		}
		fmt.Fprintf(e.Err, "%s sets a password by this code at /redeem of the console, until %s:\n", cli.Shown(in.User.Name, 64), cli.Stamp(in.Until))
		fmt.Fprintln(e.Out, in.Code)
	}
}

func (t *Terminal) edit(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user edit")
	display, mail := f.String("display", "", ""), f.String("mail", "", "")
	return run(ctx, t, e, f, editQuestion(), args, 1, 1, func(rest []string) (*editIn, error) {
		in, given := &editIn{named: named{Name: rest[0]}}, f.Given()
		if given["display"] {
			in.Display = display
		}
		if given["mail"] {
			in.Mail = mail
		}
		if in.Display == nil && in.Mail == nil {
			return nil, errors.New("--display or --mail is missing")
		}
		return in, nil
	}, told(e, "changed"))
}

func (t *Terminal) role(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user role")
	return run(ctx, t, e, f, roleQuestion(), args, 2, 2, func(rest []string) (*roleIn, error) { return &roleIn{named: named{Name: rest[0]}, Role: rest[1]}, nil }, func(u *api.User) {
		told(e, "is %s of %s now; his sessions are over", u.Role, bounds(u.Domains))(u)
	})
}

func (t *Terminal) domains(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user domains")
	all := f.Bool("all", false, "")
	return run(ctx, t, e, f, domainsQuestion(), args, 1, 1001, func(rest []string) (*domainsIn, error) {
		if *all == (len(rest) > 1) {
			return nil, errors.New("write DOMAIN... or --all")
		}
		return &domainsIn{named: named{Name: rest[0]}, Domains: rest[1:], All: *all}, nil
	}, func(u *api.User) { told(e, "is %s of %s now; his sessions are over", u.Role, bounds(u.Domains))(u) })
}

func (t *Terminal) reset(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "user reset")
	second := f.Bool("second", false, "")
	return run(ctx, t, e, f, resetQuestion(), args, 1, 1, func(rest []string) (*resetIn, error) {
		return &resetIn{named: named{Name: rest[0]}, Second: *second}, nil
	}, invited(e))
}

func (t *Terminal) disable(ctx context.Context, e cli.Env, args []string) int {
	return run(ctx, t, e, cli.NewFlags(e, "user disable"), disableQuestion(), args, 1, 1, one, told(e, "is let in no more; his sessions are over, his tokens are refused"))
}

func (t *Terminal) enable(ctx context.Context, e cli.Env, args []string) int {
	return run(ctx, t, e, cli.NewFlags(e, "user enable"), enableQuestion(), args, 1, 1, one, told(e, "is let in again"))
}

func (t *Terminal) remove(ctx context.Context, e cli.Env, args []string) int {
	return run(ctx, t, e, cli.NewFlags(e, "user remove"), removeQuestion(), args, 1, 1, one, told(e, "is removed"))
}

// setup asks the daemon alone: the code is in its memory.
func (t *Terminal) setup(ctx context.Context, e cli.Env, args []string) int {
	return run(ctx, &Terminal{}, e, cli.NewFlags(e, "user setup-code"), setupQuestion(), args, 0, 0, func([]string) (*struct{}, error) { return &struct{}{}, nil }, func(c *api.SetupCode) {
		fmt.Fprintln(e.Err, "the first owner comes in by this code at /setup of the console:")
		fmt.Fprintln(e.Out, c.Code)
	})
}
