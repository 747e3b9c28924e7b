package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A digest whose links lead nowhere is refused; one without links, or a page without a digest, is not. A domain has its own times.
func TestLinkless(t *testing.T) {
	const page = "[web]\nportal = [\"127.0.0.1:8444\"]\nportal_url = \"https://q.example.org:8444\"\n"
	for _, tt := range []struct {
		name, bootstrap, policy, domain string
		refused                         bool
		at                              []string
	}{
		{"off", "", "", "", false, nil},
		{"no page", "", "[quarantine.digest]\nat = [\"07:00\"]\n", "", true, nil},
		{"no page, one domain", "", "", "digest = [\"07:00\"]\n", true, nil},
		{"a name and no listener", strings.Replace(page, "portal =", "public_http =", 1), "[quarantine.digest]\nat = [\"07:00\"]\n", "", true, nil},
		{"no links", "", "[quarantine.digest]\nat = [\"07:00\"]\nlinks = false\n", "", false, []string{"07:00"}},
		{"a page", page, "[quarantine.digest]\nat = [\"07:00\"]\n", "", false, []string{"07:00"}},
		{"its own times", page, "[quarantine.digest]\nat = [\"07:00\"]\n", "digest = [\"8:30\"]\n", false, []string{"08:30"}},
		{"none there", page, "[quarantine.digest]\nat = [\"07:00\"]\n", "digest = []\n", false, []string{}},
		{"only a page", page, "", "", false, nil},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{BootstrapFile: "hostname = \"mx.example.org\"\n" + tt.bootstrap,
			PolicyFile: tt.policy + "[[route]]\nname = \"in\"\nnext_hop = [{ host = \"mail.example.org\" }]\n[[domain]]\nname = \"example.org\"\nroute = \"in\"\n" + tt.domain} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, problems := Load(dir, nil)
		if (c == nil) != tt.refused || tt.refused && !strings.Contains(problems.Err().Error(), "quarantine.digest.links: there is no page that links of a digest could lead to; write portal = ") {
			t.Errorf("%s: %v", tt.name, problems)
			continue
		}
		if c != nil && !slices.Equal(c.Policy.DigestAt(&c.Policy.Domains[0]), tt.at) {
			t.Errorf("%s: %v", tt.name, c.Policy.DigestAt(&c.Policy.Domains[0]))
		}
	}
}
