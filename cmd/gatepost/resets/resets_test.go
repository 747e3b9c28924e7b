package resets

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/appliance/reset"
	"gatepost/appliance/update"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// world is an appliance of plain files with its helper of root, and what was audited and logged.
type world struct {
	root    string
	surface *control.Surface
	state   string
	sick    bool // then it does not restart
	audited []string
	log     bytes.Buffer
}

func begin(t *testing.T) *world {
	t.Helper()
	w := &world{root: t.TempDir()}
	w.state = filepath.Join(w.root, "var/lib/gatepost")
	for name, text := range map[string]string{"run/appliance/slot": "a", "proc/cmdline": "gatepost.version=1.0", "efi/EFI/Linux/gatepost_1.0.efi": "kernel", "var/lib/gatepost/admin.db": "users",
		"dev/disk/by-partlabel/root-a": "root", "dev/disk/by-partlabel/root-b": "none", "var/lib/gatepost-update/x": ""} {
		name = filepath.Join(w.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(w.root, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	h := &update.Helper{Log: t.Logf, Restart: func() error { return nil }}
	h.Find = func() (*update.Machine, error) {
		m, err := update.Find(w.root)
		if asked, _ := reset.Asked(w.state); w.sick && asked != nil {
			return nil, errors.New("the boot partition is gone")
		}
		return m, err
	}
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
	d := &Desk{State: w.state, Socket: socket, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	w.surface = &control.Surface{Operations: d.Operations(), Audit: func(_ context.Context, e control.Entry) { w.audited = append(w.audited, e.Operation+" "+e.Error) }}
	if err := w.surface.Validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) ask(t *testing.T, role access.Role, in api.ApplianceReset) (*api.ApplianceErasing, error) {
	t.Helper()
	return controltest.Ask[*api.ApplianceErasing](t.Context(), w.surface, access.Actor{Name: "anna", Role: role}, "appliance reset", &in)
}

// TestReset: only an owner, with the words, on an appliance that restarts; else nothing is asked for. It stands in the journal, since the audit log goes.
func TestReset(t *testing.T) {
	w := begin(t)
	good := api.ApplianceReset{Keep: []string{"quarantine", "log", "log"}, Words: reset.Words}
	for name, c := range map[string]struct {
		role access.Role
		in   api.ApplianceReset
		sick bool
		code int
		want string
	}{
		"an operator":         {access.Operator, good, false, 403, ""},
		"without the words":   {access.Owner, api.ApplianceReset{}, false, 400, "type erase everything; nothing was erased"},
		"with others":         {access.Owner, api.ApplianceReset{Words: "yes"}, false, 400, "type erase everything"},
		"what cannot be kept": {access.Owner, api.ApplianceReset{Words: reset.Words, Keep: []string{"spool"}}, false, 400, `"spool" cannot be`},
		"it does not restart": {access.Owner, good, true, 409, "the boot partition is gone: nothing was erased"},
	} {
		w.sick = c.sick
		if _, err := w.ask(t, c.role, c.in); controltest.Status(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := reset.Asked(w.state); r != nil || err != nil {
			t.Errorf("%s: %+v is asked for, %v", name, r, err)
		}
	}
	w.sick = false
	out, err := w.ask(t, access.Owner, good)
	if err != nil || !slices.Equal(out.Keep, []string{"log", "quarantine"}) {
		t.Fatalf("%+v, %v", out, err)
	}
	if r, err := reset.Asked(w.state); err != nil || r == nil || r.By != "anna" || !slices.Equal(r.Keep, []string{"log", "quarantine"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if last := w.audited[len(w.audited)-1]; last != "appliance reset " || !strings.Contains(w.log.String(), "factory reset") || !strings.Contains(w.log.String(), "by=anna keep=log,quarantine") {
		t.Errorf("audited %q, logged %s", w.audited, &w.log)
	}
	var said bytes.Buffer
	if code := do(cli.Env{Err: &said}, &reset.Machine{State: w.state}); code != cli.Done || !strings.Contains(said.String(), "asked for by anna") || !strings.Contains(said.String(), "kept: log, quarantine, the journal") {
		t.Errorf("exit %d: %s", code, &said)
	}
	if _, err := os.Stat(filepath.Join(w.state, "admin.db")); !os.IsNotExist(err) {
		t.Error("users are there still")
	}
	said.Reset()
	if code := do(cli.Env{Err: &said}, &reset.Machine{State: w.state}); code != cli.Done || said.Len() > 0 {
		t.Errorf("exit %d: %s", code, &said)
	}
	if err := os.WriteFile(filepath.Join(w.state, "reset.json"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := do(cli.Env{Err: &said}, &reset.Machine{State: w.state}); code != cli.Found || !strings.Contains(said.String(), "nothing is erased") {
		t.Errorf("exit %d: %s", code, &said)
	}
	none := &Desk{State: w.state, Socket: filepath.Join(w.root, "none"), Log: slog.New(slog.DiscardHandler)}
	w.surface.Operations = none.Operations()
	if _, err := w.ask(t, access.Owner, good); controltest.Status(err) != 409 || !strings.HasPrefix(err.Error(), "this machine is no appliance") {
		t.Error(err)
	}
}

// TestAsked: the command wants to be told what stays, and the words from whoever sits there.
func TestAsked(t *testing.T) {
	for _, c := range []struct {
		args, typed string
		code        int
		want        string
	}{
		{"", "erase everything\n", cli.Usage, "say what stays, --keep log,quarantine,settings, or that nothing does, --all"},
		{"--all --keep log", "erase everything\n", cli.Usage, "say what stays"},
		{"--all", "yes\n", cli.Found, "nothing was erased"},
		{"--all", "", cli.Found, "what stays: nothing"},
		{"--keep log,settings", "", cli.Found, "what stays: log, settings"},
		{"--all", "erase everything\n", cli.Unreachable, "gatepost appliance reset: "},
	} {
		var out, errs bytes.Buffer
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "gatepost.toml"), []byte("hostname = \"mx.example.org\"\nstate_dir = \""+dir+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append(strings.Fields(c.args), "--config", dir)
		if code := asked(t.Context(), cli.Env{Out: &out, Err: &errs}, args, strings.NewReader(c.typed)); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s, %q: exit %d\n%s%s", c.args, c.typed, code, &out, &errs)
		}
	}
}
