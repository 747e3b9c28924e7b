package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/clamd"
	"gatepost/internal/cli"
)

// gatepost runs a command as main does.
func gatepost(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	code = run(ctx, cli.Env{Out: &o, Err: &e, Sections: sections}, args)
	return code, o.String(), e.String()
}

// documents writes both documents into a folder.
func documents(t testing.TB, bootstrap, policy string) string {
	t.Helper()
	dir := t.TempDir()
	state := "state_dir = \"" + filepath.Join(dir, "state") + "\"\nhostname = \"mx.example.org\"\n"
	for name, text := range map[string]string{"gatepost.toml": state + bootstrap, "policy.toml": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const servesOne = "[[domain]]\nname = \"example.org\"\nroute = \"in\"\n[[route]]\nname = \"in\"\n[[route.next_hop]]\nhost = \"127.0.0.1\"\nport = 1\n"

func TestExitCodes(t *testing.T) {
	good := documents(t, "", servesOne)
	bad := documents(t, "", "mod = \"enforce\"\n[checks.helo]\naction = \"smile\"\n")
	tests := []struct {
		args string
		code int
		out  string
		err  string
	}{
		{"", 0, "gatepost serve", ""},
		{"help", 0, "Exit codes", ""},
		{"serve --help", 0, "run the gateway", ""},
		{"version", 0, "gatepost ", ""},
		{"nonsense", 2, "", `no command "nonsense"`},
		{"check --nonsense", 2, "", "flag provided but not defined"},
		{"check --config " + good, 0, "", "can be used: policy "},
		{"check --config " + bad, 1, "", "policy.toml:1:1: mod: "},
		{"check --config " + bad, 1, "", `policy.toml:3:1: checks.helo.action: `},
		{"check --config " + bad + " --json", 1, `"key":"mod"`, ""},
		{"check --config " + filepath.Join(good, "none.toml"), 1, "", "none.toml"},
		{"explain helo", 0, "RFC 5321", ""},
		{"explain limits.message_size", 0, "50M", ""},
		{"explain hello", 1, "", "did you mean helo"},
		{"explain", 2, "", "name a key"},
		{"trace", 2, "", "name the reference"},
		{"trace nonsense --config " + good, 2, "", "not one of ours"},
		{"trace 00000-00000-0000 --config " + good, 1, "", "the log is empty"},
		{"log search --config " + good, 1, "", "no connection came at all"},
		{"log search --since yesterday --config " + good, 2, "", `"yesterday" is no time`},
		{"log search --verdict maybe --config " + good, 2, "", "not one of accept, tag"},
		{"status --config " + good, 3, "", "does not run"},
		{"reload --config " + good, 3, "", "does not run"},
		{"drain --config " + good, 3, "", "does not run"},
		{"drain --after 25h --config " + good, 2, "", "write a time between 0s and 24h"},
		{"resume --config " + good, 3, "", "does not run"},
		{"arc sealers --config " + good, 3, "", "does not run"},
		{"arc sealers x --config " + good, 2, "", `"x" is too much`},
		{"rbl status --config " + good, 3, "", "does not run"},
		{"rbl test --config " + good, 2, "", "name an IP address or a domain"},
		{"rbl test 127.0.0.2 --config " + good, 2, "", "no address of the internet"},
		{"rbl test local --config " + good, 2, "", "neither an IP address nor a domain"},
		{"rbl test 192.0.2.1 --config " + good, 1, "", "no list is used"},
		{"rbl test 192.0.2.1 --config " + bad, 1, "", "policy.toml:1:1: mod: "},
		{"greylist list --config " + good, 3, "", "does not run"},
		{"greylist list --limit 0 --config " + good, 2, "", "write a number from 1 to 10000"},
		{"greylist release --config " + good, 2, "", "name a KEY, or --from and --to;"},
		{"greylist release K --from a@b.example --config " + good, 2, "", "name a KEY"},
		{"greylist forget --identity net:192.0.2.0/24 --to a@b.example --config " + good, 2, "", "or --identity"},
		{"greylist forget --from a@b.example --config " + good, 3, "", "does not run"},
		{"serve --config " + bad, 1, "", "policy.toml:1:1: mod: "},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, out, errOut := gatepost(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.err) {
				t.Errorf("exit %d, want %d\nout: %s\nerr: %s", code, tt.code, out, errOut)
			}
		})
	}
}

