package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of the noun: gatepost doctor itself looks without the daemon.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "doctor last", Args: "[--config PATH] [--json]", Doc: "show what the doctor found when the daemon had him look last", Run: last},
		{Words: "doctor run", Args: "[--only GROUP,...] [--domain D] [--config PATH] [--json]", Doc: "have the daemon's doctor look, and wait for what he finds", Run: run},
	}
}

func last(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "doctor last")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.DoctorLook](ctx, e, f, lastQuestion(), &struct{}{})
	return tell(e, f, "doctor last", out, err)
}

// again is how often is asked whether a look is over.
const again = 500 * time.Millisecond

func run(ctx context.Context, e cli.Env, args []string) int {
	f, in := cli.NewFlags(e, "doctor run"), &api.DoctorRun{}
	f.StringVar(&in.Domain, "domain", "", "")
	only := f.String("only", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	in.Only = strings.FieldsFunc(*only, func(r rune) bool { return r == ',' || r == ' ' })
	out, err := cli.Call[api.DoctorLook](ctx, e, f, runQuestion(), in)
	for err == nil && out.Running {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(again):
			out, err = cli.Call[api.DoctorLook](ctx, e, f, lastQuestion(), &struct{}{})
		}
	}
	return tell(e, f, "doctor run", out, err)
}

// tell shows a look, what is not well first.
func tell(e cli.Env, f *cli.Flags, what string, out *api.DoctorLook, err error) int {
	code := cli.Reply(e, f, what, out, err, func(l *api.DoctorLook) { show(e, l) })
	if code == cli.Done && (out.Error != "" || out.Count("fail")+out.Count("unknown") > 0) {
		return cli.Found
	}
	return code
}

func show(e cli.Env, l *api.DoctorLook) {
	if l.Began.IsZero() {
		fmt.Fprintln(e.Err, "nobody looked since the daemon was started; gatepost doctor run has it looked at")
		return
	}
	if l.Running {
		fmt.Fprintf(e.Err, "a look is under way, since %s\n", cli.Stamp(l.Began))
	}
	if l.Error != "" {
		fmt.Fprintf(e.Err, "gatepost doctor: %s\n", cli.Shown(l.Error, maxText))
	}
	if l.Ended.IsZero() {
		return
	}
	fmt.Fprintf(e.Out, "looked at %s: %d fail, %d warn, %d cannot be told, %d ok\n", cli.Stamp(l.Ended), l.Count("fail"), l.Count("warn"), l.Count("unknown"), l.Count("ok"))
	for _, verdict := range [...]string{"fail", "warn", "unknown"} {
		for i := range l.Lines {
			x := &l.Lines[i]
			if x.Verdict != verdict {
				continue
			}
			about := ""
			if x.About != "" {
				about = x.About + ": "
			}
			fmt.Fprintf(e.Out, "%-7s %-20s %s\n", x.Verdict, cli.Shown(x.ID, 60), cli.Shown(about+x.Saw, maxText))
			for _, fix := range x.Fix {
				fmt.Fprintf(e.Out, "        -> %s\n", cli.Shown(fix, maxText))
			}
		}
	}
}
