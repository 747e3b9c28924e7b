package settings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	leaf "gatepost/appliance/settings"
	"gatepost/appliance/update"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

const old = "hostname = \"old.example.org\"\n"

// bench is an appliance of plain files, whose operations are asked by an owner.
type bench struct {
	*Desk
	surface  *control.Surface
	status   update.Status
	fails    error // of a restart
	restarts atomic.Int32
	named    []string
	audited  bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	m := &leaf.Machine{Folder: filepath.Join(dir, "settings"), Shown: filepath.Join(dir, "run"), Image: filepath.Join(dir, "image.toml")}
	if err := errors.Join(os.WriteFile(m.Image, []byte(old), 0o600), os.Mkdir(m.Shown, 0o700), os.Mkdir(m.Folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	b := &bench{status: update.Status{Running: "1.0", Next: "1.0"}}
	b.Desk = &Desk{Machine: m, Log: slog.New(slog.DiscardHandler), Named: func() []string { return b.named },
		Ask: func(_ context.Context, do string) (*update.Answer, error) {
			if do == update.DoRestart {
				b.restarts.Add(1)
				return &update.Answer{}, b.fails
			}
			return &update.Answer{Status: &b.status}, nil
		},
		Check: func(_ context.Context, text []byte) (out config.Problems) {
			if _, out = config.DecodeBootstrap("gatepost.toml", text); len(out) == 0 {
				out = config.Problems{{File: "gatepost.toml", Message: "think of it", Warning: true}}
			}
			return out
		}}
	b.surface = &control.Surface{Operations: b.Operations(), Audit: func(_ context.Context, e control.Entry) {
		fmt.Fprintf(&b.audited, "%s %v %+v %s\n", e.Operation, e.In, e.Change, e.Error)
	}}
	if err := b.surface.Validate(); err != nil {
		t.Fatal(err)
	}
	b.boot(t)
	return b
}

func (b *bench) boot(t *testing.T) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(b.Machine.Shown), os.Mkdir(b.Machine.Shown, 0o700)); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	if code := boot(cli.Env{Err: &told}, nil, b.Machine); code != cli.Done {
		t.Fatalf("%d %s", code, told.String())
	}
}

// ask asks as an owner; status is 200 where it was done.
func ask[Out any](t *testing.T, b *bench, name string, in any, body string) (out *Out, status int, said string) {
	t.Helper()
	out, err := controltest.Ask[*Out](control.WithBody(t.Context(), strings.NewReader(body)), b.surface, access.Actor{Name: "o", Role: access.Owner}, name, in)
	if err != nil {
		return nil, controltest.Status(err), err.Error()
	}
	return out, 200, ""
}

func (b *bench) try(t *testing.T, text string) (*api.ApplianceSettings, int, string) {
	t.Helper()
	return ask[api.ApplianceSettings](t, b, "appliance settings try", &api.ApplianceSettingsTry{Text: text}, "")
}

// TestOperations tries settings, and confirms them. Whatever is refused changes nothing and restarts nothing; the audit log has keys and no values.
func TestOperations(t *testing.T) {
	b := newBench(t)
	for what, refusal := range map[string]struct {
		prepare func()
		text    string
		status  int
		want    string
	}{
		"a mistake":        {func() {}, "hostnam = \"x\"\n[web]\nconsole = 7\n", 422, "gatepost.toml:1:1: hostnam:"},
		"too large":        {func() {}, strings.Repeat("#", leaf.MaxText+1), 413, "more than 256 KiB"},
		"version on trial": {func() { b.status.Trial = true }, old, 409, "this version is on trial"},
		"an update waits":  {func() { b.status.Next = "1.1" }, old, 409, "version 1.1 is booted next"},
		"no restart":       {func() { b.fails = errors.New("it is busy") }, old, 409, "it is busy"},
	} {
		refusal.prepare()
		if _, status, said := b.try(t, refusal.text); status != refusal.status || !strings.Contains(said, refusal.want) {
			t.Errorf("%s: %d %s", what, status, said)
		}
		b.status, b.fails = update.Status{Running: "1.0", Next: "1.0"}, nil
		if s, _, _ := ask[api.ApplianceSettings](t, b, "appliance settings", &struct{}{}, ""); s.Waits || s.Text != old || !s.Image {
			t.Errorf("%s: %+v", what, s)
		}
	}
	if _, status, said := ask[api.ApplianceSettings](t, b, "appliance settings confirm", &struct{}{}, ""); status != 409 || !strings.Contains(said, "no settings are on trial") {
		t.Errorf("%d %s", status, said)
	}
	b.audited.Reset()
	b.restarts.Store(0)
	const other = "hostname = \"secretive.example.org\"\n[web]\nconsole = \"[::]:8443\"\n"
	s, status, said := b.try(t, strings.ReplaceAll(other, "\n", "\r\n"))
	if status != 200 || !s.Waits || s.Text != old || b.restarts.Load() != 1 || len(s.Warnings) != 1 {
		t.Fatalf("%+v, %d %s, %d restarts", s, status, said, b.restarts.Load())
	}
	b.boot(t)
	if s, _, _ = ask[api.ApplianceSettings](t, b, "appliance settings", &struct{}{}, ""); !s.Trial || s.Text != other {
		t.Errorf("%+v", s)
	}
	if s, status, said = ask[api.ApplianceSettings](t, b, "appliance settings confirm", &struct{}{}, ""); status != 200 || s.Trial || s.Image {
		t.Errorf("%+v, %d %s", s, status, said)
	}
	b.boot(t)
	if s, _, _ = ask[api.ApplianceSettings](t, b, "appliance settings", &struct{}{}, ""); s.Trial || s.Text != other {
		t.Errorf("%+v", s)
	}
	if text := b.audited.String(); strings.Contains(text, "secretive") || strings.Count(text, "hostname web.console") != 2 {
		t.Errorf("audited is %s", text)
	}
}

