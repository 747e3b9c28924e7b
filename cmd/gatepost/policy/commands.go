package policy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// Commands are those of the noun, but for "policy default", which asks no daemon.
func Commands() []cli.Command {
	return append([]cli.Command{
		{Words: "policy show", Args: "[VERSION] [--config PATH] [--json]", Doc: "say which version of the policy is in force, since when and by whom, or tell of another", Run: show},
		{Words: "policy versions", Args: "[--limit N] [--config PATH] [--json]", Doc: "list the versions of the policy, the newest first", Run: list},
		{Words: "policy export", Args: "[VERSION] [--config PATH]", Doc: "print the policy in force, or one of its versions, as a document", Run: export},
		{Words: "policy diff", Args: "[FILE | VERSION [VERSION]] [--config PATH] [--json]", Doc: "print what a file would change, or what differs between two versions; without arguments, what the one in force changed", Run: compare},
		{Words: "policy check", Args: "FILE [--config PATH] [--json]", Doc: "have the daemon say whether a file could be published, and what is wrong; - is the standard input", Run: check},
		{Words: "policy apply", Args: "FILE [--comment TEXT] [--confirm 10m] [--expect VERSION] [--config PATH] [--json]", Doc: "publish a file as the policy of all nodes; --confirm: it is undone unless confirmed in that time; --expect: only while that version is in force", Run: apply},
		{Words: "policy confirm", Args: "[VERSION] [--config PATH] [--json]", Doc: "say that a version which waits for it may stay", Run: confirm},
		{Words: "policy rollback", Args: "[VERSION] [--comment TEXT] [--confirm 10m] [--config PATH] [--json]", Doc: "publish an earlier version again; without a number, the one before", Run: rollback},
	}, conditionCommands()...)
}

// version reads the number of a version; 0 for none.
func version(e cli.Env, what string, args []string) (int64, bool) {
	if len(args) == 0 {
		return 0, true
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(args[0], "v"), 10, 64)
	if err != nil || n < 1 {
		fmt.Fprintf(e.Err, "gatepost policy %s: %q is no version; gatepost policy versions lists them\n", what, args[0])
		return 0, false
	}
	return n, true
}

// ReadDocument reads a file that is to be a policy, one octet more than it may have at most; - is the standard input.
func ReadDocument(e cli.Env, name string) (string, error) {
	text, err := e.Read(name, config.MaxFile)
	return string(text), err
}

// tell prints problems as those of the file. Data is on Out with --json.
func tell(e cli.Env, json bool, file string, problems []api.Problem) {
	for i := range problems {
		if problems[i].File == "" {
			problems[i].File = file
		}
	}
	if json {
		cli.JSONLines(e, problems)
		return
	}
	for _, p := range problems {
		fmt.Fprintln(e.Err, config.Problem(p))
	}
}

func show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy show")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	n, ok := version(e, "show", rest)
	if !ok {
		return cli.Usage
	}
	p, err := cli.Call[api.Policy](ctx, e, f, showQuestion(), &Some{n})
	if err != nil {
		return cli.Complain(e, "policy show", err)
	}
	if f.JSON {
		return cli.JSON(e, p)
	}
	printPolicy(e, p)
	if p.Trouble != "" {
		return cli.Found
	}
	return cli.Done
}

func printPolicy(e cli.Env, p *api.Policy) {
	switch {
	case p.Number == 0 && p.File == "":
		fmt.Fprintln(e.Out, "no version was published, and there is no policy.toml: no domain is served")
	case p.Number == 0:
		fmt.Fprintf(e.Out, "no version was published: %s is in force (policy %s)\n", p.File, p.Policy)
	default:
		state := ""
		if p.InForce {
			state = ", in force"
		}
		fmt.Fprintf(e.Out, "version %d%s: %s %s by %s (policy %s)\n", p.Number, state, kindOf(&p.Version), p.Time.Local().Format(time.DateTime), orNobody(p.Author), p.Policy)
		if p.Comment != "" {
			fmt.Fprintf(e.Out, "     %s\n", p.Comment)
		}
	}
	if !p.Confirm.IsZero() {
		fmt.Fprintf(e.Out, "     it goes, and version %d comes back, unless it is confirmed until %s: gatepost policy confirm %d\n", p.Back, p.Confirm.Local().Format(time.DateTime), p.Number)
	}
	if p.Here > 0 {
		fmt.Fprintf(e.Out, "     in this node version %d is in force\n", p.Here)
	}
	if p.Trouble != "" {
		fmt.Fprintf(e.Out, "FAIL %s\n", p.Trouble)
	}
}

