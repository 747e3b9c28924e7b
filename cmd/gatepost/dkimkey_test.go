package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/lab/dnslab"
)

// TestDKIMKey makes a key, shows it, and follows what DNS has of it.
func TestDKIMKey(t *testing.T) {
	at := "gatepost1._domainkey.example.org"
	key := func(extra string, records ...string) string {
		zone := ""
		for _, r := range records {
			zone += at + ". TXT " + r + "\n"
		}
		lab := dnslab.New(t, dnslab.Text(zone))
		return documents(t, "[dns]\nservers = [\""+lab.Addr()+"\"]\n", extra+servesOne)
	}
	names := []string{"--domain", "Example.ORG", "--selector", "gatepost1"}
	for _, kind := range []string{"rsa-2048", "ed25519"} {
		dir := key("")
		name := filepath.Join(dir, "state", "dkim", at+".pem")
		code, out, errOut := gatepost(t, append([]string{"dkim", "key", "make", "--type", kind, "--config", dir}, names...)...)
		if code != cli.Done || !strings.HasPrefix(out, at+". IN TXT (\n\t\"v=DKIM1; k=") || !strings.Contains(errOut, name) {
			t.Fatalf("exit %d\nout: %s\nerr: %s", code, out, errOut)
		}
		for _, s := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(out, -1) {
			if len(s[1]) > 255 {
				t.Errorf("a string of %d octets", len(s[1]))
			}
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		left, err := os.ReadDir(filepath.Dir(name))
		if err != nil || len(left) != 1 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		before, _ := os.ReadFile(name)
		code, _, errOut = gatepost(t, append([]string{"dkim", "key", "make", "--config", dir}, names...)...)
		after, _ := os.ReadFile(name)
		if code != cli.Found || !strings.Contains(errOut, "is there already") || string(before) != string(after) {
			t.Errorf("a second time: exit %d, %s", code, errOut)
		}
		code, shown, errOut := gatepost(t, append([]string{"dkim", "key", "show", "--config", dir}, names...)...)
		if code != cli.Found || shown != out || !strings.Contains(errOut, "not published") {
			t.Errorf("exit %d\nout: %s\nerr: %s", code, shown, errOut)
		}
		code, told, _ := gatepost(t, append([]string{"dkim", "key", "show", "--json", "--config", dir}, names...)...)
		var k signingKey
		if err := json.Unmarshal([]byte(told), &k); err != nil || code != cli.Found || k.State != "missing" || k.Name != at || k.File != name {
			t.Errorf("exit %d, %v, %s", code, err, told)
		}
		// The same key under a DNS that has it, in the policy's own place.
		policy := "[arc]\nseal = \"changed\"\ndomain = \"example.org\"\nselector = \"gatepost1\"\nkey = \"" + name + "\"\n"
		record := strings.ReplaceAll(out[strings.Index(out, "(")+1:strings.LastIndex(out, ")")], "\n\t", " ")
		for _, tt := range []struct {
			records []string
			code    int
			state   string
		}{
			{[]string{record}, cli.Done, "published: DNS has this key"},
			{[]string{record, `"v=spf1 -all"`}, cli.Done, "published: DNS has this key"},
			{[]string{`"v=DKIM1; p="`}, cli.Found, "DNS has another record"},
			{[]string{record, `"v=DKIM1; p="`}, cli.Found, "and another one too"},
		} {
			code, _, errOut := gatepost(t, "dkim", "key", "show", "--config", key(policy, tt.records...))
			if code != tt.code || !strings.Contains(errOut, tt.state) {
				t.Errorf("with %.60q: exit %d, %s", tt.records, code, errOut)
			}
		}
	}
}

func TestDKIMKeyMistakes(t *testing.T) {
	dir := documents(t, "[dns]\nservers = [\"127.0.0.1:1\"]\n", servesOne)
	for _, tt := range []struct {
		args string
		code int
		err  string
	}{
		{"make", 2, `--domain "" is no name; write for example`},
		{"make --domain example.org", 2, `--selector "" is no name`},
		{"make --domain ../etc --selector a", 2, `--domain "../etc" is no name`},
		{"make --domain a/b --selector ..", 2, "is no name"},
		{"make --domain example.org --selector a --type dsa", 2, `--type: key: "dsa" is neither rsa-2048 nor ed25519`},
		{"show --domain example.org --selector a", 1, "make one with gatepost dkim key make --domain example.org --selector a"},
		{"show --domain example.org --selector " + strings.Repeat("a.", 120) + "a", 2, "too long together"},
	} {
		args := append([]string{"dkim", "key"}, strings.Fields(tt.args)...)
		if code, out, errOut := gatepost(t, append(args, "--config", dir)...); code != tt.code || !strings.Contains(errOut, tt.err) || out != "" {
			t.Errorf("%s: exit %d, %s%s", tt.args, code, out, errOut)
		}
	}
}

// TestCheckSealingKey: check tells where the policy names a key that cannot be used, and what to write.
func TestCheckSealingKey(t *testing.T) {
	dir := documents(t, "", "")
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	arc := "[arc]\nseal = \"changed\"\ndomain = \"example.org\"\nselector = \"a\"\n"
	policy := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "policy.toml"), []byte(text+servesOne), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(code int, want string) {
		t.Helper()
		got, _, errOut := gatepost(t, "check", "--config", dir)
		if got != code || !strings.Contains(errOut, want) {
			t.Errorf("exit %d, want %d and %q:\n%s", got, code, want, errOut)
		}
	}
	policy(arc)
	check(cli.Found, "policy.toml:4:1: arc.selector: the private key cannot be used: stat "+filepath.Join(dir, "state", "dkim", "a._domainkey.example.org.pem")+
		": no such file or directory; write the path of a key in PEM that the user of the daemon can read, or make one with gatepost dkim key make --domain example.org --selector a")
	policy(arc + "key = \"" + junk + "\"\n")
	check(cli.Found, "policy.toml:5:1: arc.key: the private key cannot be used: "+junk+": key: no PEM in it; write the path")
	policy(arc)
	if code, _, errOut := gatepost(t, "dkim", "key", "make", "--config", dir, "--type", "ed25519"); code != cli.Done {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	check(cli.Done, "can be used")
	lab := dnslab.New(t, dnslab.Text("example.com. MX 10 mail.example.com.\n"))
	live := documents(t, "[dns]\nservers = [\""+lab.Addr()+"\"]\n[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n",
		arc+"key = \""+filepath.Join(dir, "state", "dkim", "a._domainkey.example.org.pem")+"\"\n[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"+servesOne)
	if code, out, errOut := gatepost(t, "check", "--live", "--config", live); code != cli.Found || !strings.Contains(out, "FAIL arc key       a._domainkey.example.org") || !strings.Contains(out, "not published") {
		t.Errorf("--live: exit %d\n%s%s", code, out, errOut)
	}
	policy(arc + "[checks.arc]\naction = \"off\"\n")
	check(cli.Found, `policy.toml:2:1: arc.seal: needs the check arc; write another action than "off" in [checks.arc]`)
}
