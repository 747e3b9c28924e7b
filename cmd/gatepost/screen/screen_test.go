package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/appliance/settings"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// listing is what user list takes.
type listing struct {
	Limit  int    `json:"limit" doc:"how many"`
	Cursor string `json:"cursor" doc:"from where"`
}

// keyListing is what ssh key list takes.
type keyListing struct {
	listing
	User string `json:"user" doc:"whose"`
	All  bool   `json:"all" doc:"of all"`
}

// daemon answers at a control socket what the screen asks, and counts the codes that it made.
type daemon struct {
	codes, users int
	end          func()
}

func start(t *testing.T, socket string) *daemon {
	t.Helper()
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	d := new(daemon)
	s := &control.Surface{Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "root", Role: access.Owner}, nil },
		Audit: func(context.Context, control.Entry) {},
		Operations: []control.Operation{
			control.Define(control.Do("user setup-code", "/setup-code", "Make it", access.UsersChange), func(context.Context, *struct{}) (*api.SetupCode, error) {
				if d.users > 0 {
					return nil, &control.Fault{Status: http.StatusConflict, Message: "there is a user already"} // as package user has it
				}
				d.codes++
				return &api.SetupCode{Code: fmt.Sprintf("code-%d", d.codes)}, nil
			}),
			control.Define(control.Look("user list", "/users", "List them", access.UsersRead), func(context.Context, *listing) (*api.Users, error) {
				return &api.Users{Users: make([]api.User, d.users)}, nil
			}),
			control.Define(control.Look("ssh key list", "/ssh-keys", "List them", access.Own), func(context.Context, *keyListing) (*api.SSHKeys, error) {
				return &api.SSHKeys{Host: "SHA256:x"}, nil
			})}}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- control.Serve(ctx, l, s.Handler("")) }()
	d.end = func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
	return d
}

// TestLook follows a gateway from its start to its first owner, over a restart: each process is asked for one code, and the code that is
// shown is the one that counts.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	console := httptest.NewTLSServer(nil)
	defer console.Close()
	socket := filepath.Join(dir, "s")
	text := fmt.Sprintf("hostname = \"mx.example.org\"\nstate_dir = %q\n[control]\nsocket = %q\n[web]\nconsole = %q\nssh = [\"0.0.0.0:2222\"]\n", dir, socket, console.Listener.Addr())
	if err := os.WriteFile(filepath.Join(dir, "gatepost.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := cli.NewFlags(cli.Env{}, "appliance screen")
	f.Config = dir
	w := &watch{e: cli.Env{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}, flags: f, settings: &settings.Machine{Shown: dir}}
	expect := func(when string, running, owned bool, code string) {
		t.Helper()
		s := w.look(t.Context())
		if s.Running != running || s.Owned != owned || s.Code != code || s.Host != "mx.example.org" || s.Port != 0 {
			t.Errorf("%s: %+v", when, s)
		}
		if s.SSH != 2222 || (s.SSHKey != "") != running {
			t.Errorf("%s: SSH %d %q", when, s.SSH, s.SSHKey)
		}
		if running && len(s.Fingerprint) != 64 {
			t.Errorf("%s: fingerprint %q", when, s.Fingerprint)
		}
	}
	expect("before it runs", false, false, "")
	d := start(t, socket)
	expect("it runs", true, false, "code-1")
	expect("nothing changed", true, false, "code-1")
	d.end()
	expect("it ended", false, false, "")
	d = start(t, socket)
	defer func() { d.end() }()
	expect("another process", true, false, "code-1")
	d.users = 1
	expect("somebody came in", true, true, "")
	expect("he stays", true, true, "")
	if d.codes != 1 {
		t.Errorf("%d codes of one process: each voids the one before", d.codes)
	}
	d.end()
	expect("it ended again", false, false, "")
	d = start(t, socket)
	d.users = 1
	expect("another process, and he is there", true, true, "")
	var out bytes.Buffer
	if code := run(t.Context(), cli.Env{Out: &out, Err: &out}, "1.2", []string{"--config", dir}); code != cli.Done || !strings.Contains(out.String(), "Gatepost 1.2   mx.example.org\n") {
		t.Errorf("%d %q", code, out.String())
	}
}

// TestTroubles shows that a file of troubles has an end.
func TestTroubles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trouble")
	if got := troubles(name); got != nil {
		t.Errorf("none: %q", got)
	}
	if err := os.WriteFile(name, []byte("gatepost.ip: no address\nx\n"+strings.Repeat("y", 2*maxTrouble)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := troubles(name)
	if len(got) != 3 || got[0] != "gatepost.ip: no address" || len(got[2]) > maxTrouble {
		t.Errorf("%d lines, %.80q", len(got), got)
	}
}

// TestHostOfTheMachine shows that a gateway without a name of its own is shown by that of the machine, as it greets.
func TestHostOfTheMachine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gatepost.toml"), []byte(fmt.Sprintf("[control]\nsocket = %q\n", filepath.Join(dir, "none"))), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f := cli.NewFlags(cli.Env{}, "appliance screen")
	f.Config = dir
	w := &watch{e: cli.Env{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}, flags: f, settings: &settings.Machine{Shown: dir}}
	if s := w.look(t.Context()); s.Host != name {
		t.Errorf("%q; want %q", s.Host, name)
	}
}

// TestTrial shows what the screen tells of settings that are tried, and of those that nobody confirmed.
func TestTrial(t *testing.T) {
	dir := t.TempDir()
	m := &settings.Machine{Folder: filepath.Join(dir, "settings"), Shown: filepath.Join(dir, "run"), Image: filepath.Join(dir, "image")}
	if got := trial(m); got != nil {
		t.Errorf("no appliance: %q", got)
	}
	if err := errors.Join(os.WriteFile(m.Image, nil, 0o600), os.Mkdir(m.Shown, 0o700), os.Mkdir(m.Folder, 0o700), m.Try(nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Settings are on trial", "were not confirmed", "were not confirmed"} {
		if _, _, err := m.Boot(); err != nil {
			t.Fatal(err)
		}
		if got := trial(m); len(got) != 1 || !strings.Contains(got[0], want) || len(got[0]) > 76 {
			t.Errorf("%q; want %s", got, want)
		}
	}
}
