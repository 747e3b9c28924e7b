package updates

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/appliance/bundle"
	"gatepost/appliance/minisign"
	"gatepost/appliance/update"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// appliance is one of plain files, with its helper. It returns its root and the socket.
func appliance(t *testing.T) (root, socket string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"run/appliance/slot": "a", "proc/cmdline": "gatepost.version=1.0", "usr/share/gatepost/update-keys/current.pub": string(key().Public().Text()),
		"efi/EFI/Linux/gatepost_1.0.efi": "kernel", "dev/disk/by-partlabel/root-a": "root", "dev/disk/by-partlabel/root-b": strings.Repeat("-", 100),
		"var/lib/gatepost-update/x": "", "var/lib/gatepost/settings/gatepost.toml": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket = filepath.Join(root, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	h := &update.Helper{Find: func() (*update.Machine, error) { return update.Find(root) }, Restart: func() error { return nil }, Log: t.Logf}
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = h.Serve(conn) // whoever asked was told
		}
	}()
	t.Cleanup(func() { l.Close(); <-over })
	return root, socket
}

func key() minisign.SecretKey { return minisign.NewKey([40]byte{5}) }

func made(t *testing.T, v bundle.Version) io.Reader {
	t.Helper()
	m := &bundle.Manifest{Product: bundle.Product, Architecture: bundle.Architecture, Version: v, From: "1.0", RootHash: strings.Repeat("00", 32)}
	for _, name := range []string{bundle.Root, bundle.UKI} {
		p, err := bundle.Sum(name, strings.NewReader(name+string(v)))
		if err != nil {
			t.Fatal(err)
		}
		m.Parts = append(m.Parts, p)
	}
	signed, err := m.Signed()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key().Sign(signed, "")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(append(append(signed, sig...), bundle.Root+string(v)+bundle.UKI+string(v)...))
}

// TestOperations applies an update, restarts and goes back as an owner; others may look at most. All that is changed is audited.
func TestOperations(t *testing.T) {
	_, socket := appliance(t)
	var audited []string
	s := &control.Surface{Operations: (&Desk{Socket: socket}).Operations(), Audit: func(_ context.Context, e control.Entry) {
		audited = append(audited, e.Operation+": "+e.Change.Object+" "+e.Error)
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	owner := access.Actor{Name: "o", Role: access.Owner}
	ask := func(who access.Actor, name string, body io.Reader) (*api.Appliance, error) {
		ctx := t.Context()
		if body != nil {
			ctx = control.WithBody(ctx, body)
		}
		return controltest.Ask[*api.Appliance](ctx, s, who, name, &struct{}{})
	}
	for _, role := range access.Roles() {
		who := access.Actor{Name: "x", Role: role}
		if _, err := ask(who, "appliance status", nil); (controltest.Status(err) == 403) != !role.Has(access.SystemRead) {
			t.Errorf("%s: status: %v", role, err)
		}
		for _, name := range []string{"appliance update", "appliance rollback", "appliance restart"} {
			if role == access.Owner {
				continue
			}
			if _, err := ask(who, name, strings.NewReader("x")); controltest.Status(err) != 403 {
				t.Errorf("%s: %s: %v", role, name, err)
			}
		}
	}
	audited = nil
	if _, err := ask(owner, "appliance update", strings.NewReader("PK\x03\x04 which is no update")); controltest.Status(err) != 409 || !strings.Contains(err.Error(), "that is no bundle of Gatepost") {
		t.Errorf("%v", err)
	}
	a, err := ask(owner, "appliance update", made(t, "1.1"))
	if err != nil || a.Running != "1.0" || a.Next != "1.1" || a.All[0] != (api.ApplianceVersion{Version: "1.1", State: "waits", Left: 3}) {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := ask(owner, "appliance rollback", nil); controltest.Status(err) != 409 || !strings.Contains(err.Error(), "there is no version to return to") {
		t.Errorf("%v", err)
	}
	if _, err := ask(owner, "appliance restart", nil); err != nil {
		t.Error(err)
	}
	want := []string{"appliance update: appliance that is no bundle of Gatepost", "appliance update: version 1.1 ", "appliance rollback: appliance there is no version", "appliance restart: appliance "}
	for i, w := range want {
		if i >= len(audited) || !strings.HasPrefix(audited[i], w) {
			t.Errorf("audited is %q, want %q", audited, want)
			break
		}
	}
}

// TestNoAppliance shows that each says so on a machine that is none.
func TestNoAppliance(t *testing.T) {
	s := &control.Surface{Operations: (&Desk{Socket: filepath.Join(t.TempDir(), "none")}).Operations()}
	owner := access.Actor{Name: "o", Role: access.Owner}
	if a, err := controltest.Ask[*api.Appliance](t.Context(), s, owner, "appliance status", &struct{}{}); err != nil || !strings.HasPrefix(a.None, "this machine is no appliance") {
		t.Errorf("%+v, %v", a, err)
	}
	for _, name := range []string{"appliance update", "appliance rollback", "appliance restart"} {
		_, err := controltest.Ask[*api.Appliance](control.WithBody(t.Context(), strings.NewReader("")), s, owner, name, &struct{}{})
		if controltest.Status(err) != 409 || !strings.HasPrefix(err.Error(), "this machine is no appliance") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestShow shows what people read.
func TestShow(t *testing.T) {
	for want, a := range map[string]api.Appliance{
		"this machine is no appliance: it was not": {None: update.ErrNoAppliance.Error()},
		"version 1.1 runs, from slot b, on trial\n  1.1          on trial, boot 1 of 3\n  1.0          good\nversion 1.0 can be gone back to\n": {
			Running: "1.1", Slot: "b", Trial: true, Next: "1.1", Back: "1.0", All: []api.ApplianceVersion{{Version: "1.1", State: "trial", Left: 2, Done: 1}, {Version: "1.0", State: "good"}}},
		"  1.1          failed its check 3 times\nthere is no version to go back to\n": {
			Running: "1.0", Slot: "a", Next: "1.0", All: []api.ApplianceVersion{{Version: "1.0", State: "good"}, {Version: "1.1", State: "failed", Done: 3}}},
		"version 1.1 is booted next: gatepost appliance restart": {Running: "1.0", Slot: "a", Next: "1.1", All: []api.ApplianceVersion{{Version: "1.1", State: "waits", Left: 3}}},
	} {
		var out strings.Builder
		if show(&out, &a); !strings.Contains(out.String(), want) {
			t.Errorf("%q; want %q", out.String(), want)
		}
	}
}
