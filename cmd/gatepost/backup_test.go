package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gatepost/appliance/backup"
	"gatepost/cmd/gatepost/backups"
	"gatepost/internal/cli"
	"gatepost/internal/store"
	"gatepost/internal/store/admin"
)

// controlRows writes control data of n rows, and leaves the file open: the last rows stand in what SQLite has beside it.
func controlRows(t *testing.T, state string, n int) {
	t.Helper()
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := admin.Open(t.Context(), admin.Options{Path: filepath.Join(state, dataFile)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for i := range n {
		if err := db.Nodes().Remove(t.Context(), "none", 0); err == nil {
			t.Fatal("a node that is not there was removed")
		}
		if _, err := db.Nodes().Beat(t.Context(), fmt.Sprintf("node%d", i), "{}"); err != nil {
			t.Fatal(err)
		}
	}
}

// rows are how many are in the control data.
func rows(t *testing.T, state string) int {
	t.Helper()
	db, err := admin.Open(t.Context(), admin.Options{Path: filepath.Join(state, dataFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := db.Nodes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestBackup makes a backup of control data that are in use, lists and verifies it, and restores it on another machine, which has its own: as a
// person does it, with keys and with a passphrase, and with each mistake on the way.
func TestBackup(t *testing.T) {
	here, there, work := documents(t, "", servesOne), documents(t, "", ""), t.TempDir()
	state, other := filepath.Join(here, "state"), filepath.Join(there, "state")
	controlRows(t, state, 7)
	controlRows(t, other, 2)
	past, err := store.OpenReputation(t.Context(), filepath.Join(state, "reputation.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	for name, text := range map[string]string{"gatepost.toml": "", "trial.toml": "of one boot", "tried.toml": "of one boot", "files/ldap-password": "hush"} {
		place := filepath.Join(state, "settings", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o700), os.WriteFile(place, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	id, phrase := filepath.Join(work, "id"), file(t, work, "phrase", "correct horse battery\n", 0o600)

	code, public, errOut := gatepost(t, "backup", "key", "--out", id)
	public = strings.TrimSpace(public)
	if code != cli.Done || !strings.HasPrefix(public, "age1") {
		t.Fatalf("exit %d, %q: %s", code, public, errOut)
	}
	if info, err := os.Stat(id); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info.Mode(), err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"key --out " + id, cli.Found, "file exists"},
		{"key", cli.Usage, "--out FILE"},
		{"create --config " + here, cli.Found, "say who can open it"},
		{"create --recipient age1x --config " + here, cli.Found, `"age1x" is no public key of age`},
		{"create --recipient " + public + " --passphrase-file " + phrase + " --config " + here, cli.Found, "cannot be used together"},
		{"create --recipient " + public + " --with spool --config " + here, cli.Usage, `--with "spool": it can be log, quarantine`},
		{"create --recipient " + public + " --to " + id + " --config " + here, cli.Found, "is there already"},
		{"list --config " + here, cli.Done, "there are no backups"},
		{"create --recipient " + public + " --config " + here, cli.Done, "not in it: mail that waits"},
		{"create --recipient " + public + " --with quarantine,log --to " + work + "/one --config " + here, cli.Done, "with quarantine and log"},
		{"create --passphrase-file " + phrase + " --to " + work + "/two --config " + here, cli.Done, work + "/two: "},
		{"list --config " + here, cli.Done, state + "/backups/gatepost-mx.example.org-2"},
		{"verify " + work + "/one --identity " + id, cli.Done, "sound: "},
		{"verify " + work + "/two --passphrase-file " + phrase, cli.Done, "sound: "},
		{"verify " + work + "/one", cli.Found, "say what opens it"},
		{"verify " + work + "/two --identity " + id, cli.Found, "does not open it"},
		{"verify " + id + " --identity " + id, cli.Found, "it is no backup"},
		{"verify", cli.Usage, "name the file of a backup"},
		{"resume --config " + there, cli.Done, "no restore is under way"},
	} {
		code, out, errOut := gatepost(t, append([]string{"backup"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, out, errOut)
		}
	}

	held, err := lockState(other) // a daemon runs there
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := gatepost(t, "backup", "restore", work+"/one", "--identity", id, "--config", there); code != cli.Found || !strings.Contains(errOut, "stop it first") {
		t.Errorf("while a daemon runs: exit %d: %s", code, errOut)
	}
	held.Close()
	if n := rows(t, other); n != 2 {
		t.Errorf("%d rows stand", n)
	}
	if err := os.Chown(other, 65534, 65534); err != nil { // the daemon's user
		t.Fatal(err)
	}
	code, out, errOut := gatepost(t, "backup", "restore", work+"/one", "--identity", id, "--config", there)
	if code != cli.Done || !strings.Contains(out, "what was here lies in "+other+"/before-") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	if n := rows(t, other); n != 7 {
		t.Errorf("%d rows came", n)
	}
	for _, name := range []string{"lock", "reputation.db"} {
		info, err := os.Stat(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 65534 {
			t.Errorf("%s belongs to %d", name, uid)
		}
	}
	text, err := os.ReadFile(filepath.Join(there, "policy.toml"))
	if err != nil || string(text) != servesOne {
		t.Errorf("policy.toml is %q, %v", text, err)
	}
	if text, err := os.ReadFile(other + "/settings/files/ldap-password"); err != nil || string(text) != "hush" {
		t.Errorf("a file that the settings of an appliance name is %q, %v", text, err)
	}
	if tried, err := filepath.Glob(other + "/settings/tri*"); err != nil || len(tried) > 0 {
		t.Errorf("what was on trial comes back: %v, %v", tried, err)
	}
	was, err := filepath.Glob(other + "/before-*")
	if err != nil || len(was) != 1 {
		t.Fatalf("set aside are %v, %v", was, err)
	}
	if n := rows(t, was[0]); n != 2 {
		t.Errorf("%d rows were set aside", n)
	}
	if _, err := os.Stat(filepath.Join(other, "reputation.db")); err != nil {
		t.Error(err)
	}
}

// TestBackupJSON is what programs read, and the schemas in it are those that the databases have.
func TestBackupJSON(t *testing.T) {
	here := documents(t, "[store]\nlog = \"postgres://gatepost@db.example.org/log?sslmode=verify-full\"\n[redis]\naddresses = [\"127.0.0.1:6379\"]\n", "this is no policy")
	state := filepath.Join(here, "state")
	controlRows(t, state, 1)
	_, public, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := gatepost(t, "backup", "create", "--recipient", public, "--json", "--config", here)
	var got backups.Told
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != cli.Done {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errOut)
	}
	for _, want := range []string{"PostgreSQL at db.example.org/log", "Redis", "mail that waits"} {
		if !slices.ContainsFunc(got.Left, func(l string) bool { return strings.Contains(l, want) }) {
			t.Errorf("%s is not told: %q", want, got.Left)
		}
	}
	if got.Files != 3 || got.Host != "mx.example.org" || got.Octets == 0 || !strings.Contains(errOut, "policy.toml") {
		t.Errorf("%+v\n%s", got, errOut)
	}
	known, err := admin.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	has, err := admin.Applied(context.Background(), filepath.Join(state, dataFile))
	if err != nil || !slices.Equal(has, known) || len(has) < 3 {
		t.Errorf("applied are %v of %v, %v", has, known, err)
	}
}

// TestRestoreResumed starts the daemon where a restore was cut off before its documents: it reads those, and not what stood there.
func TestRestoreResumed(t *testing.T) {
	here := documents(t, "", "mode = \"what stood here\"\n")
	state := filepath.Join(here, "state")
	coming := filepath.Join(state, "restore-1", "config")
	if err := os.MkdirAll(coming, 0o700); err != nil {
		t.Fatal(err)
	}
	file(t, coming, "policy.toml", "mode = \"what comes\"\n", 0o600)
	file(t, state, "restore.json", `{"id":"1","phase":"config","config":"`+here+`"}`, 0o600)
	code, out, errOut := gatepost(t, "serve", "--config", here)
	if code != cli.Found || !strings.Contains(errOut, "what comes") || strings.Contains(errOut, "what stood here") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if backup.Pending(state) {
		t.Error("the restore is not at its end")
	}
}
