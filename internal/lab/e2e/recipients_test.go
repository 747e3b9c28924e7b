package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/directory"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// sources asks who says which recipients exist.
func (w *world) sources(t *testing.T, exit int, words ...string) (list []directory.Status) {
	t.Helper()
	out, errOut, code, err := w.daemon.Command(t.Context(), append(append([]string{"recipients"}, words...), "--json")...)
	if err != nil || code != exit {
		t.Fatalf("recipients %v: %v, exit %d: %s%s", words, err, code, out, errOut)
	}
	var s struct {
		Directories []directory.Status `json:"directories"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err, out)
	}
	return s.Directories
}

// rcpt tells what a stranger is answered for a recipient.
func (w *world) rcpt(t *testing.T, to string) string {
	t.Helper()
	c := w.hello(t)
	defer c.conn.Close()
	c.want("250", "MAIL FROM:<alice@example.org>")
	return strings.TrimSpace(c.say("RCPT TO:<" + to + ">"))
}

func (w *world) wantRcpts(t *testing.T, want map[string]string) {
	t.Helper()
	for to, code := range want {
		if got := w.rcpt(t, to); !strings.HasPrefix(got, code) {
			t.Errorf("%s: %s, want %s", to, got, code)
		}
	}
}

// TestDirectory has a real OpenLDAP server with a schema like Active Directory's say who exists: over TLS and after
// StartTLS, by pages, while it is away and over a restart, and not when it lost most of its entries.
func TestDirectory(t *testing.T) {
	t.Parallel()
	var entries strings.Builder
	entries.WriteString(lab.SlapdPerson("ann", "mail: ann@served.test", "proxyAddresses: SMTP:Ann.Other@served.test", "proxyAddresses: smtp:ann.old@served.test",
		"proxyAddresses: X500:/o=Example/cn=ann", "proxyAddresses: sip:ann.sip@served.test", "mailLocalAddress: ann.local@served.test", "userAccountControl: 512"))
	entries.WriteString(lab.SlapdPerson("gone", "mail: gone@served.test", "userAccountControl: 514"))
	entries.WriteString("dn: cn=team," + lab.SlapdBase + "\nobjectClass: groupOfNames\nobjectClass: adLike\ncn: team\nmember: cn=ann," + lab.SlapdBase + "\nmail: team@served.test\n\n")
	entries.WriteString(lab.SlapdPerson("nomail"))
	for i := range 1200 { // more than six times what it gives at once
		entries.WriteString(lab.SlapdPerson(fmt.Sprintf("u%d", i), fmt.Sprintf("mail: u%d@served.test", i)))
	}
	ldap := labtest.Slapd(t, lab.SlapdOptions{Entries: entries.String()})
	folder := labtest.Dir(t)
	password := filepath.Join(folder, "password")
	if err := os.WriteFile(password, []byte(lab.SlapdPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	about := func(name, server, more string) string {
		return fmt.Sprintf("[[directory]]\nname = %q\nkind = \"ldap\"\nservers = [%q]\nserver_name = %q\nca_file = %q\nbase = %q\nbind_dn = %q\npassword_file = %q\n%s\n",
			name, server, lab.SlapdName, ldap.Certificate, lab.SlapdBase, lab.SlapdReader, password, more)
	}
	w := newWorld(t, setup{policy: about("tls", "ldaps://"+ldap.TLSAddr, "skip_disabled = true") +
		about("starttls", "ldap://"+ldap.Addr, "schema = \"openldap\"\nattributes = [\"mailLocalAddress\"]\n"),
		routes: []route{{name: "internal", domains: []string{"served.test"}, lines: "recipients = \"directory\"\ndirectories = [\"tls\", \"starttls\"]"}}})
	w.policy = strings.Replace(w.policy, "name = \"served.test\"\n", "name = \"served.test\"\nsubaddress = \"+\"\n", 1)
	w.start(t)
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		list := w.statuses(t)
		if len(list) == 2 && list[0].OK() && list[1].OK() {
			if list[0].Addresses != 1204 || list[1].Addresses != 1 || !strings.Contains(list[0].Told, "1 disabled accounts were left out") {
				t.Errorf("%+v", list)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the directories were not read: %+v\n%s", list, w.daemon.Log())
		}
	}
	exist := map[string]string{"ann@served.test": "250", "ANN.other@served.test": "250", "ann.old@served.test": "250", "ann.local@served.test": "250", "team@served.test": "250",
		"u1199@served.test": "250", "ann+news@served.test": "250", "ann.sip@served.test": "550 5.1.1", "nobody@served.test": "550 5.1.1", "gone@served.test": "550 5.1.1",
		"postmaster@served.test": "250"}
	w.wantRcpts(t, exist)
	if got := w.hello(t).deliver("team@served.test", "to the team"); !got.accepted() {
		t.Error(got.last())
	}

	if err := ldap.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.sources(t, 1, "sync") {
		if s.OK() || !s.Ready || s.Error == "" {
			t.Errorf("while it is away: %+v", s)
		}
	}
	w.wantRcpts(t, exist)
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.wantRcpts(t, exist)
	for _, s := range w.statuses(t) {
		if !s.FromCopy || s.Read.IsZero() {
			t.Errorf("after a restart: %+v", s)
		}
	}

	if err := ldap.Load(t.Context(), lab.SlapdPerson("ann", "mail: ann@served.test")+lab.SlapdPerson("new", "mail: new@served.test", "mailLocalAddress: new.local@served.test")); err != nil {
		t.Fatal(err)
	}
	if err := ldap.Restart(labtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if s := w.sources(t, 1, "sync", "tls"); len(s) != 1 || !s[0].HeldBack || s[0].Held != 2 || s[0].Addresses != 1204 {
		t.Errorf("after it lost nearly all: %+v", s)
	}
	w.wantRcpts(t, exist)
	if s := w.sources(t, 0, "sync", "tls", "--force"); len(s) != 1 || !s[0].OK() || s[0].Addresses != 2 {
		t.Errorf("forced: %+v", s)
	}
	w.wantRcpts(t, map[string]string{"ann@served.test": "250", "new@served.test": "250", "team@served.test": "550 5.1.1"})
	var said strings.Builder
	for _, args := range [][]string{{"config", "print"}, {"status"}, {"recipients", "show", "ann@served.test"}, {"check", "--live"}, {"log", "search", "--json"}} {
		out, errOut, _, err := w.daemon.Command(t.Context(), args...)
		if err != nil {
			t.Error(err)
		}
		said.WriteString(out + errOut)
	}
	if text := said.String() + w.daemon.Log(); strings.Contains(text, lab.SlapdPassword) || !strings.Contains(text, "tls has it") {
		t.Errorf("the password was told, or not who has whom: %s", text)
	}
}

// statuses lists the directories, whatever their state.
func (w *world) statuses(t *testing.T) []directory.Status {
	t.Helper()
	out, errOut, code, err := w.daemon.Command(t.Context(), "recipients", "directories", "--json")
	var s struct {
		Directories []directory.Status `json:"directories"`
	}
	if err == nil && code <= 1 {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil {
		t.Fatal(err, code, errOut)
	}
	return s.Directories
}

// TestRecipientsRemembered: what call-ahead learned, and what was imported, is known after a restart while the next hop is
// away; what was forgotten is not.
func TestRecipientsRemembered(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{routes: []route{{name: "internal", domains: []string{"served.test"}, lines: "when_down = \"spool\""}}})
	w.wantRcpts(t, map[string]string{"one@served.test": "250", "two@served.test": "250"})
	table := filepath.Join(labtest.Dir(t), "old.csv")
	if err := os.WriteFile(table, []byte("Name;Mail\nThree;three@served.test\nX;x@elsewhere.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(exit int, want string, words ...string) {
		t.Helper()
		out, errOut, code, err := w.daemon.Command(t.Context(), append([]string{"recipients"}, words...)...)
		if err != nil || code != exit || !strings.Contains(out+errOut, want) {
			t.Errorf("recipients %v: %v, exit %d: %s%s, want %q", words, err, code, out, errOut, want)
		}
	}
	run(0, "1 of 2 recipients are known", "import", "--csv", table, "--separator", "semicolon", "--column", "mail")
	run(1, "old.csv:1: ", "import", "--csv", table, "--separator", "semicolon", "--column", "4")
	run(0, "1 answer is forgotten", "forget", "TWO@served.test")
	run(1, "0 answers", "forget", "two@served.test")
	run(0, "one@served.test", "show", "one@served.test")
	run(1, "550 5.7.1", "show", "x@elsewhere.test")
	run(0, "three@served.test", "show", "--all")
	run(2, "write an ADDRESS", "show")
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.hop(t).Close()
	w.offers = "-"
	w.start(t)
	w.wantRcpts(t, map[string]string{"one@served.test": "250", "two@served.test": "451", "three@served.test": "250"})
}

// TestAcceptsEverybody: check --live finds a next hop whose yes is worth nothing, and says what to do.
func TestAcceptsEverybody(t *testing.T) {
	t.Parallel()
	for _, everyone := range []bool{true, false} {
		hop := labtest.NextHop(t, lab.NextHopOptions{Everyone: everyone})
		if !everyone {
			hop.On("RCPT <postmaster@served.test>", lab.Action{Bytes: []byte("550 5.1.1 Who?\r\n")})
		}
		w := begin(t, setup{routes: []route{{name: "internal", domains: []string{"served.test"}, addr: hop.Addr()}}})
		out, errOut, _, err := w.daemon.Command(t.Context(), "check", "--live")
		if err != nil || !strings.Contains(out, "warn recipients    served.test") || strings.Contains(out, "takes every recipient of served.test") != everyone ||
			strings.Contains(out, "does not take mail for postmaster@served.test") == everyone {
			t.Errorf("everyone %v: %v, %s%s", everyone, err, out, errOut)
		}
	}
}
