package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/lab/dnslab"
)

// TestListKeys: whatever the file of a key is, check tells the key's place and never what it read.
func TestListKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "list.key")
	policy := servesOne + "[rbl]\nuse = \"commercial\"\n[[rbl.list]]\nname = \"abusix\"\nkey_file = \"" + file + "\"\n"
	config := documents(t, "", policy)
	for _, c := range []struct {
		what string
		make func() error
		want string // "" for usable
	}{
		{"not there", func() error { return nil }, "rbl.list[abusix].key_file: stat " + file + ": no such file"},
		{"a key", func() error { return os.WriteFile(file, []byte("  S3cret-Key\n"), 0o600) }, ""},
		{"empty", func() error { return os.WriteFile(file, nil, 0o600) }, "rbl.list[abusix].key_file: rbl: a key is 1 to 63 letters"},
		{"two words", func() error { return os.WriteFile(file, []byte("s3cret key"), 0o600) }, "this one of 10 octets is not"},
		{"huge", func() error { return os.WriteFile(file, []byte(strings.Repeat("s3cret", 1<<20)), 0o600) }, "this one of 1024 octets is not"},
		{"a folder", func() error { return os.Mkdir(file, 0o700) }, "is no regular file"},
		{"a pipe", func() error { return syscall.Mkfifo(file, 0o600) }, "is no regular file"},
	} {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := gatepost(t, "check", "--config", config)
		if (code == cli.Done) != (c.want == "") || !strings.Contains(errOut, c.want) || strings.Contains(strings.ToLower(out+errOut), "s3cret") {
			t.Errorf("%s: exit %d, %s%s", c.what, code, out, errOut)
		}
	}
}

// TestListsLive: check --live proves each list through the resolver of the document, and rbl test shows what each answers.
func TestListsLive(t *testing.T) {
	names := dnslab.New(t, dnslab.Text("2.0.0.127.well.example. A 127.0.0.2\n9.100.51.198.well.example. A 127.0.0.2\n"+
		"9.100.51.198.well.example. TXT \"why it is\"\n2.0.0.127.mute.example. A 127.255.255.254\n"))
	policy := servesOne + "[rbl]\nuse = \"commercial\"\n"
	for _, name := range []string{"well", "mute"} {
		policy += fmt.Sprintf("[[rbl.own]]\nname = %q\nzone = \"%s.example\"\n[[rbl.own.rule]]\nanswer = \"127.0.0.2\"\nlabel = \"bad\"\nweight = 10\n", name, name)
	}
	dir := documents(t, fmt.Sprintf("[dns]\nservers = [%q]\n[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", names.Addr()),
		policy+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n")
	_, out, errOut := gatepost(t, "check", "--live", "--config", dir)
	for _, want := range []string{"ok   list          well                         its test points answer as they should",
		"FAIL list          mute                         unarmed: error code test point 127.0.0.2: error code 127.255.255.254: an error code"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %q in\n%s%s", want, out, errOut)
		}
	}
	code, out, errOut := gatepost(t, "rbl", "test", "198.51.100.9", "--config", dir)
	for _, want := range []string{"listed     well                 127.0.0.2 bad (10)\n", "it says: why it is\n", "not listed mute",
		"NOT USED for mail, since it does not prove that it works: error code", "1 of 2 lists are used for mail, and their weights are 10 together"} {
		if code != cli.Found || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in\n%s%s", code, want, out, errOut)
		}
	}
	if _, out, _ = gatepost(t, "rbl", "test", "bad.example", "--config", dir); !strings.Contains(out, "no list of the policy is asked about bad.example") {
		t.Errorf("%s", out)
	}
}

// TestReloadKeepsLists: what is known of a list outlives a reload that names it again, whatever comes beside it; and a policy that
// cannot be used changes nothing.
func TestReloadKeepsLists(t *testing.T) {
	list := func(names ...string) *config.Config {
		p := config.BuiltinPolicy(sections())
		p.RBL.Use = "non-commercial"
		for _, n := range names {
			p.RBL.Lists = append(p.RBL.Lists, config.RBLList{Name: n})
		}
		return &config.Config{Policy: p}
	}
	p := &parts{}
	first, err := makeLists(list("spamcop"), p)
	if err != nil {
		t.Fatal(err)
	}
	p.lists.Store(first)
	if again, err := makeLists(list("spamcop"), p); err != nil || again != first {
		t.Errorf("the same lists are other ones: %v", err)
	}
	more, err := makeLists(list("psbl", "spamcop"), p)
	if err != nil || more == first || len(more.Status(time.Now())) != 2 {
		t.Errorf("two lists: %v", err)
	}
	if _, err := makeLists(list("psbl", "psbl"), p); err == nil || p.lists.Load() != first {
		t.Errorf("a list twice: %v", err)
	}
	none := list("spamcop")
	none.Policy.RBL.Use = ""
	if l, err := makeLists(none, p); l != nil || err != nil {
		t.Errorf("without a use: %v %v", l, err)
	}
}
