package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gatepost/internal/accounts"
	"gatepost/internal/audit"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/store/admin"
)

// TestUserOffline shows that an owner who lost his password gets another on the machine's own terminal where no daemon runs, that
// nothing is made where none ever ran, and that every file stays the daemon's own.
func TestUserOffline(t *testing.T) {
	dir := documents(t, "", servesOne)
	state := filepath.Join(dir, "state")
	if code, _, told := gatepost(t, "user", "list", "--config", dir); code != cli.Found || !strings.Contains(told, "no daemon has run") {
		t.Errorf("exit %d: %s", code, told)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("a state folder was made")
	}
	const daemon = 65534
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.Load(dir, sections())
	if c == nil {
		t.Fatal(problems)
	}
	o, err := dataOptions(c.Bootstrap, slog.Default())
	ok(err)
	ok(os.Mkdir(state, 0o700))
	open := func() (*admin.DB, *accounts.Accounts) {
		db, err := admin.Open(t.Context(), o)
		ok(err)
		a, err := accounts.New(accounts.Options{Store: db.Accounts(), Key: make([]byte, accounts.KeySize)})
		ok(err)
		return db, a
	}
	db, a := open()
	setup, err := a.SetupCode(t.Context())
	ok(err)
	_, err = a.FirstOwner(t.Context(), setup, accounts.Profile{Name: "anna"}, "three green kettles", accounts.Client{})
	ok(err)
	ok(db.Close())
	ok(os.Chown(o.Path, daemon, daemon))
	ok(os.Chown(state, daemon, daemon))
	code, out, told := gatepost(t, "user", "reset", "anna", "--second", "--config", dir)
	if code != cli.Done || !strings.Contains(told, "no daemon runs") {
		t.Fatalf("exit %d: %s", code, told)
	}
	db, a = open()
	for _, name := range []string{o.Path, o.Path + "-wal", o.Path + "-shm"} {
		info, err := os.Stat(name)
		ok(err)
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != daemon {
			t.Errorf("%s is of %d, so that the daemon cannot use it", name, owner.Uid)
		}
	}
	if _, err := a.Begin(t.Context(), "anna", "three green kettles", accounts.Client{}); !accounts.Is(err, accounts.Wrong) {
		t.Errorf("the old password: %v", err)
	}
	step, err := a.Redeem(t.Context(), strings.TrimSpace(out), "four green kettles", accounts.Client{})
	ok(err)
	if step.User.Name != "anna" || step.Token == "" {
		t.Errorf("%+v", step)
	}
	ok(db.Close())
	for _, c := range []struct {
		args string
		want int
	}{
		{"user list", cli.Done}, {"user show anna", cli.Done}, {"user show nobody", cli.Found}, {"user remove anna", cli.Found}, {"user role anna operator", cli.Found}, {"user setup-code", cli.Unreachable},
		{"user add bert", cli.Usage}, {"user add bert --role help-desk --domain example.org --domain example.net", cli.Done}, {"user domains bert", cli.Usage}, {"user domains bert --all", cli.Done},
		{"session list", cli.Done}, {"session end --user anna --all", cli.Done}, {"token list --json", cli.Done}, {"token add backup", cli.Usage}, {"token revoke nonsense", cli.Found},
		{"token add backup --user anna --right log.read --days 7", cli.Done}, {"token add more --user anna --right mail.read", cli.Found},
	} {
		code, out, told := gatepost(t, append(strings.Fields(c.args), "--config", dir)...)
		if code != c.want || c.want != cli.Done && told == "" {
			t.Errorf("%s: exit %d, want %d: %s%s", c.args, code, c.want, out, told)
		}
	}
	db, _ = open()
	rows, err := db.Audit().List(t.Context(), audit.Filter{})
	ok(err)
	var noted []string
	for _, r := range rows {
		noted = append(noted, r.Operation+" "+r.Object)
		if r.Via != "socket" || !strings.Contains(r.Actor, "offline") || r.Node != "mx.example.org" {
			t.Errorf("the audit log has %+v", r)
		}
	}
	for _, want := range []string{"user reset anna", "user add bert", "user domains bert", "session end anna", "token add anna"} {
		if !slices.Contains(noted, want) {
			t.Errorf("%s is not in the audit log: %q", want, noted)
		}
	}
	ok(db.Close())
}