// TestDefaultsPassCheck shows that the printed documents are what the program takes, and that they change nothing.
func TestDefaultsPassCheck(t *testing.T) {
	_, bootstrap, _ := gatepost(t, "config", "default")
	_, policy, _ := gatepost(t, "policy", "default")
	dir := t.TempDir()
	for name, text := range map[string]string{"gatepost.toml": bootstrap, "policy.toml": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errOut := gatepost(t, "check", "--config", dir); code != cli.Done {
		t.Errorf("exit %d: %s", code, errOut)
	}
	for _, name := range []string{"gatepost.toml", "policy.toml"} {
		if text, _ := os.ReadFile(filepath.Join(dir, name)); string(text) != bootstrap && string(text) != policy {
			t.Errorf("%s was rewritten", name)
		}
	}
}

// TestCheckBuildsWhatItWouldUse shows that check finds what only building finds.
func TestCheckBuildsWhatItWouldUse(t *testing.T) {
	for what, dir := range map[string]string{
		"policy.toml: checks.clamav: needs clamav.addresses in gatepost.toml": documents(t, "[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", servesOne),
		"policy.toml: checks.spamassassin: needs":                             documents(t, "[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", servesOne),
		"tls: certificate": documents(t, "[tls]\ncertificate = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\n", servesOne),
		"ca_file":          documents(t, "", strings.Replace(servesOne, "name = \"in\"\n[[", "name = \"in\"\ntls = \"required\"\nca_file = \"/nowhere/ca.pem\"\nserver_name = \"mail.example.org\"\n[[", 1)),
	} {
		if code, _, errOut := gatepost(t, "check", "--config", dir); code != cli.Found || !strings.Contains(errOut, what) {
			t.Errorf("%s: exit %d: %s", what, code, errOut)
		}
	}
}

// TestCheckLiveAsks shows that --live names each server that does not answer.
func TestCheckLiveAsks(t *testing.T) {
	dir := documents(t, "[clamav]\naddresses = [\"127.0.0.1:1\"]\n[spamassassin]\naddresses = [\"127.0.0.1:2\"]\n[dns]\nservers = [\"127.0.0.1:3\"]\ntimeout = \"1s\"\n", servesOne+"[queue]\nnotices_via = \"in\"\n")
	code, out, _ := gatepost(t, "check", "--live", "--config", dir)
	for _, line := range []string{"FAIL dns", "FAIL clamav", "FAIL spamassassin", "FAIL next hop      127.0.0.1:1", "FAIL notices       127.0.0.1:1", "route in, "} {
		if code != cli.Found || !strings.Contains(out, line) {
			t.Errorf("exit %d, no %q in\n%s", code, line, out)
		}
	}
}

func TestStateFolderHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil { // the daemon's user; a command of root takes it now
		t.Fatal(err)
	}
	defer func() {
		info, err := os.Stat(filepath.Join(dir, "lock"))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 {
			t.Errorf("the lock is not the daemon's: %v, %v", info, err)
		}
	}()
	first, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); err == nil || !strings.Contains(err.Error(), "another gatepost runs with it") {
		t.Errorf("a second owner: %v", err)
	}
	first.Close()
	again, err := lockState(dir)
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	again.Close()
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                 {},
		"2h":               now.Add(-2 * time.Hour),
		"3d":               now.AddDate(0, 0, -3),
		"14:30":            time.Date(2026, 11, 23, 14, 30, 0, 0, time.Local),
		"2026-11-20":       time.Date(2026, 11, 20, 0, 0, 0, 0, time.Local),
		"2026-11-20 08:15": time.Date(2026, 11, 20, 8, 15, 0, 0, time.Local),
	} {
		if got, err := cli.Moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestRouteOf shows that replies at relay time are learned for the route that the message took.
func TestRouteOf(t *testing.T) {
	r := &gateway.Record{Rcpts: []gateway.RecordRcpt{{Route: "other", Code: 452}, {Code: 550}, {Route: "mail", Code: 250}, {Route: "mail", Code: 250}}}
	if got := routeOf(r); got != "mail" {
		t.Errorf("%q", got)
	}
	if got := routeOf(&gateway.Record{Rcpts: r.Rcpts[:2]}); got != "" {
		t.Errorf("%q of nobody", got)
	}
}

func TestSignatureHealth(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		v     *clamd.Version
		local bool
		ok    bool
	}{
		{nil, false, true},
		{&clamd.Version{Engine: "1.4.3"}, false, false},
		{&clamd.Version{Engine: "1.4.3"}, true, true},
		{&clamd.Version{Database: 27500, Date: now.Add(-24 * time.Hour)}, false, true},
		{&clamd.Version{Database: 27500, Date: now.AddDate(0, 0, -10)}, false, false},
	} {
		var p parts
		p.signatures.Store(tt.v)
		if ok, detail := p.signatureHealth(tt.local, now); ok != tt.ok || detail == "" {
			t.Errorf("%+v, local %v: %v, %s", tt.v, tt.local, ok, detail)
		}
	}
}

