package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings shows each key with its place and its default, and no secret.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{BootstrapFile: "hostname = \"mx.example.org\"\nstate_dir = \"" + dir + "\"\n[web]\nconsole = \"\"\n[[listener]]\nname = \"smtp\"\naddresses = [\"127.0.0.1:2525\"]\n",
		PolicyFile: "[[domain]]\nname = \"example.org\"\nroute = \"in\"\n[[route]]\nname = \"in\"\nnext_hop = [{ host = \"inner.example.org\" }]\n[alarms.webhook]\nurl = \"https://chat.example.net/hooks/very-secret\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := Load(dir, nil)
	if c == nil {
		t.Fatal(problems)
	}
	bootstrap, policy := Settings(c)
	if len(bootstrap) < 50 || len(policy) < 30 {
		t.Errorf("%d and %d keys", len(bootstrap), len(policy))
	}
	all := map[string]Setting{}
	for _, s := range append(bootstrap, policy...) {
		all[s.Key] = s
		if strings.Contains(s.Value+s.Default, "very-secret") {
			t.Errorf("%s shows a secret", s.Key)
		}
	}
	for key, want := range map[string]Setting{"hostname": {Value: `"mx.example.org"`, Where: BootstrapFile + ":1", Default: all["hostname"].Default}, "listener.smtp.addresses": {Value: `["127.0.0.1:2525"]`, Where: BootstrapFile + ":7", Default: "[]"},
		"domain.example.org.route": {Value: `"in"`, Where: PolicyFile + ":3"}, "route.in.tls": {Value: `"opportunistic"`, Default: `"opportunistic"`}, "alarms.webhook.url": {Value: Hidden, Where: PolicyFile + ":8"}, "mode": {Value: all["mode"].Default, Default: all["mode"].Default}} {
		want.Key = key
		if got := all[key]; got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
}
