package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPublishedCopy shows that a copy is read as it was written, and that one of which the disk spoiled any octet is not used.
func TestPublishedCopy(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadPublished(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("none: %v", err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	want := Published{Number: 12, Epoch: 30, Time: now, Author: "anna", Kind: "publish", Text: "mode = \"soft\" # <&>ü\n", Confirm: now.Add(time.Minute), Back: 11, Before: "mode = \"enforce\"\n"}
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, PublishedFile, string(text))
	got, err := ReadPublished(dir)
	if err != nil {
		t.Fatal(err)
	}
	want.Sum = got.Sum
	if *got != want {
		t.Errorf("%+v\n%+v", *got, want)
	}
	for i := range text {
		bad := append([]byte{}, text...)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := ReadPublished(dir); err == nil {
			p.Sum = want.Sum
			if *p != want { // the case of a hexadecimal digit and the name of a key of JSON may differ
				t.Errorf("octet %d (%q): %+v", i, bad, p)
			}
		}
	}
	for n := range text {
		if err := os.WriteFile(path, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPublished(dir); err == nil {
			t.Errorf("the first %d octets were taken", n)
		}
	}
}

// TestPublishedInForce shows that a version which nobody confirmed in time is not started with.
func TestPublishedInForce(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		p    Published
		want int64
	}{
		"plain":        {Published{Number: 3, Back: 2}, 3},
		"waits":        {Published{Number: 3, Back: 2, Confirm: now.Add(time.Second)}, 3},
		"lapsed":       {Published{Number: 3, Back: 2, Confirm: now}, 2},
		"nowhere back": {Published{Number: 3, Confirm: now}, 3},
	} {
		if got, _ := c.p.InForce(now); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// TestLoadPublished shows that a version that was published counts in place of policy.toml, whatever is wrong with that, under a
// name of its own; that a copy which is damaged is refused with what to do; and that the files themselves can still be read.
func TestLoadPublished(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, BootstrapFile, goodBootstrap+"state_dir = \""+dir+"\"\n")
	write(t, dir, PolicyFile, "mod = 1\n")
	if c, _ := Load(dir, testSections()); c != nil {
		t.Fatal("policy.toml was taken")
	}
	lapsed := Published{Number: 8, Text: "mode = \"observe\"\n", Back: 7, Before: goodPolicy + "mode = 1\n", Confirm: time.Now().Add(-time.Second)}
	for name, c := range map[string]struct {
		p    Published
		file string
		text string
		want string
	}{
		"good":   {Published{Number: 7, Text: goodPolicy}, "policy-7.toml", goodPolicy, ""},
		"lapsed": {lapsed, "", "", "policy-7.toml:7:1: "},
	} {
		text, err := c.p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, PublishedFile, string(text))
		got, problems := Load(dir, testSections())
		if c.want != "" {
			if got != nil || !strings.Contains(problems.Error(), c.want) {
				t.Errorf("%s: %v", name, problems)
			}
			continue
		}
		if got == nil || !got.Version || got.PolicyPath != c.file || string(got.PolicyText) != c.text || got.PolicyVersion != Version([]byte(c.text)) || got.Where["domain.example.org.route"] != c.file+":3" {
			t.Errorf("%s: %+v %v", name, got, problems)
		}
		if same, more := got.WithVersion(8, []byte("mode = \"soft\"\n"), testSections()); same == nil || same.Policy.Mode != ModeSoft || same.Bootstrap != got.Bootstrap || got.Policy.Mode == ModeSoft || same.PolicyPath != "policy-8.toml" {
			t.Errorf("another version: %+v %v", same, more)
		}
		if bad, more := got.WithVersion(8, []byte("mod = \"soft\"\n"), testSections()); bad != nil || !strings.HasPrefix(more.Error(), "policy-8.toml:1:1: mod: ") {
			t.Errorf("a bad version: %v", more)
		}
	}
	if c, _ := LoadFiles(dir, testSections()); c != nil {
		t.Error("the files were not read")
	}
	if got := PolicyBeside(filepath.Join(dir, BootstrapFile)); string(got) != "mod = 1\n" {
		t.Errorf("beside: %q", got)
	}
	write(t, dir, PolicyFile, goodPolicy)
	write(t, dir, PublishedFile, "{}")
	c, problems := Load(dir, testSections())
	want := filepath.Join(dir, PublishedFile) + ": is damaged: its sum is another; move it away to start with policy.toml: what was published comes back as soon as the store of the control data can be read"
	if c != nil || problems.Error() != want {
		t.Errorf("damaged: %v", problems)
	}
}
