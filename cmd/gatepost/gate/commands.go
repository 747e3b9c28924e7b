package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Commands are those of gatepost appliance that are about its health.
func Commands() []cli.Command {
	return []cli.Command{{Words: "appliance health", Args: "[--wait 0s] [--config PATH] [--json]", Run: health,
		Doc: "send a message through the scanners, read the log, try listeners and console, as a new version must before it stays; --wait: until all is well, at most so long"}}
}

// again is how long it waits between two looks.
const again = 2 * time.Second

func health(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance health")
	wait := f.Duration("wait", 0, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	until := time.Now().Add(*wait)
	for {
		g, err := cli.Call[api.Gate](ctx, e, f, question(), &struct{}{})
		if err == nil && e.Remote == nil { // doors are those of this machine
			g.Lines = append(g.Lines, look(ctx, outside(g))...)
		}
		_, refused := errors.AsType[*control.Fault](err)
		if err == nil && g.OK() || refused || ctx.Err() != nil || time.Until(until) < again {
			return tell(e, f, g, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

func tell(e cli.Env, f *cli.Flags, g *api.Gate, err error) int {
	code := cli.Reply(e, f, "appliance health", g, err, func(g *api.Gate) {
		for _, l := range g.Lines {
			verdict := "ok  "
			switch {
			case !l.OK && l.Needed:
				verdict = "FAIL"
			case !l.OK:
				verdict = "warn"
			}
			fmt.Fprintf(e.Out, "%s %-24s %s\n", verdict, cli.Shown(l.What, 80), cli.Shown(l.Detail, maxDetail))
		}
	})
	if code == cli.Done && !g.OK() {
		return cli.Found
	}
	return code
}
