package main

import (
	"context"
	"fmt"
	"net/http"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

func settingsQuestion() control.Operation {
	return control.Look("settings", "/settings", "Show what the documents say, key by key, with places and defaults", access.SystemRead)
}

// settingsOperations are those about the documents in force.
func (d *daemon) settingsOperations() []control.Operation {
	return []control.Operation{control.Define(settingsQuestion(), func(context.Context, *struct{}) (*api.Settings, error) {
		c := d.document.Load()
		if c == nil {
			return nil, &control.Fault{Status: http.StatusServiceUnavailable, Message: "there is no configuration yet"}
		}
		return settingsOf(c, d.bootstrap), nil
	})}
}

// settingsOf shows a configuration. gatepost.toml counts as it was at the start: a reload reads the policy only.
func settingsOf(c *config.Config, b *config.Bootstrap) *api.Settings {
	now := *c
	now.Bootstrap = b
	of := func(name, from string, live bool, keys []config.Setting) api.SettingsOf {
		out := api.SettingsOf{Name: name, From: from, Live: live}
		for _, k := range keys {
			out.Keys = append(out.Keys, api.Setting(k))
		}
		return out
	}
	bootstrap, policy := config.Settings(&now)
	return &api.Settings{Documents: []api.SettingsOf{of(config.BootstrapFile, c.BootstrapPath, false, bootstrap), of(config.PolicyFile, c.PolicyPath, true, policy)}}
}

// settings is the command.
func settings(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "settings")
	all := f.Bool("all", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Settings](ctx, e, f, settingsQuestion(), &struct{}{})
	return cli.Reply(e, f, "settings", out, err, func(s *api.Settings) {
		for i := range s.Documents {
			x := &s.Documents[i]
			fmt.Fprintf(e.Out, "# %s %s\n", x.Name, x.From)
			for j := range x.Keys {
				if k := &x.Keys[j]; *all || k.Where != "" {
					fmt.Fprintf(e.Out, "%s = %s    # %s, default %s\n", cli.Shown(k.Key, 200), cli.Shown(k.Value, 400), k.Where, cli.Shown(k.Default, 200))
				}
			}
		}
	})
}
