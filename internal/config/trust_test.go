package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// DANE is refused where a resolver's word does not count, and only there.
func TestUntrusted(t *testing.T) {
	for _, tt := range []struct {
		dns, tls string
		refused  string
	}{
		{"", "dane", ""},
		{"servers = [\"127.0.0.1\", \"[::1]:5353\", \"127.9.9.9:53\"]", "dane-only", ""},
		{"servers = [\"127.0.0.1\", \"192.0.2.1\"]", "dane", "as dns.servers has 192.0.2.1:53, whose word does not count, nothing"},
		{"servers = [\"[2001:db8::1]:53\"]", "dane-only", "as dns.servers has [2001:db8::1]:53,"},
		{"servers = [\"192.0.2.1\"]", "required", ""},
		{"servers = [\"192.0.2.1\"]\ntrust_ad = \"all\"", "dane", ""},
		{"servers = [\"127.0.0.1\"]\ntrust_ad = \"none\"", "dane", `with dns.trust_ad = "none" nothing`},
		{"trust_ad = \"none\"", "opportunistic", ""},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{BootstrapFile: "hostname = \"mx.example.org\"\n[dns]\n" + tt.dns + "\n",
			PolicyFile: "[[route]]\nname = \"in\"\ntls = \"" + tt.tls + "\"\nnext_hop = [{ host = \"mail.example.org\" }]\n[[domain]]\nname = \"example.org\"\nroute = \"in\"\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, problems := Load(dir, nil)
		text := ""
		for _, p := range problems {
			text += p.String() + "\n"
		}
		if (c == nil) != (tt.refused != "") || !strings.Contains(text, tt.refused) || c == nil && !strings.Contains(text, "policy.toml:3:1: route[in].tls: ") {
			t.Errorf("%s with %s: %s", tt.tls, tt.dns, text)
		}
	}
}
