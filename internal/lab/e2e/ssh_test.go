package e2e

import (
	"context"
	"errors"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshClient is OpenSSH's, of users of a daemon.
type sshClient struct {
	t   *testing.T
	dir string
	at  string
}

// newSSH makes keys of two people, and remembers the key by which the daemon says that it is known.
func newSSH(t *testing.T, w *world) *sshClient {
	t.Helper()
	a, err := w.daemon.Addresses()
	if err != nil || len(a.SSH) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	c := &sshClient{t, t.TempDir(), a.SSH[0]}
	for _, name := range []string{ownerName, "vera"} {
		c.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name+" at home", "-f", filepath.Join(c.dir, name))
	}
	host, port, err := net.SplitHostPort(c.at)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := exec.CommandContext(t.Context(), "ssh-keyscan", "-p", port, host).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "known"), keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if shown := c.tool("ssh-keygen", "-l", "-f", filepath.Join(c.dir, "known")); !strings.Contains(shown, " "+a.SSHKey+" ") {
		t.Errorf("the daemon says %s, and has %s", a.SSHKey, shown)
	}
	return c
}

func (c *sshClient) tool(name string, args ...string) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

// command is a client that has not begun.
func (c *sshClient) command(ctx context.Context, user, key string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(c.at) // newSSH has looked
	return exec.CommandContext(ctx, "ssh", append([]string{"-F", "none", "-i", filepath.Join(c.dir, key), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(c.dir, "known"), "-o", "GlobalKnownHostsFile=none", "-o", "ConnectTimeout=30", "-p", port, "-l", user, host}, args...)...)
}

// run has a command run, and returns what it says, both ways.
func (c *sshClient) run(user, key, in string, args ...string) (said string, code int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), clientTime)
	defer cancel()
	cmd := c.command(ctx, user, key, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if x, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), x.ExitCode()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out), 0
}

// TestSSH: users of the console come in by SSH with keys that were registered, and run commands that their rights allow; they get
// nothing else of the machine, what they change is audited as theirs, and a session ends with its key.
func TestSSH(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0", web: "ssh = [\"127.0.0.1:0\"]\n"})
	owner := w.owner(t)
	w.operator(t, "vera", "auditor")
	c := newSSH(t, w)
	w.command(t, 0, "ssh", "key", "add", filepath.Join(c.dir, "vera.pub"), "--user", "vera")
	c.byPage(owner)
	state := filepath.Join(w.dir, "state")
	secret := filepath.Join(state, "accounts.key")
	if _, err := os.Stat(secret); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		user, key, in string
		args          []string
		code          int
		want          string
	}{
		{"vera", "vera", "", []string{"status", "--alive"}, 0, "ssh, known by SHA256:"},
		{"vera", "vera", "", []string{"gatepost", "queue", "list", "--json"}, 0, ""},
		{"vera", "vera", "", []string{"trace", "00000-00000-0000"}, 1, "nothing is known"},
		{"vera", "vera", "", []string{"queue", "list", "--state", "'no such; state'"}, 2, "gatepost queue list"},
		{"vera", "vera", "", []string{"reload"}, 4, "needs the right system.change"},
		{"vera", "vera", "", []string{"user", "add", "mallory", "--role", "owner"}, 4, "needs the right users.change"},
		{ownerName, ownerName, "", []string{"reload"}, 0, ""},
		{ownerName, ownerName, "nonsense = [", []string{"policy", "check", "-"}, 1, "syntax error"},
		{ownerName, ownerName, "", []string{"policy", "check", secret}, 1, "files of the gateway cannot be named"},
		{ownerName, ownerName, "", []string{"policy", "check", "--config", state, "-"}, 2, "not defined: -config"},
		{ownerName, ownerName, "", []string{"backup", "create", "--to", "/tmp/x"}, 2, "works at the machine"},
		{ownerName, ownerName, "", []string{"cat", secret}, 2, "there is no command"},
		{ownerName, ownerName, "", []string{"status; cat " + secret}, 2, "there is no shell here"},
		{ownerName, ownerName, "", []string{"status $(cat " + secret + ")"}, 2, "there is no shell here"},
		{ownerName, ownerName, "version\nexit\n", []string{"-T"}, 0, "gatepost "},
		{ownerName, "vera", "", []string{"status"}, 255, "Permission denied (publickey)"},
		{"vera", ownerName, "", []string{"status"}, 255, "Permission denied (publickey)"},
		{"root", ownerName, "", []string{"status"}, 255, "Permission denied (publickey)"},
	} {
		if said, code := c.run(x.user, x.key, x.in, x.args...); code != x.code || !strings.Contains(said, x.want) {
			t.Errorf("%s with the key of %s, %q: %d, %s", x.user, x.key, x.args, code, said)
		}
	}
	audit := w.tells(t, "audit", "list", "--json")
	for _, want := range []string{`"via":"ssh"`, `"operation":"reload"`, `"operation":"login failed"`, "vera at home"} {
		if !strings.Contains(audit, want) {
			t.Errorf("not in the audit log: %s", want)
		}
	}
	c.goes(w)
}

// goes shows that somebody who is in is out once the key is removed, and comes in no more.
func (c *sshClient) goes(w *world) {
	t := c.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	in := c.command(ctx, "vera", "vera", "-T")
	typed, err := in.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	shown, err := in.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := typed.Write([]byte("version\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := shown.Read(make([]byte, 1)); err != nil { // she is in
		t.Fatal(err)
	}
	list := w.tells(t, "ssh", "key", "list", "--user", "vera")
	id := ""
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "vera" {
			id = f[0]
		}
	}
	began := time.Now()
	w.command(t, 0, "ssh", "key", "remove", id)
	if err := in.Wait(); err == nil || ctx.Err() != nil {
		t.Errorf("she is in for %s without a key: %v", time.Since(began), err)
	}
	if said, code := c.run("vera", "vera", "", "status"); code != 255 {
		t.Errorf("she comes in: %d, %s", code, said)
	}
}

// byPage has the owner add her key at the page of her account.
func (c *sshClient) byPage(b *browserOf) {
	t := c.t
	t.Helper()
	key, err := os.ReadFile(filepath.Join(c.dir, ownerName+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	token := b.ask("GET", "/account", nil).part(t, `name="form" value="([^"]+)"`)
	for _, x := range []struct {
		key  string
		code int
		want string
	}{{"ssh-rsa AAAA", http.StatusBadRequest, "is no public key of SSH"}, {string(key), http.StatusSeeOther, ""}, {string(key), http.StatusConflict, "this key already"}} {
		if a := b.ask("POST", "/account/keys", url.Values{"form": {token}, "key": {x.key}, "name": {""}}); a.code != x.code || !strings.Contains(a.body, x.want) {
			t.Errorf("%.40q: %d %s", x.key, a.code, a.body)
		}
	}
	page := html.UnescapeString(b.ask("GET", "/account", nil).body)
	if shown := strings.Fields(c.tool("ssh-keygen", "-l", "-f", filepath.Join(c.dir, "known")))[1]; !strings.Contains(page, shown) || !strings.Contains(page, ownerName+" at home") {
		t.Errorf("neither the key of the gateway nor hers is shown: %s", page)
	}
}
