package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/issuer"
	"gatepost/internal/lab/labtest"
)

// TestConsoleOutside: people of a real slapd and of an issuer of OpenID Connect come in by a browser, as what their groups say; who is
// in no group does not, and an issuer that is away is told of while the directory lets in as ever.
func TestConsoleOutside(t *testing.T) {
	t.Parallel()
	ldap := labtest.Slapd(t, lab.SlapdOptions{Entries: lab.SlapdPerson("dora", "uid: dora", "userPassword: "+operatorPassword, "mail: dora@served.test") + lab.SlapdGroup("helpers", "dora")})
	id, err := issuer.Start(map[string]map[string]any{"emil-1": {"preferred_username": "emil", "groups": []string{"auditors"}}, "none-1": {"preferred_username": "none", "groups": []string{"others"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = id.Close() })
	folder := labtest.Dir(t)
	secret := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	w := begin(t, setup{console: "127.0.0.1:0", routes: []route{{name: "internal", domains: []string{"served.test"}}}, bootstrap: fmt.Sprintf(`
[login.ldap]
schema = "openldap"
servers = ["ldap://%s"]
server_name = %q
ca_file = %q
base = %q
bind_dn = %q
password_file = %q
group_base = %q
[login.oidc]
issuer = %q
client_id = %q
client_secret_file = %q
label = "the company"
[[login.group]]
group = "CN=Helpers, dc=example,dc=org"
role = "help-desk"
domains = ["served.test"]
[[login.group]]
group = "auditors"
role = "auditor"
`, ldap.Addr, lab.SlapdName, ldap.Certificate, lab.SlapdBase, lab.SlapdReader, secret("ldap", lab.SlapdPassword), lab.SlapdBase, id.URL, issuer.ClientID, secret("oidc", issuer.Secret))})
	_, port, err := net.SplitHostPort(w.consoleAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	w.owner(t)
	b := labtest.StartBrowser(t, lab.BrowserOptions{Base: "https://" + net.JoinHostPort(hostname, port)})
	at := strings.TrimPrefix(id.URL, "http://")
	var who, said, wrong, unknown string
	b.Step("outside.directory", map[string]any{"name": "Dora", "password": operatorPassword, "look": true}, &who)
	if !strings.Contains(who, "dora") || !strings.Contains(who, "help-desk") {
		t.Errorf("by the directory: %q", who)
	}
	b.Step("login.wrong", map[string]any{"name": "dora", "password": "wrong"}, &wrong)
	b.Step("login.wrong", map[string]any{"name": "nobody-has-it", "password": "wrong"}, &unknown)
	if wrong != unknown || wrong == "" {
		t.Errorf("%q and %q", wrong, unknown)
	}
	b.Step("outside.issuer", map[string]any{"at": at, "subject": "emil-1"}, &who)
	if !strings.Contains(who, "emil") || !strings.Contains(who, "auditor") {
		t.Errorf("by the issuer: %q", who)
	}
	b.Step("outside.refused", map[string]any{"at": at, "subject": "none-1", "status": 403}, &said)
	if !strings.Contains(said, "No group of this account may sign in here") {
		t.Errorf("without a group: %q", said)
	}
	b.Step("outside.refused", map[string]any{"at": at, "subject": "Nobody", "status": 401}, &said)
	if !strings.Contains(said, "proves nobody") {
		t.Errorf("the issuer said no: %q", said)
	}
	out, _, _, err := w.daemon.Command(t.Context(), "user", "list")
	if err != nil || !strings.Contains(out, "of ldap") || !strings.Contains(out, "of oidc") || strings.Contains(out, "none") && strings.Contains(out, "others") {
		t.Errorf("%v: %s", err, out)
	}
	if err := id.Close(); err != nil {
		t.Error(err)
	}
	out, _, _, err = w.daemon.Command(t.Context(), "check", "--live")
	if err != nil || !strings.Contains(out, "the issuer does not answer") || strings.Contains(out, "the directory does not answer") {
		t.Errorf("%v: %s", err, out)
	}
}
