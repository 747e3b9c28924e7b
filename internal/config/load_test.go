package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	goodBootstrap = "hostname = \"mx.example.org\"\n"
	goodPolicy    = "[[domain]]\nname = \"example.org\"\nroute = \"in\"\n[[route]]\nname = \"in\"\nnext_hop = [{ host = \"192.0.2.1\" }]\n"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadFolder(t *testing.T) {
	dir := t.TempDir()
	bootstrap, policy := write(t, dir, BootstrapFile, goodBootstrap), write(t, dir, PolicyFile, goodPolicy)
	for _, path := range []string{dir, bootstrap} {
		c, problems := Load(path, testSections())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if c.BootstrapPath != bootstrap || c.PolicyPath != policy || c.Bootstrap.Hostname != "mx.example.org" || len(c.Policy.Domains) != 1 {
			t.Errorf("Load(%s) = %+v", path, c)
		}
		if c.PolicyVersion != Version([]byte(goodPolicy)) || len(c.PolicyVersion) != 12 {
			t.Errorf("version %q", c.PolicyVersion)
		}
	}
}

func TestLoadNothing(t *testing.T) {
	dir := t.TempDir()
	c, problems := Load(dir, testSections())
	if problems.Refused() {
		t.Fatal(problems)
	}
	if c.PolicyVersion != BuiltinVersion || c.PolicyPath != "" || c.BootstrapPath != "" || len(c.Policy.Domains) != 0 || len(c.Policy.Checks) != 6 {
		t.Errorf("got %+v", c)
	}
	want := filepath.Join(dir, PolicyFile) + ": warning: is missing, so no domain is served; write it; gatepost policy default prints one to begin with"
	if !strings.Contains(problems.Error(), want) {
		t.Errorf("got %s\nwant %s", problems, want)
	}
	if name, err := os.Hostname(); err == nil && !strings.EqualFold(c.Bootstrap.Hostname, name) {
		t.Errorf("hostname %q, the machine is %q", c.Bootstrap.Hostname, name)
	}
}

func TestLoadRefuses(t *testing.T) {
	const help = "; check the path and the rights of the user gatepost"
	for name, test := range map[string]struct {
		bootstrap, policy string // "dir": a folder of that name
		path              string // below the folder
		want              []string
	}{
		"named and missing":     {path: "other.toml", want: []string{"/other.toml: cannot be read: no such file or directory" + help}},
		"bootstrap is a folder": {bootstrap: "dir", want: []string{"/gatepost.toml: cannot be read: not a regular file" + help}},
		"policy is a folder":    {bootstrap: goodBootstrap, policy: "dir", want: []string{"/policy.toml: cannot be read: not a regular file" + help}},
		"both are bad": {bootstrap: "x = 1\n", policy: "mode = 1\n", want: []string{
			"/gatepost.toml:1:1: x: unknown key; gatepost explain lists the keys of a table",
			`/policy.toml:1:1: mode: 1 is a whole number, not text; write one of "observe", "soft", "enforce"`}},
		"too large": {bootstrap: strings.Repeat("# x\n", MaxFile/4+1), want: []string{"/gatepost.toml: the file is larger than 1 MiB; check that it is the right file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{BootstrapFile: test.bootstrap, PolicyFile: test.policy} {
				switch text {
				case "":
				case "dir":
					if err := os.Mkdir(filepath.Join(dir, file), 0o700); err != nil {
						t.Fatal(err)
					}
				default:
					write(t, dir, file, text)
				}
			}
			c, problems := Load(filepath.Join(dir, test.path), testSections())
			if c != nil {
				t.Error("a configuration in spite of problems")
			}
			var got []string
			for _, p := range problems {
				if !p.Warning {
					got = append(got, strings.TrimPrefix(p.String(), dir))
				}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestWhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, PolicyFile, goodPolicy+"[checks.spf]\naction = \"tag\"\nreasons.\"spf.only\" = \"tag\"\nprices = { fail = 1 }\n"+
		"[[domain]]\nname = \"Bücher.example\"\nroute = \"in\"\n")
	c, problems := Load(dir, testSections())
	if problems.Refused() {
		t.Fatal(problems)
	}
	want := Where{"domain.example.org.name": "policy.toml:2", "domain.example.org.route": "policy.toml:3", "route.in.name": "policy.toml:5",
		"route.in.next_hop": "policy.toml:6", "checks.spf.action": "policy.toml:8", "checks.spf.reasons.spf.only": "policy.toml:9",
		"checks.spf.prices.fail": "policy.toml:10"}
	for _, name := range []string{"Bücher.example", "xn--bcher-kva.example"} { // as written, and as it is known
		want["domain."+name+".name"], want["domain."+name+".route"] = "policy.toml:12", "policy.toml:13"
	}
	if !reflect.DeepEqual(c.Where, want) {
		t.Errorf("got  %v\nwant %v", c.Where, want)
	}
}

func TestBootstrapWhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, BootstrapFile, "hostname = \"mx.example.org\"\n[dns]\ntrust_ad = \"all\"\n")
	c, problems := Load(dir, testSections())
	if problems.Refused() {
		t.Fatal(problems)
	}
	if want := (Where{"hostname": "gatepost.toml:1", "dns.trust_ad": "gatepost.toml:3"}); !reflect.DeepEqual(c.BootstrapAt, want) {
		t.Errorf("got  %v\nwant %v", c.BootstrapAt, want)
	}
}

func TestMachineName(t *testing.T) {
	c := &Config{Bootstrap: &Bootstrap{Hostname: "mx.example.org"}}
	if ps := c.machineName("gatepost.toml"); len(ps) > 0 || c.Bootstrap.Hostname != "mx.example.org" {
		t.Errorf("a written name is touched: %q, %v", c.Bootstrap.Hostname, ps)
	}
	c.Bootstrap.Hostname = ""
	ps := c.machineName("gatepost.toml")
	_, bad := checkHostname(c.Bootstrap.Hostname)
	if (bad != nil) != (len(ps) == 1 && ps[0].Warning) {
		t.Errorf("name %q, problems %v", c.Bootstrap.Hostname, ps)
	}
}