func orNobody(author string) string {
	if author == "" {
		return "nobody known"
	}
	return author
}

// kindOf says how a version came to be.
func kindOf(v *api.Version) string {
	switch {
	case v.Kind == "takeover":
		return "taken over"
	case v.Kind == "undo":
		return fmt.Sprintf("version %d undone, as version %d,", v.Undid, v.Of)
	case v.Of > 0:
		return fmt.Sprintf("gone back to version %d", v.Of)
	}
	return "published"
}

func list(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy versions")
	limit := f.Int("limit", 50, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var all []api.Version
	for page := (Page{Limit: min(*limit, 500)}); ; {
		got, err := cli.Call[api.Versions](ctx, e, f, versionsQuestion(), &page)
		if err != nil {
			return cli.Complain(e, "policy versions", err)
		}
		all = append(all, got.Versions...)
		if got.Next == "" || len(all) >= *limit {
			break
		}
		if page.Cursor, err = strconv.ParseInt(got.Next, 10, 64); err != nil {
			return cli.Complain(e, "policy versions", err)
		}
		page.Limit = min(*limit-len(all), 500)
	}
	if f.JSON {
		return cli.JSONLines(e, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(e.Err, "no version was published yet: policy.toml is in force, and gatepost policy apply publishes the first")
		return cli.Done
	}
	w := tabwriter.NewWriter(e.Out, 0, 0, 2, ' ', 0)
	for i := range all {
		v := &all[i]
		mark := " "
		if v.InForce {
			mark = "*"
		}
		what := v.Comment
		if v.Of > 0 && v.Kind != "undo" {
			what = strings.TrimSuffix(fmt.Sprintf("as version %d; %s", v.Of, v.Comment), "; ")
		}
		fmt.Fprintf(w, "%s %d\t%s\t%s\t%s\t%s\n", mark, v.Number, v.Time.Local().Format(time.DateTime), v.Policy, orNobody(v.Author), strings.ReplaceAll(what, "\n", " "))
	}
	if w.Flush() != nil {
		return cli.Found
	}
	return cli.Done
}

func export(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy export")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	n, ok := version(e, "export", rest)
	if !ok {
		return cli.Usage
	}
	p, err := cli.Call[control.File](ctx, e, f, exportQuestion(), &Some{n})
	if err != nil {
		return cli.Complain(e, "policy export", err)
	}
	if _, err := e.Out.Write(p.Data); err != nil {
		return cli.Found
	}
	return cli.Done
}

func compare(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy diff")
	rest, ok := f.Read(e, args, 2)
	if !ok {
		return cli.Usage
	}
	if len(rest) == 1 {
		if _, err := strconv.Atoi(strings.TrimPrefix(rest[0], "v")); err != nil {
			_, code := checked(ctx, e, f, "diff", rest[0], true)
			return code
		}
	}
	in := &Two{}
	if len(rest) > 0 {
		if in.From, ok = version(e, "diff", rest); !ok {
			return cli.Usage
		}
	}
	if len(rest) > 1 {
		if in.To, ok = version(e, "diff", rest[1:]); !ok {
			return cli.Usage
		}
	}
	d, err := cli.Call[api.Diff](ctx, e, f, diffQuestion(), in)
	return cli.Reply(e, f, "policy diff", d, err, func(d *api.Diff) { fmt.Fprint(e.Out, d.Diff) })
}

// checked has a file looked at, and tells its problems; or what it changes.
func checked(ctx context.Context, e cli.Env, f *cli.Flags, what, file string, diff bool) (*api.Checked, int) {
	text, err := ReadDocument(e, file)
	if err != nil {
		return nil, cli.Complain(e, "policy "+what, err)
	}
	c, err := cli.Call[api.Checked](ctx, e, f, checkQuestion(), &Document{text})
	if err != nil {
		return nil, cli.Complain(e, "policy "+what, err)
	}
	if f.JSON && diff {
		if code := cli.JSON(e, c); code != cli.Done {
			return c, code
		}
	} else {
		tell(e, f.JSON, file, c.Problems)
		if diff {
			fmt.Fprint(e.Out, c.Diff)
		}
	}
	if !c.Usable {
		return c, cli.Found
	}
	return c, cli.Done
}

// needsFile is what a command says that has no file.
const needsFile = "name the file, or - for the standard input"

func check(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy check")
	file, ok := f.One(e, args, needsFile)
	if !ok {
		return cli.Usage
	}
	c, code := checked(ctx, e, f, "check", file, false)
	if code == cli.Done && !f.JSON {
		state := "can be published"
		if c.Unchanged {
			state = "is in force already"
		}
		fmt.Fprintf(e.Err, "%s %s (policy %s)\n", file, state, c.Policy)
	}
	return code
}

func apply(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy apply")
	comment, wait, expect := f.String("comment", "", ""), f.String("confirm", "", ""), f.Int64("expect", 0, "")
	file, ok := f.One(e, args, needsFile)
	if !ok {
		return cli.Usage
	}
	text, err := ReadDocument(e, file)
	if err != nil {
		return cli.Complain(e, "policy apply", err)
	}
	c, err := cli.Call[api.Checked](ctx, e, f, checkQuestion(), &Document{text})
	if err != nil {
		return cli.Complain(e, "policy apply", err)
	}
	if !c.Usable || !f.JSON {
		tell(e, f.JSON, file, c.Problems)
	}
	if !c.Usable {
		return cli.Found
	}
	if !f.Given()["expect"] {
		*expect = c.Number
	}
	p, err := cli.Call[api.Published](ctx, e, f, applyQuestion(), &Proposal{Expect: expect, Text: text, Comment: *comment, Confirm: *wait})
	return published(e, f, "apply", p, err)
}

// published tells what came of a version.
func published(e cli.Env, f *cli.Flags, what string, p *api.Published, err error) int {
	return cli.Reply(e, f, "policy "+what, p, err, func(p *api.Published) {
		switch {
		case p.Unchanged:
			fmt.Fprintf(e.Err, "nothing changed: version %d says the same (policy %s)\n", p.Number, p.Policy)
		default:
			fmt.Fprintf(e.Err, "version %d is in force for new sessions (policy %s)\n", p.Number, p.Policy)
		}
		if !p.Confirm.IsZero() {
			fmt.Fprintf(e.Err, "it is undone unless you confirm it until %s: gatepost policy confirm %d\n", p.Confirm.Local().Format(time.DateTime), p.Number)
		}
	})
}

func confirm(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy confirm")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	n, ok := version(e, "confirm", rest)
	if !ok {
		return cli.Usage
	}
	if n == 0 {
		now, err := cli.Call[api.Policy](ctx, e, f, showQuestion(), &Some{})
		if err != nil {
			return cli.Complain(e, "policy confirm", err)
		}
		if n = now.Number; n == 0 {
			fmt.Fprintln(e.Err, "gatepost policy confirm: no version was published")
			return cli.Found
		}
	}
	p, err := cli.Call[api.Policy](ctx, e, f, confirmQuestion(), &Stay{n})
	return cli.Reply(e, f, "policy confirm", p, err, func(*api.Policy) { fmt.Fprintf(e.Err, "version %d stays\n", n) })
}

func rollback(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "policy rollback")
	comment, wait := f.String("comment", "", ""), f.String("confirm", "", "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	n, ok := version(e, "rollback", rest)
	if !ok {
		return cli.Usage
	}
	now, err := cli.Call[api.Policy](ctx, e, f, showQuestion(), &Some{})
	if err != nil {
		return cli.Complain(e, "policy rollback", err)
	}
	p, err := cli.Call[api.Published](ctx, e, f, rollbackQuestion(), &Back{Expect: &now.Number, Version: n, Comment: *comment, Confirm: *wait})
	return published(e, f, "rollback", p, err)
}
