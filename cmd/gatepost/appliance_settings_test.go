package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	leaf "gatepost/appliance/settings"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// TestCheckText shows that another gatepost.toml is looked at as gatepost check does, under the policy in force, and besides for files that
// are read later, and for the state folder.
func TestCheckText(t *testing.T) {
	path := documents(t, "", servesOne)
	now, problems := config.Load(path, sections())
	if now == nil {
		t.Fatal(problems)
	}
	m := &leaf.Machine{Folder: filepath.Join(t.TempDir(), "settings")}
	if err := errors.Join(os.Mkdir(m.Folder, 0o700), m.PutFile("there", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(m.Path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(config.BootstrapIn(path))
	if err != nil {
		t.Fatal(err)
	}
	target := "\n[backup]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n[[backup.target]]\nname = \"far\"\ns3 = \"https://s3.example.org\"\nbucket = \"mail\"\ncredentials_file = %q\n"
	named := func(name string) string { return string(own) + strings.ReplaceAll(target, "%q", `"`+m.Path(name)+`"`) }
	for what, tt := range map[string]struct{ text, want string }{
		"as it is":                 {string(own), ""},
		"a file that is there":     {named("there"), ""},
		"one that says nothing":    {named("pipe"), ""}, // and that nobody waits for
		"one that is not":          {named("gone"), "credentials_file"},
		"how it gets there":        {named("gone"), "gatepost appliance file put gone"},
		"a key that is none":       {string(own) + "\n[web]\nconsol = 1\n", "gatepost.toml:"},
		"no file where one is due": {string(own) + "\n[tls]\ncertificate = \"/none.pem\"\nkey = \"/none.key\"\n", "/none.pem"},
		"another state folder":     {"state_dir = \"/tmp/elsewhere\"\n", "state_dir: is another folder than"},
		"nothing of TOML":          {"<html>", "gatepost.toml:1:"},
	} {
		all := checkText(t.Context(), path, []byte(tt.text), now, m)
		if said := all.Error(); all.Refused() != (tt.want != "") || !strings.Contains(said, tt.want) || strings.Contains(said, path) && tt.want != "state_dir: is another folder than" {
			t.Errorf("%s: %s", what, said)
		}
	}
	if again, _ := config.Load(path, sections()); again == nil || again.PolicyVersion != now.PolicyVersion {
		t.Error("what is in force changed")
	}
}

// TestTrialUnits shows that systemd takes the units that show settings and end a trial, that they are closed tightly, that the daemon's failure leads
// there, and that their names fit the program's.
func TestTrialUnits(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	units := []string{"appliance-config.service", "gatepost-trial.service", "gatepost-trial.timer"}
	for _, unit := range units {
		text, err := os.ReadFile(filepath.Join(unitFolder, unit))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(strings.ReplaceAll(string(text), "/usr/bin/gatepost", program)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		if out, err := analyze(t, dir, "verify", "--man=no", "./"+unit); err != nil || about(out, unit) != "" {
			t.Errorf("systemd says: %v %s", err, out)
		}
		if out, err := analyze(t, dir, "security", "--offline=yes", "--threshold=15", "./"+unit); strings.HasSuffix(unit, ".service") && err != nil {
			t.Errorf("it is too exposed: %v\n%s", err, out)
		}
	}
	for unit, words := range map[string]string{"appliance-config.service": "appliance settings boot", "gatepost-trial.service": "appliance settings end"} {
		if values := unitValues(t, filepath.Join(unitFolder, unit)); values["ExecStart"] != "/usr/bin/gatepost "+words || !slices.ContainsFunc(commands(), func(c cli.Command) bool { return c.Words == words }) {
			t.Errorf("%s: %q", unit, values["ExecStart"])
		}
	}
	shows := unitValues(t, filepath.Join(unitFolder, "appliance-config.service"))
	if shows["RuntimeDirectory"] != filepath.Base(leaf.Shown) || shows["User"] != "gatepost" || shows["Before"] != "gatepost.service" || shows["RequiredBy"] != "gatepost.service" {
		t.Errorf("%q", shows)
	}
	if v := unitValues(t, filepath.Join(unitFolder, "gatepost-trial.service")); v["ConditionPathExists"] != filepath.Join(leaf.Shown, "trial") {
		t.Errorf("%q", v)
	}
	if v := unitValues(t, filepath.Join(unitFolder, "gatepost.service.d/50-trial.conf")); v["OnFailure"] != "gatepost-trial.service" {
		t.Errorf("%q", v)
	}
	preset, err := os.ReadFile(filepath.Join(unitFolder, "../system-preset/82-gatepost-settings.preset"))
	if err != nil || !strings.Contains(string(preset), "\nenable gatepost-trial.timer\n") {
		t.Errorf("%v %s", err, preset)
	}
	if trials := leaf.Trials("/var/lib/gatepost"); !slices.Equal(trials, []string{leaf.Folder + "/trial.toml", leaf.Folder + "/tried.toml"}) {
		t.Errorf("%q", trials)
	}
}
