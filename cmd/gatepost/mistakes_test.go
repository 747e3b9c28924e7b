package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// TestMistakes makes mistakes about content checks as people make them who have not read much, and wants each told with file,
// line, key and what to write instead.
func TestMistakes(t *testing.T) {
	const site = "[[route]]\nname = \"internal\"\nnext_hop = [{ host = \"192.0.2.25\" }]\n[[domain]]\nname = \"example.org\"\nroute = \"internal\"\n"
	for _, x := range []struct{ policy, bootstrap, want string }{
		{policy: "[checks.attachments]\naction = \"reject\"",
			want: `policy.toml:8:1: checks.attachments.action: "attachments" is no check, but 6 of them; write it below [checks.attachments.active], and likewise of attachments.archive,`},
		{policy: "[checks.attachments.type]\ndeny = [\"exe\"]",
			want: `policy.toml:8:9: checks.attachments.type.deny: "exe" is no group of types; as an extension it belongs in extensions; its group is "executable"`},
		{policy: "[checks.attachments.type]\nextensions = [\"*.XLL\"]",
			want: `policy.toml:8:15: checks.attachments.type.extensions: "*.XLL" is no extension; write "xll", in lower case and without a dot`},
		{policy: "[checks.attachments.name]\ndeny = [\"^.*[.]exe$\"]",
			want: `policy.toml:8:9: checks.attachments.name.deny: "^.*[.]exe$" reads like a regular expression, and would match no name; write a name, with * for any text`},
		{policy: "[checks.impersonation.person]\npeople = [\"jane@example.org\"]",
			want: `policy.toml:8:11: checks.impersonation.person.people: "jane@example.org" has no name, and the name is what strangers use; write first and last name,`},
		{policy: "[[rule]]\nname = \"x\"\ncheck = [\"macro\"]\naction = \"strip\"",
			want: `policy.toml:9:10: rule[x].check: there is no check "macro"; gatepost explain checks lists them`},
		{policy: "[[rule]]\nname = \"x\"\ntrust = [\"unknown\"]\naction = \"accept\"\nbanner = \"extern\"",
			want: `policy.toml:11:1: rule[x].banner: there is no banner "extern"; write a [[banner]] of that name`},
		{policy: "[[group]]\nname = \"finance\"\nfile = \"/nonexistent/finance.txt\"",
			want: `policy.toml:9:1: group.finance.file: stat /nonexistent/finance.txt: no such file or directory; name a file that the user of the daemon can read`},
		{policy: "[quarantine]\naction = \"delete\"", want: `policy.toml:8:1: quarantine.action: "delete" is not a value of this key; write one of "keep", "mark"`},
		{policy: "[[route]]\nname = \"reports\"\nkind = \"report\"\nnext_hop = [{ host = \"192.0.2.1\" }]",
			want: `policy.toml:10:1: route[reports].next_hop: the mail of a route with kind = "report" ends here; remove it, or write kind = "relay"`},
		{policy: "[unpack]\nmemory = \"1G\"", want: `policy.toml:7:2: unpack: belongs in gatepost.toml; move it there`},
		{bootstrap: "[unpack]\ntimeout = \"10s\"", want: `gatepost.toml:3:1: unpack.timeout: unknown key; did you mean time?`},
		{bootstrap: "[[milter]]\nname = \"m\"\naddresses = [\"inet:8891@localhost\"]",
			want: `gatepost.toml:4:14: milter[m].addresses: "inet:8891@localhost" is not how an address is written here; write "127.0.0.1:8891"`},
		{bootstrap: "[[hook]]\nname = \"crm\"\nurl = \"http://127.0.0.1:1/\"\nsecret_file = \"/nonexistent/s\"",
			want: `gatepost.toml:5:1: hook.crm.secret_file: open /nonexistent/s: no such file or directory; write the path of a file that the user of the daemon can read`},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{config.PolicyFile: site + x.policy, config.BootstrapFile: "hostname = \"mx.example.org\"\n" + x.bootstrap} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, said := gatepost(t, "check", "--config", dir); code != cli.Found || !strings.Contains(said, dir+"/"+x.want) {
			t.Errorf("%s%s\nexit code %d, says\n%swant\n%s", x.policy, x.bootstrap, code, said, x.want)
		}
	}
}
