package postfix

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzConfig reads hostile documents: nothing may panic, run away, or be read outside of the folder.
func FuzzConfig(f *testing.F) {
	f.Add(expansions, "smtp inet n - y - 1 postscreen\n -o { a = b } -o c=d\n", "example.org x\n")
	f.Add("a = $b$b\nb = $c$c\nc = $a$a\nrelay_domains = hash:/etc/postfix/t, /etc/postfix/t, $a\n", "x", "/etc/postfix/t\n/a/i x\n")
	f.Add("transport_maps = regexp:t, cidr:t, inline:{ {a=b}, c=d }, static:{x}\nsmtpd_recipient_restrictions = a, check_client_access cidr:t\nsmtpd_restriction_classes = a\na = a", "", "if !/x/\n/(/ y\nendif\nendif\n!10.0.0.0/8 z\n")
	f.Fuzz(func(t *testing.T, main, master, table string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"main.cf": main, "master.cf": master, "t": table} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		c, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range c.Names() {
			if v := c.Value(name); len(v) > maxText {
				t.Errorf("%s has %d octets", name, len(v))
			}
			c.List(name)
		}
		c.Restrictions(nil)
		c.Sites()
		for _, ref := range []string{"hash:t", "regexp:t", "cidr:t"} {
			table := c.Table(ref, Place{})
			for _, key := range []string{"example.org", "192.0.2.1", "::1", ""} {
				table.Lookup(key)
			}
			for _, e := range table.Entries {
				Literal(e.Key)
				ParseTransport(e.Value)
				ParseZone(e.Value)
			}
		}
		_, _, _ = c.RouteOf("user", "a.example.org")
		for _, fault := range c.Faults {
			if len(fault.What) > 210 {
				t.Errorf("a fault shows %d octets", len(fault.What))
			}
		}
	})
}

// TestFilesStayInside shows that nothing but regular files of the folder is read, however it is named.
func TestFilesStayInside(t *testing.T) {
	_, dir := loaded(t, map[string]string{"main.cf": "", "master.cf": "", "plain": "text"})
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("plain", filepath.Join(dir, "near")); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(MaxFile + 1); err != nil {
		t.Fatal(err)
	}
	large.Close()
	mkfifo(t, filepath.Join(dir, "pipe"))
	f, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, good := range map[string]bool{"/etc/postfix/plain": true, filepath.Join(dir, "plain"): true, "plain": true, "near": true, "link": false, outside: false,
		"../outside": false, "/etc/postfix/../passwd": false, "/etc/passwd": false, "pipe": false, "large": false, "/dev/zero": false, ".": false, "none": false} {
		_, data, err := f.Read(path)
		if (err == nil) != good || good && string(data) != "text" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}

// TestRootIsLookedInto shows that with a root the other paths of a configuration are those below it.
func TestRootIsLookedInto(t *testing.T) {
	_, dir := loaded(t, map[string]string{"main.cf": "", "master.cf": ""})
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/domains"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if name, data, err := f.Read("/etc/domains"); name != "/etc/domains" || string(data) != "a" || err != nil {
		t.Error(name, data, err)
	}
}
