package console

import (
	"context"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestSettingsPage shows what documents say, and on demand what they do not, as text.
func TestSettingsPage(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("anna", "GET", "/settings", nil), 404)
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Operation{Name: "settings", Method: "GET", Path: "/settings", Doc: "Show it", Right: access.SystemRead}, func(context.Context, *struct{}) (*api.Settings, error) {
		return &api.Settings{Documents: []api.SettingsOf{{Name: "gatepost.toml", From: "/etc/gatepost/gatepost.toml", Keys: []api.Setting{{Key: "hostname", Value: "\"<b>mx\"", Where: "gatepost.toml:3"}, {Key: "log.level", Value: "info", Default: "info"}}}, {Name: "policy.toml", Live: true}}}, nil
	}))
	s.handler = s.Console.Handler()
	has(t, s.ask("anna", "GET", "/settings", nil), 200, "hostname", "&lt;b&gt;mx", "gatepost.toml:3", "!log.level", "It says nothing", "systemctl restart", `href="/policy/text"`)
	has(t, s.ask("code", "GET", "/settings?all=1", nil), 200, "log.level", "hostname")
	has(t, s.ask("helper", "GET", "/settings", nil), 403)
}
