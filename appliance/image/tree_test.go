package image

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makeTree is a small root in which nothing is wrong, and its table of users.
func makeTree(t *testing.T) (root, users string) {
	t.Helper()
	root = t.TempDir()
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nredis:x:201:201::/:/usr/sbin/nologin\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\nredis:x:201:\njournal:x:220:\n", 0o644)
	write(t, filepath.Join(root, "usr/bin/ls"), "", 0o755)
	write(t, filepath.Join(root, "usr/lib/gcc/README"), "", 0o644)
	for _, d := range covered() {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere", filepath.Join(root, "etc/link")); err != nil {
		t.Fatal(err)
	}
	users = filepath.Join(t.TempDir(), "users")
	write(t, users, "# fixed\ngroup journal 220\nuser redis 201 /var/lib/redis journal\n", 0o644)
	return root, users
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // the umask does not count
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, root string)
		want  string // "" for nothing wrong; else each line begins one of ours
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"setuid", func(t *testing.T, root string) { write(t, root+"/usr/bin/mount", "", 0o755|os.ModeSetuid) }, "/usr/bin/mount: setuid or setgid"},
		{"setgid folder", func(t *testing.T, root string) {
			if err := os.Chmod(root+"/usr/lib", 0o755|os.ModeSetgid); err != nil {
				t.Fatal(err)
			}
		}, "/usr/lib: setuid or setgid"},
		{"everybody's", func(t *testing.T, root string) { write(t, root+"/etc/open", "", 0o666) }, "/etc/open: everybody may write it"},
		{"sticky is still everybody's", func(t *testing.T, root string) {
			if err := os.Chmod(root+"/tmp", 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		}, "/tmp: everybody may write it"},
		{"compiler with a version", func(t *testing.T, root string) { write(t, root+"/usr/bin/gcc-12", "", 0o755) }, "/usr/bin/gcc-12: a compiler"},
		{"package manager", func(t *testing.T, root string) { write(t, root+"/usr/local/sbin/dpkg", "", 0o755) }, "/usr/local/sbin/dpkg: a compiler, package manager"},
		{"a file of that name elsewhere", func(t *testing.T, root string) { write(t, root+"/usr/share/bash/make", "", 0o644) }, ""},
		{"nobody's", func(t *testing.T, root string) {
			if err := os.Lchown(root+"/usr/bin/ls", 4711, 4712); err != nil {
				t.Fatal(err)
			}
		}, "/usr/bin/ls: owned by group 4712\n/usr/bin/ls: owned by user 4711"},
		{"below a mount", func(t *testing.T, root string) { write(t, root+"/run/lock/left", "", 0o644) }, "/run/lock: lies below /run"},
		{"socket", func(t *testing.T, root string) {
			l, err := net.Listen("unix", root+"/usr/s")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "/usr/s: a device, pipe or socket"},
		{"a preset that starts nothing", func(t *testing.T, root string) {
			write(t, root+"/usr/lib/systemd/system/a.service", "", 0o644)
			write(t, root+"/usr/lib/systemd/system-preset/50-gatepost.preset", "# all\nenable a.service\nenable b.service\ndisable *\n", 0o644)
		}, "/usr/lib/systemd/system-preset/50-gatepost.preset: there is no unit b.service"},
		{"another number", func(t *testing.T, root string) {
			write(t, root+"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nredis:x:101:201::/:/usr/sbin/nologin\n", 0o644)
		}, "/etc/passwd: redis has number 101; the table says 201"},
		{"nobody gave the number", func(t *testing.T, root string) {
			write(t, root+"/etc/group", "root:x:0:\nredis:x:201:\njournal:x:220:\nkvm:x:104:\n", 0o644)
		}, "/etc/group: kvm has number 104 and is not in the table of users"},
		{"missing, and a number twice", func(t *testing.T, root string) {
			write(t, root+"/etc/group", "root:x:0:\nredis:x:201:\nother:x:201:\n", 0o644)
		}, "/etc/group: journal of the table of users is missing\n/etc/group: other has number 201 and is not\n/etc/group: redis and other have the same number 201"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, users := makeTree(t)
			c.spoil(t, root)
			found, err := Check(root, users)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "\n")
			}
			if len(found) != len(want) {
				t.Fatalf("found %q, want %q", found, want)
			}
			for i := range want {
				if !strings.HasPrefix(found[i], want[i]) {
					t.Errorf("found %q, want %q", found[i], want[i])
				}
			}
		})
	}
}

func TestUsersTable(t *testing.T) {
	if _, err := readTable("users"); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"user a 201\n":                          ":1: write \"user NAME ID HOME [GROUP...]\"",
		"group g 220\nuser a x /\n":             ":2: x: write a number",
		"user a 1000 /\n":                       "write a number from 101 to 999",
		"user a 201 /\nuser b 201 /\n":          ":2: b has the number of a",
		"user a 201 / later\ngroup later 220\n": ":1: the group later must stand further up",
		"nonsense\n":                            ":1: write",
	} {
		file := filepath.Join(t.TempDir(), "users")
		write(t, file, text, 0o644)
		if _, err := readTable(file); !strings.Contains(errorText(err), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// The shells that run them must be able to read them.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) < 4 {
		t.Fatal(scripts, err)
	}
	for _, s := range scripts {
		if out, err := exec.Command("bash", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", s, err, out)
		}
	}
	if out, err := exec.Command("sh", "-n", "init").CombinedOutput(); err != nil {
		t.Errorf("init: %v: %s", err, out)
	}
}