// TestWell shows that status fails for a server that does not answer, also while its part still counts as usable.
func TestWell(t *testing.T) {
	good := api.Status{Servers: []api.Server{{OK: true}}, Parts: []api.Part{{OK: true}}}
	server := api.Status{Servers: []api.Server{{OK: true}, {}}, Parts: good.Parts}
	part := api.Status{Servers: good.Servers, Parts: []api.Part{{}}}
	if !good.Well() || server.Well() || part.Well() {
		t.Errorf("well: %v, a server that is not: %v, a part that is not: %v", good.Well(), server.Well(), part.Well())
	}
}

// TestHelpTellsTheOptionsThatThereAre asks every command for each option that its help shows, behind which stands one that
// no command has: it must be that one which is not known.
func TestHelpTellsTheOptionsThatThereAre(t *testing.T) {
	option := regexp.MustCompile(`--[a-z-]+`)
	for _, c := range commands() {
		for _, o := range option.FindAllString(c.Args, -1) {
			args := append(strings.Fields(c.Words), o+"=1", "--nope")
			_, _, errOut := gatepost(t, args...)
			if strings.Contains(errOut, "not defined: -"+strings.TrimPrefix(o, "--")) {
				t.Errorf("gatepost %s has no %s: %s", c.Words, o, errOut)
			}
		}
	}
}

// TestCommandsStandOnce shows that help lists each command once.
func TestCommandsStandOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands() {
		if seen[c.Words] {
			t.Errorf("gatepost %s stands twice", c.Words)
		}
		seen[c.Words] = true
	}
}

// TestHelpFindsCommands shows that a person who knows only a part of a command finds it.
func TestHelpFindsCommands(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		out  string
		err  string
	}{
		{"queue", cli.Usage, "", "gatepost queue hold"},
		{"queue --help", cli.Done, "gatepost queue hold", ""},
		{"help recipients", cli.Done, "gatepost recipients sync", ""},
		{"help queue list", cli.Done, "[--route R]", ""},
		{"queue list --route x --help", cli.Done, "waiting, delivering, held, dead", ""},
		{"queue frob", cli.Usage, "", `no command "queue frob"`},
		{"help frob", cli.Usage, "", `no command "frob"`},
	} {
		code, out, errOut := gatepost(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.err) {
			t.Errorf("%s: exit %d\n%s%s", c.args, code, out, errOut)
		}
	}
}
