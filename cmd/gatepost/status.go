package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// statusQuestion is how the daemon is asked how it is.
func statusQuestion() control.Operation {
	return control.Operation{Name: "status", Method: http.MethodGet, Path: "/health", Doc: "Tell how the daemon is: listeners, servers that it asks, parts", Right: access.StatusRead}
}

// healthOperations are those of the daemon as a whole.
func (d *daemon) healthOperations() []control.Operation {
	return []control.Operation{
		control.Define(statusQuestion(), func(ctx context.Context, _ *struct{}) (*api.Status, error) { return d.state(ctx), nil }),
		control.Define(drainQuestion(), d.drainVerb),
		control.Define(resumeQuestion(), d.resumeVerb),
		control.Define(reloadQuestion(), func(ctx context.Context, _ *struct{}) (*api.Loaded, error) {
			before := d.document.Load().PolicyVersion
			note, err := d.reload(ctx)
			if err != nil {
				return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error(), Hint: "nothing was changed"}
			}
			out := &api.Loaded{Policy: d.document.Load().PolicyVersion, Note: note}
			control.Changed(ctx, control.Change{Object: "configuration", Before: before, After: out.Policy})
			return out, nil
		}),
	}
}

// verbs are what the command line can ask the daemon: the surface, and what is no operation yet.
func (d *daemon) verbs() http.Handler {
	if d.surface == nil {
		d.openSurface()
	}
	mux := http.NewServeMux()
	mux.Handle("/", d.surface.Handler(""))
	return mux
}

func (d *daemon) state(ctx context.Context) *api.Status {
	b, c := d.now.Load(), d.document.Load()
	s := &api.Status{Version: version, Host: d.bootstrap.Hostname, Since: d.started, Mode: b.snapshot.Policy.Mode.String(),
		Policy: c.PolicyVersion, Domains: len(c.Policy.Domains), Sessions: d.server.Sessions(),
		Size: b.snapshot.Limits.MessageSize, Addresses: d.where,
		Drain: d.drained.Load(), Bypasses: d.bypasses.List(), Memory: d.resources.Pressure()}
	for _, a := range gather(b, d.parts) {
		line := api.Server{What: a.What, Server: a.Server, OK: a.Err == nil, Said: gateway.CleanText(a.Said, 200)}
		if a.Err != nil {
			line.Said = gateway.CleanText(a.Err.Error(), 200)
		}
		s.Servers = append(s.Servers, line)
	}
	if line, ok := d.parts.clamStatistics(ctx); ok {
		s.Servers = append(s.Servers, line)
	}
	s.Parts = append(s.Parts, d.readiness()...)
	advise(s, b.snapshot.Policy)
	return s
}

func status(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "status")
	alive := f.Bool("alive", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	s, err := cli.Call[api.Status](ctx, e, f, statusQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "status", err)
	}
	if f.JSON {
		if code := cli.JSON(e, s); code != cli.Done {
			return code
		}
	} else {
		printStatus(e, s)
	}
	if !*alive && !s.Well() { // a daemon whose scanner is away is no reason to start another
		return cli.Found
	}
	return cli.Done
}

func printStatus(e cli.Env, s *api.Status) {
	fmt.Fprintf(e.Out, "gatepost %s on %s, up %s, mode %s, policy %s, %d domains, %d sessions, messages up to %s\n",
		s.Version, s.Host, time.Since(s.Since).Round(time.Second), s.Mode, s.Policy, s.Domains, s.Sessions, config.Size(s.Size))
	if s.Drain != nil {
		fmt.Fprintf(e.Out, "     %s\n", s.Drain)
	}
	for _, b := range s.Bypasses {
		fmt.Fprintf(e.Out, "     bypass        %-28s until %s, by %s: %s\n", b.Check, cli.Stamp(b.Until), cli.Shown(b.By, 60), cli.Shown(b.Reason, 100))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Addresses.Listeners)) {
		fmt.Fprintf(e.Out, "     listener      %-28s %s\n", s.Addresses.Listeners[name], name)
	}
	for _, at := range s.Addresses.PublicHTTP {
		fmt.Fprintf(e.Out, "     listener      %-28s public_http\n", at)
	}
	for _, at := range s.Addresses.PublicHTTPS {
		fmt.Fprintf(e.Out, "     listener      %-28s public_https\n", at)
	}
	for _, at := range s.Addresses.Portal {
		fmt.Fprintf(e.Out, "     listener      %-28s portal\n", at)
	}
	for _, at := range s.Addresses.Console {
		fmt.Fprintf(e.Out, "     listener      %-28s console\n", at)
	}
	for _, at := range s.Addresses.SSH {
		fmt.Fprintf(e.Out, "     listener      %-28s ssh, known by %s\n", at, s.Addresses.SSHKey)
	}
	if s.Addresses.Metrics != "" {
		fmt.Fprintf(e.Out, "     metrics       %s\n", s.Addresses.Metrics)
	}
	for _, x := range s.Servers {
		word := "ok  "
		if !x.OK {
			word = "FAIL"
		}
		fmt.Fprintf(e.Out, "%s %-13s %-28s %s\n", word, x.What, x.Server, x.Said)
	}
	for _, p := range s.Parts {
		word := "ok  "
		if !p.OK {
			word = "FAIL"
		}
		fmt.Fprintf(e.Out, "%s %-13s %s\n", word, p.Part, p.Detail)
	}
	for _, x := range s.Trouble() {
		if x.Effect != "" {
			fmt.Fprintf(e.Out, "     %s, on mail: %s\n", x.What, x.Effect)
		}
		fmt.Fprintf(e.Out, "     %s, to do: %s\n", x.What, x.Do)
	}
}
