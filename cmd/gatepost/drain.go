package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// Times of gatepost drain: long enough for a balancer that asks every few seconds and believes the third answer.
const (
	drainAfter  = 30 * time.Second
	drainAtMost = 24 * time.Hour
)

// leaving is what the server asks: whether a balancer shall send clients elsewhere, and whether those that come are refused.
func (d *daemon) leaving() (leaving, closed bool) {
	o := d.drained.Load()
	return o != nil, o != nil && !time.Now().Before(o.Closes)
}

// drainVerb makes the host not ready at once, and refuses new connections after a while. Sessions end as they would. Said
// again, it changes the time.
func (d *daemon) drainVerb(ctx context.Context, in *api.DrainAsk) (*api.Drain, error) {
	after := in.After
	if after < 0 || after > drainAtMost {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "after is no time between 0s and 24h", Hint: "write for example 30s"}
	}
	control.Changed(ctx, control.Change{Object: "drain", After: after.String()})
	now := time.Now()
	o := &api.Drain{Since: now, Closes: now.Add(after)}
	if before := d.drained.Load(); before != nil {
		o.Since = before.Since
	}
	d.drained.Store(o)
	d.journal.Daemon(journal.Drain, slog.String("by", "operator"), slog.Time("closes", o.Closes), slog.Int("sessions", d.server.Sessions()))
	d.told(d.notify.Status(d.summary()))
	return o, nil
}

// resumeVerb undoes it.
func (d *daemon) resumeVerb(ctx context.Context, _ *struct{}) (*api.Drain, error) {
	control.Changed(ctx, control.Change{Object: "drain"})
	before := d.drained.Swap(nil)
	if before == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the daemon does not drain", Hint: "nothing was changed"}
	}
	d.journal.Daemon(journal.Resume, slog.Duration("after", time.Since(before.Since).Round(time.Second)))
	d.told(d.notify.Status(d.summary()))
	return before, nil
}

// drain asks the running daemon to let its clients go elsewhere.
func drain(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "drain")
	after := f.Duration("after", drainAfter, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *after < 0 || *after > drainAtMost {
		fmt.Fprintf(e.Err, "gatepost drain: --after is %s; write a time between 0s and 24h\n", *after)
		return cli.Usage
	}
	o, err := cli.Call[api.Drain](ctx, e, f, drainQuestion(), &api.DrainAsk{After: *after})
	if err != nil {
		return cli.Complain(e, "drain", err)
	}
	fmt.Fprintf(e.Err, "%s; gatepost status shows how many sessions are left\n", o)
	return cli.Done
}

// resume asks it to take clients again.
func resume(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "resume")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	o, err := cli.Call[api.Drain](ctx, e, f, resumeQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "resume", err)
	}
	fmt.Fprintf(e.Err, "the daemon serves again, after %s\n", strconv.Itoa(int(time.Since(o.Since).Seconds()))+" s")
	return cli.Done
}