// TestOwnersOnly shows that others do not even see the settings, and what is said on a machine that is no appliance.
func TestOwnersOnly(t *testing.T) {
	b := newBench(t)
	ins := map[string]any{"appliance settings": &struct{}{}, "appliance settings try": &api.ApplianceSettingsTry{Text: old}, "appliance settings confirm": &struct{}{},
		"appliance file list": &struct{}{}, "appliance file put": &fileIn{Name: "x"}, "appliance file remove": &fileIn{Name: "x"}}
	for name, in := range ins {
		for _, role := range access.Roles() {
			if role == access.Owner {
				continue
			}
			if _, err := controltest.Ask[any](control.WithBody(t.Context(), strings.NewReader("")), b.surface, access.Actor{Name: "x", Role: role}, name, in); controltest.Status(err) != 403 {
				t.Errorf("%s: %s: %v", role, name, err)
			}
		}
	}
	b.Ask = func(context.Context, string) (*update.Answer, error) { return nil, update.ErrNoAppliance }
	if s, _, _ := ask[api.ApplianceSettings](t, b, "appliance settings", &struct{}{}, ""); s.None != none || s.Text != "" {
		t.Errorf("%+v", s)
	}
	if a, _, _ := ask[api.ApplianceFiles](t, b, "appliance file list", &struct{}{}, ""); a.None != none {
		t.Errorf("%+v", a)
	}
	for name, in := range ins {
		if name == "appliance settings" || name == "appliance file list" {
			continue
		}
		if _, status, said := ask[any](t, b, name, in, "x"); status != 409 || !strings.Contains(said, none) {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if all, err := b.Machine.Files(); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestFiles keeps files and removes them, but for those that settings name: those in force, and those that come back behind a trial.
func TestFiles(t *testing.T) {
	b := newBench(t)
	put := func(name, text string) (*api.ApplianceFiles, int, string) {
		t.Helper()
		return ask[api.ApplianceFiles](t, b, "appliance file put", &fileIn{Name: name}, text)
	}
	remove := func(name string) (int, string) {
		t.Helper()
		_, status, said := ask[api.ApplianceFiles](t, b, "appliance file remove", &fileIn{Name: name}, "")
		return status, said
	}
	a, status, said := put("ldap-password", "hush")
	if status != 200 || len(a.Files) != 1 || a.Files[0].Octets != 4 || a.Note != "" || a.Files[0].Used || a.Folder != b.Machine.Folder+"/files/" {
		t.Fatalf("%+v, %d %s", a, status, said)
	}
	b.named = []string{b.Machine.Path("") + ".//ldap-password"} // as somebody may have written it
	if a, status, said = put("ldap-password", "other"); status != 200 || a.Note != nextStart || !a.Files[0].Used {
		t.Errorf("%+v, %d %s", a, status, said)
	}
	check := b.Check
	b.Check = func(_ context.Context, text []byte) config.Problems {
		if string(text) != old {
			t.Errorf("checked is %s", text)
		}
		return config.Problems{{File: "gatepost.toml", Key: "login.ldap.password_file", Message: "is empty"}}
	}
	if a, status, said = put("ldap-password", ""); status != 200 || !strings.HasPrefix(a.Note, notWith) || !strings.Contains(a.Note, "login.ldap.password_file: is empty") {
		t.Errorf("nobody hears that nothing starts with it: %+v, %d %s", a, status, said)
	}
	b.Check = check
	if status, said := remove("ldap-password"); status != 409 || !strings.Contains(said, "ldap-password: it stays") {
		t.Errorf("%d %s", status, said)
	}
	for name, want := range map[string]int{"../x": 400, "x.db": 400, "big": 413} {
		if _, status, said := put(name, strings.Repeat("x", leaf.MaxFile+1)); status != want {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if status, said := remove("none"); status != 404 {
		t.Errorf("%d %s", status, said)
	}

	// The settings on trial name it no more, and those before do.
	if err := b.Machine.Try([]byte("[login.ldap]\npassword_file = \"" + b.Machine.Path("ldap-password") + "\"\n")); err != nil {
		t.Fatal(err)
	}
	b.boot(t)
	if err := errors.Join(b.Machine.Confirm(), b.Machine.Try([]byte(old))); err != nil {
		t.Fatal(err)
	}
	b.named = nil
	b.boot(t)
	if status, said := remove("ldap-password"); status != 409 {
		t.Errorf("the way back is cut off: %d %s", status, said)
	}
	if err := b.Machine.Confirm(); err != nil {
		t.Fatal(err)
	}
	if status, said := remove("ldap-password"); status != 200 {
		t.Errorf("%d %s", status, said)
	}
	if text := b.audited.String(); strings.Contains(text, "hush") || !strings.Contains(text, "file ldap-password") {
		t.Errorf("audited is %s", text)
	}
}

// TestTrialEnds shows that a trial ends by a restart ten minutes after the daemon serves, which is asked for until it comes; and that one that was
// confirmed does not.
func TestTrialEnds(t *testing.T) {
	for _, confirmed := range []bool{false, true} {
		b := newBench(t)
		if ok, text := b.Health(); !ok || text != "" {
			t.Errorf("%v %s", ok, text)
		}
		if err := b.Machine.Try([]byte(old)); err != nil {
			t.Fatal(err)
		}
		b.boot(t)
		b.fails = errors.New("it is busy")
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			go b.Run(ctx)
			synctest.Wait()
			if ok, text := b.Health(); !ok || !strings.Contains(text, "on trial") || !strings.Contains(text, ", at ") {
				t.Errorf("%v %s", ok, text)
			}
			time.Sleep(trialTime - time.Second)
			synctest.Wait()
			if b.restarts.Load() > 0 {
				t.Error("it does not wait")
			}
			if confirmed {
				if err := b.Machine.Confirm(); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(2*time.Second + againTime)
			synctest.Wait()
			if want := map[bool]int32{false: 2, true: 0}[confirmed]; b.restarts.Load() != want {
				t.Errorf("confirmed %v: %d restarts, want %d", confirmed, b.restarts.Load(), want)
			}
			stop()
			synctest.Wait()
		})
		b.boot(t)
		if ok, text := b.Health(); !ok || strings.Contains(text, "were tried and not confirmed") == confirmed {
			t.Errorf("confirmed %v: %v %s", confirmed, ok, text)
		}
	}
}

// TestEnded shows when systemd's unit restarts the machine: never without a trial, at once where the daemon does not serve, and whatever it does
// after a quarter of an hour.
func TestEnded(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		trial, serves bool
		up            time.Duration
		want          int
	}{{false, false, time.Hour, 0}, {true, true, time.Minute, 0}, {true, false, time.Minute, 1}, {true, true, endAfter, 1}} {
		if tt.trial && !b.Machine.OnTrial() {
			if err := b.Machine.Try([]byte(old)); err != nil {
				t.Fatal(err)
			}
			b.boot(t)
		}
		restarts := 0
		if err := ended(b.Machine, tt.up, func() bool { return tt.serves }, func() error { restarts++; return nil }); err != nil || restarts != tt.want {
			t.Errorf("%+v: %d restarts, %v", tt, restarts, err)
		}
	}
	if up := sinceBoot(); up <= 0 {
		t.Errorf("the machine runs since %s", up)
	}
}

// TestTell shows what people read: the text where it can be kept, and all else beside it.
func TestTell(t *testing.T) {
	until := time.Now()
	var out, beside strings.Builder
	long := "c = \"" + strings.Repeat("x", 10000) + "\"\n"
	tell(&out, &beside, &api.ApplianceSettings{Text: "a = 1\r\nb = \"\x1b[2J\"\n" + long, Trial: true, Until: &until, Waits: true, Over: &until})
	if !strings.HasPrefix(out.String(), "a = 1\nb = ") || !strings.HasSuffix(out.String(), "\n"+long) || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
	for _, want := range []string{"on trial: the appliance restarts at ", "others are tried by the next start", "were tried and not confirmed"} {
		if !strings.Contains(beside.String(), want) {
			t.Errorf("no %q in %s", want, beside.String())
		}
	}
	out.Reset()
	tellFiles(&out, &api.ApplianceFiles{Folder: "/f/", Files: []api.ApplianceFile{{Name: "key", Octets: 3, SHA256: "ab", Used: true}}})
	if !strings.Contains(out.String(), "in /f/:\n  key ") || !strings.Contains(out.String(), "ab  in use\n") {
		t.Errorf("%q", out.String())
	}
}
