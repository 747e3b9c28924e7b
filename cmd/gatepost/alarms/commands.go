package alarms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Commands are those of gatepost alarm.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "alarm list", Args: "[--all] [--severity info|warning|critical] [--limit N] [--config PATH] [--json]", Doc: "list what is wrong, the worst first; --all: also what is over", Run: listing},
		{Words: "alarm show", Args: "ID [--config PATH] [--json]", Doc: "tell all that is known of an alarm", Run: showing},
		{Words: "alarm ack", Args: "ID [--for 2h] [--note TEXT] [--owner NAME] [--config PATH] [--json]", Doc: "say that you know of an alarm: it is not told again until it is over, or for a while", Run: acking},
		{Words: "alarm unack", Args: "ID [--config PATH] [--json]", Doc: "have an alarm told again", Run: unacking},
		{Words: "alarm paths", Args: "[--config PATH] [--json]", Doc: "show the ways by which people are told of alarms", Run: pathing},
		{Words: "alarm test", Args: "[PATH-NAME] [--config PATH] [--json]", Doc: "send a notice that nothing is wrong by each way, and show what each answers", Run: trying},
	}
}

func listing(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "alarm list"), &api.AlarmQuery{}
	f.BoolVar(&in.All, "all", false, "")
	f.StringVar(&in.Severity, "severity", "", "")
	f.IntVar(&in.Limit, "limit", 100, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Alarms](ctx, e, f, listQuestion(), in)
	if err != nil {
		return cli.Complain(e, "alarm list", err)
	}
	if out.Trouble != "" {
		fmt.Fprintln(e.Err, out.Trouble)
	}
	code := cli.Done
	if slices.ContainsFunc(out.Alarms, func(a api.Alarm) bool { return a.Standing() }) {
		code = cli.Found
	}
	if f.JSON {
		return max(code, cli.JSONLines(e, out.Alarms))
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for i := range out.Alarms {
		a := &out.Alarms[i]
		state := "since " + cli.Stamp(a.Since)
		switch {
		case !a.Standing():
			state = "over " + cli.Stamp(a.Over)
		case a.Ack != nil:
			state += ", " + cli.Shown(a.Ack.By, 60) + " knows"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.Severity, a.ID, a.Node, state, cli.Shown(a.Text, 200))
	}
	_ = t.Flush()
	if len(out.Alarms) == 0 {
		fmt.Fprintln(e.Err, "nothing is wrong")
	}
	if out.Next != "" {
		fmt.Fprintln(e.Err, "there are more: ask with a larger --limit")
	}
	return code
}

// one asks for what is about one alarm, and shows it.
func one[In any](ctx context.Context, e cli.Env, f *cli.Flags, o control.Operation, in *In) int {
	out, err := cli.Call[api.Alarm](ctx, e, f, o, in)
	return cli.Reply(e, f, o.Name, out, err, func(a *api.Alarm) { tell(e, a) })
}

func showing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "alarm show")
	id, ok := named(e, f, args)
	if !ok {
		return cli.Usage
	}
	return one(ctx, e, f, showQuestion(), &api.AlarmName{ID: id})
}

func acking(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "alarm ack"), &api.AlarmAck{}
	f.StringVar(&in.For, "for", "", "")
	f.StringVar(&in.Note, "note", "", "")
	f.StringVar(&in.Owner, "owner", "", "")
	id, ok := named(e, f, args)
	if !ok {
		return cli.Usage
	}
	in.ID = id
	return one(ctx, e, f, ackQuestion(), in)
}

func unacking(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "alarm unack")
	id, ok := named(e, f, args)
	if !ok {
		return cli.Usage
	}
	return one(ctx, e, f, unackQuestion(), &api.AlarmName{ID: id})
}

// named reads the name of an alarm.
func named(e cli.Env, f *cli.Flags, args []string) (string, bool) {
	const which = "name an alarm, as part:dns; gatepost alarm list shows them"
	id, ok := f.One(e, args, which)
	if ok && !strings.Contains(id, ":") {
		fmt.Fprintf(e.Err, "%s: %s\n", f.Name(), which)
		return "", false
	}
	return id, ok
}

// tell tells all of an alarm.
func tell(e cli.Env, a *api.Alarm) {
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("alarm", "%s, %s, at %s", a.ID, a.Severity, a.Node)
	line("what", "%s", cli.Shown(a.Text, 600))
	if a.Do != "" {
		line("what to do", "%s", cli.Shown(a.Do, 600))
	}
	line("since", "%s", cli.Stamp(a.Since))
	if a.Standing() {
		line("last seen", "%s", cli.Stamp(a.Seen))
	} else {
		line("over", "%s, after %s", cli.Stamp(a.Over), a.Over.Sub(a.Since).Round(time.Second))
	}
	line("times", "%d", a.Count)
	if !a.Told.IsZero() {
		line("told", "%s", cli.Stamp(a.Told))
	}
	if a.Owner != "" {
		line("owner", "%s", cli.Shown(a.Owner, 120))
	}
	if k := a.Ack; k != nil {
		text := cli.Shown(k.By, 120) + " knows since " + cli.Stamp(k.At)
		if !k.Until.IsZero() {
			text += ", until " + cli.Stamp(k.Until)
		}
		if k.Note != "" {
			text += ": " + cli.Shown(k.Note, 500)
		}
		line("acknowledged", "%s", text)
	}
	_ = t.Flush()
}

func pathing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "alarm paths")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.AlarmPaths](ctx, e, f, pathsQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "alarm paths", err)
	}
	if f.JSON {
		return cli.JSONLines(e, out.Paths)
	}
	t := tabwriter.NewWriter(e.Out, 0, 8, 2, ' ', 0)
	for _, p := range out.Paths {
		fmt.Fprintf(t, "%s\t%s\tfrom %s on\t%d sent, %d wait, %d attempts failed, %d given up\n", p.Path, cli.Shown(p.To, 200), p.Least, p.Sent, p.Waiting, p.Failed, p.Dropped)
	}
	_ = t.Flush()
	if len(out.Paths) == 0 {
		fmt.Fprintln(e.Err, "nobody is told: write alarms.mail, alarms.webhook or alarms.syslog into policy.toml")
		return cli.Found
	}
	return cli.Done
}

func trying(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "alarm test")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	in := &api.AlarmTestOf{}
	if len(rest) > 0 {
		in.Path = rest[0]
	}
	out, err := cli.Call[api.AlarmTest](ctx, e, f, testQuestion(), in)
	if err != nil {
		return cli.Complain(e, "alarm test", err)
	}
	code := cli.Done
	for _, p := range out.Paths {
		word := "ok  "
		if !p.OK {
			word, code = "FAIL", cli.Found
		}
		if !f.JSON {
			fmt.Fprintf(e.Out, "%s %-8s %5d ms  %s\n", word, p.Path, p.Took, cli.Shown(p.Said, 300))
		}
	}
	if f.JSON {
		if wrong := cli.JSONLines(e, out.Paths); wrong != cli.Done {
			return wrong
		}
	}
	return code
}
