package network

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/appliance/network"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// appliance is a machine of plain files with its helper.
func appliance(t *testing.T) *Desk {
	t.Helper()
	dir := t.TempDir()
	d := &Desk{Socket: filepath.Join(dir, "s")}
	m := &network.Machine{State: dir, Run: filepath.Join(dir, "run")}
	if err := m.Apply(m.Load()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	h := &network.Helper{Machine: m, Log: t.Logf, Reload: func(*network.Settings, *network.Settings) error { return nil }}
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = h.Serve(ctx, conn) }() // whoever asked was told
		}
	}()
	t.Cleanup(func() { stop(); l.Close(); <-over })
	return d
}

// TestOperations sets up, confirms and names as an owner; others may look at most. All that is changed is audited.
func TestOperations(t *testing.T) {
	d := appliance(t)
	var audited []string
	s := &control.Surface{Operations: d.Operations(), Audit: func(_ context.Context, e control.Entry) {
		audited = append(audited, e.Operation+": "+e.Change.Object+" "+e.Error)
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	settings := &api.NetworkSet{Settings: "interfaces: [{name: eth0, addresses: [192.0.2.7/24]}]", Within: time.Minute}
	ask := func(who access.Role, name string) (*api.Network, error) {
		var in any = &struct{}{}
		switch name {
		case "appliance network set":
			in = settings
		case "appliance name":
			in = &api.NetworkName{Hostname: "mx.example.org"}
		}
		return controltest.Ask[*api.Network](t.Context(), s, access.Actor{Name: "x", Role: who}, name, in)
	}
	for _, role := range access.Roles() {
		if _, err := ask(role, "appliance network"); (controltest.Status(err) == 403) != !role.Has(access.SystemRead) {
			t.Errorf("%s: %v", role, err)
		}
		for _, name := range []string{"appliance network set", "appliance network confirm", "appliance name"} {
			if role == access.Owner {
				continue
			}
			if _, err := ask(role, name); controltest.Status(err) != 403 {
				t.Errorf("%s: %s: %v", role, name, err)
			}
		}
	}
	audited = nil
	if _, err := ask(access.Owner, "appliance network confirm"); controltest.Status(err) != 409 || !strings.Contains(err.Error(), "no settings are on trial") {
		t.Errorf("%v", err)
	}
	n, err := ask(access.Owner, "appliance network set")
	if err != nil || n.Until == nil || n.From["interfaces"] != "operator" || n.Saved != "" {
		t.Fatalf("%+v, %v", n, err)
	}
	if n, err = ask(access.Auditor, "appliance network"); err != nil || n.Until == nil || !strings.Contains(n.Settings, "192.0.2.7/24") {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err = ask(access.Owner, "appliance network confirm"); err != nil || n.Until != nil || !strings.Contains(n.Saved, "192.0.2.7/24") {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err = ask(access.Owner, "appliance name"); err != nil || n.Hostname != "mx.example.org" || !strings.Contains(n.Saved, "192.0.2.7/24") {
		t.Errorf("%+v, %v", n, err)
	}
	settings.Settings = "interfaces: eth0"
	if _, err = ask(access.Owner, "appliance network set"); controltest.Status(err) != 409 || !strings.HasPrefix(err.Error(), "settings:1: interfaces: this is no list") {
		t.Errorf("%v", err)
	}
	want := []string{"appliance network confirm: network no settings", "appliance network set: network ", "appliance network confirm: network ", "appliance name: network ", "appliance network set: network settings:1"}
	for i, w := range want {
		if i >= len(audited) || !strings.HasPrefix(audited[i], w) {
			t.Errorf("audited is %q, want %q", audited, want)
			break
		}
	}
}

// TestNoAppliance shows that each says so on a machine that is none.
func TestNoAppliance(t *testing.T) {
	d := &Desk{Socket: filepath.Join(t.TempDir(), "none")}
	s := &control.Surface{Operations: d.Operations()}
	owner := access.Actor{Name: "o", Role: access.Owner}
	if n, err := controltest.Ask[*api.Network](t.Context(), s, owner, "appliance network", &struct{}{}); err != nil || !strings.HasPrefix(n.None, "this machine is no appliance") {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := controltest.Ask[*api.Network](t.Context(), s, owner, "appliance name", &api.NetworkName{Hostname: "mx.example.org"}); controltest.Status(err) != 409 || !strings.HasPrefix(err.Error(), "this machine is no appliance") {
		t.Errorf("%v", err)
	}
}

// TestTell shows what people read.
func TestTell(t *testing.T) {
	until := time.Now()
	var out strings.Builder
	tell(&out, &api.Network{Ports: []api.NetworkPort{{Name: "eth0", MAC: "52:54:00:12:34:56", Up: true}}, From: map[string]string{"dns": "volume"},
		Settings: "dns:\n    - 192.0.2.53\n", Trouble: []string{"a\x1b[2J"}, Until: &until})
	for _, want := range []string{"eth0 52:54:00:12:34:56, up\n", "dns: from volume\n", "      - 192.0.2.53\n", "on trial until "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
}
