// Package packages shows what the packages of scripts/package do to a host: they are installed, upgraded, removed and purged by dpkg
// and rpm themselves, in trees of their own.
package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gatepost/internal/lab"
)

const repository = "../../.."

// made are the packages of two versions, and of the first once more.
type made struct{ first, again, next string }

// TestPackages makes packages as scripts/package does, twice the same, and has dpkg and rpm use them.
func TestPackages(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("dpkg and rpm give files to owners: as root")
	}
	program, err := lab.BuildPlain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := made{t.TempDir(), t.TempDir(), t.TempDir()}
	for dir, version := range map[string]string{m.first: "0.1", m.again: "0.1", m.next: "0.2"} {
		run(t, filepath.Join(repository, "scripts/package"), "--arch", "amd64", "--program", program, "--version", version, "--out", dir)
	}
	if a, b := read(t, filepath.Join(m.first, "gatepost-0.1.sums")), read(t, filepath.Join(m.again, "gatepost-0.1.sums")); a != b {
		t.Errorf("two runs make different packages:\n%s%s", a, b)
	}
	t.Run("content", func(t *testing.T) { content(t, deb(m.first, "0.1")) })
	t.Run("dpkg", func(t *testing.T) { lifeOfDeb(t, m) })
	t.Run("rpm", func(t *testing.T) { lifeOfRPM(t, m) })
}

func deb(dir, version string) string { return filepath.Join(dir, "gatepost_"+version+"-1_amd64.deb") }
func rpm(dir, version string) string { return filepath.Join(dir, "gatepost-"+version+"-1.x86_64.rpm") }

// content looks at the list of files: of root, nothing that others may write, no setuid, all below folders that are ours to fill.
func content(t *testing.T, file string) {
	seen := map[string]bool{}
	line := regexp.MustCompile(`^([-dl])([-rwxsStT]{9}) (\S+) +\d+ \S+ \S+ \./(\S+)`)
	for _, l := range strings.Split(strings.TrimSpace(run(t, "dpkg-deb", "-c", file)), "\n") {
		p := line.FindStringSubmatch(l)
		if p == nil || p[1] == "l" || p[3] != "root/root" || p[2][7] == 'w' || strings.ContainsAny(p[2], "sStT") {
			t.Errorf("must not be in a package: %s", l)
			continue
		}
		seen[p[4]] = true
		ours := slices.ContainsFunc([]string{"etc/gatepost/", "usr/bin/gatepost", "usr/lib/systemd/system/gatepost", "usr/lib/sysusers.d/gatepost.conf",
			"usr/lib/tmpfiles.d/gatepost.conf", "usr/share/gatepost/", "usr/share/doc/gatepost/", "usr/share/man/man8/gatepost.8.gz"},
			func(prefix string) bool { return strings.HasPrefix(p[4], prefix) })
		if p[1] != "d" && !ours {
			t.Errorf("what is %s?", p[4])
		}
	}
	for _, want := range []string{"usr/share/doc/gatepost/copyright", "usr/share/doc/gatepost/operating.md", "usr/share/doc/gatepost/examples/policy.toml",
		"usr/share/gatepost/hardening/clamav-daemon.service.d/zz-gatepost.conf", "usr/share/gatepost/hardening/scanners.slice", "usr/share/man/man8/gatepost.8.gz"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
	for name := range seen {
		if unit := filepath.Base(name); strings.HasPrefix(name, "usr/lib/") && regexp.MustCompile("appliance|update|screen|health|booted").MatchString(unit) {
			t.Errorf("%s is of the appliance", name)
		}
	}
	for _, field := range []string{"Recommends: ca-certificates, clamav-daemon, clamav-freshclam, spamd", "redis-server, unbound\n", "Depends: systemd (>= 252)"} {
		if !strings.Contains(run(t, "dpkg-deb", "-f", file), field) {
			t.Errorf("the control file has no %q", field)
		}
	}
}

// lifeOfDeb: from the first installation to the end. The scripts run on this machine, for the tree that DPKG_ROOT names.
func lifeOfDeb(t *testing.T, m made) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "var/log", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "", 0o644)
	write(t, filepath.Join(root, "var/lib/dpkg/available"), "", 0o644)
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\n", 0o644)
	dpkg := func(args ...string) string {
		t.Helper()
		return run(t, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-unsafe-io", "--force-depends", "--force-confdef", "--force-confold"}, args...)...)
	}
	document, state := filepath.Join(root, "etc/gatepost/gatepost.toml"), filepath.Join(root, "var/lib/gatepost")

	if out := dpkg("-i", deb(m.first, "0.1")); !strings.Contains(out, "gatepost: not started.") {
		t.Errorf("nobody is told what to do: %s", out)
	}
	user := strings.Split(regexp.MustCompile(`(?m)^gatepost:.*$`).FindString(read(t, filepath.Join(root, "etc/passwd"))), ":")
	if len(user) != 7 || user[5] != "/var/lib/gatepost" || user[6] != "/usr/sbin/nologin" {
		t.Fatalf("the user is %q", user)
	}
	sameUnits(t, root)
	if links := enabled(t, root); len(links) > 0 {
		t.Errorf("a first installation enables %q", links)
	}
	is(t, filepath.Dir(document), "0750", "0", user[3])
	is(t, document, "0640", "0", user[3])
	is(t, state, "0700", user[2], user[3])
	if out := run(t, filepath.Join(root, "usr/bin/gatepost"), "check", "--config", filepath.Dir(document)); !strings.Contains(out, "can be used") {
		t.Errorf("check says %s", out)
	}

	// The administrator's work, and an upgrade.
	write(t, document, "hostname = \"mx.example.org\"\n", 0)
	write(t, filepath.Join(filepath.Dir(document), "policy.toml"), "mode = \"soft\"\n", 0o644)
	run(t, "systemctl", "--root="+root, "enable", "gatepost.service")
	write(t, filepath.Join(state, "spool/q/0a/M.msg"), "mail that waits", 0o600)
	write(t, filepath.Join(state, "vault/M"), "doubtful mail", 0o600)
	dpkg("-i", deb(m.next, "0.2"))
	if read(t, document) != "hostname = \"mx.example.org\"\n" {
		t.Error("an upgrade changed the administrator's document")
	}
	is(t, document, "0640", "0", user[3])
	if !slices.Contains(enabled(t, root), "multi-user.target.wants/gatepost.service") {
		t.Errorf("after an upgrade only %q is enabled", enabled(t, root))
	}

	dpkg("-r", "gatepost")
	if !gone(filepath.Join(root, "usr/bin/gatepost")) || gone(document) || gone(filepath.Join(state, "vault/M")) {
		t.Error("removing takes the program, and neither documents nor data")
	}
	if out := dpkg("-P", "gatepost"); !strings.Contains(out, "mail that waits") {
		t.Errorf("nobody is told of the mail: %s", out)
	}
	if gone(filepath.Join(state, "spool/q/0a/M.msg")) || !gone(filepath.Join(state, "vault")) || !gone(document) || gone(filepath.Join(filepath.Dir(document), "policy.toml")) {
		t.Error("purging takes all but mail that waits and what the administrator wrote")
	}
	if links := enabled(t, root); len(links) > 0 {
		t.Errorf("purging leaves %q", links)
	}

	// Where nothing waits, nothing stays but the user.
	if err := os.RemoveAll(filepath.Join(root, "etc/gatepost")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(state, "spool")); err != nil {
		t.Fatal(err)
	}
	dpkg("-i", deb(m.next, "0.2"))
	dpkg("-P", "gatepost")
	for _, name := range []string{"etc/gatepost", "usr/bin", "usr/share", "usr/lib/systemd/system", "var/lib/gatepost"} {
		if !gone(filepath.Join(root, name)) {
			t.Errorf("purging leaves %s", name)
		}
	}
}

// lifeOfRPM: rpm's scripts want a whole tree, so that they are only read by a shell; all else is done.
func lifeOfRPM(t *testing.T, m made) {
	root := t.TempDir()
	tool := func(args ...string) string {
		t.Helper()
		return run(t, "rpm", append([]string{"--root", root}, args...)...)
	}
	nodeps := func(args ...string) { t.Helper(); tool(append(args, "--nodeps", "--noscripts")...) }
	if out := run(t, "rpm", "-K", "--nosignature", rpm(m.first, "0.1")); !strings.Contains(out, "digests OK") {
		t.Errorf("rpm -K says %s", out)
	}
	if out := run(t, "rpm", "-qp", "--nosignature", "--recommends", rpm(m.first, "0.1")); out != "ca-certificates\nclamd\nspamassassin\n(redis or valkey)\nunbound\n" {
		t.Errorf("it recommends %q", out)
	}
	for _, part := range regexp.MustCompile(`(?m)^\w+ scriptlet .*:$`).Split(run(t, "rpm", "-qp", "--nosignature", "--scripts", rpm(m.first, "0.1")), -1) {
		cmd := exec.CommandContext(t.Context(), "sh", "-n")
		cmd.Stdin = strings.NewReader(part)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sh -n: %v %s", err, out)
		}
	}
	nodeps("-i", "--test", rpm(m.first, "0.1"))
	nodeps("-i", rpm(m.first, "0.1"))
	sameUnits(t, root)
	tool("-V", "--nodeps", "gatepost")
	document := filepath.Join(root, "etc/gatepost/gatepost.toml")
	write(t, document, "hostname = \"mx.example.org\"\n", 0)
	nodeps("-U", rpm(m.next, "0.2"))
	if read(t, document) != "hostname = \"mx.example.org\"\n" {
		t.Error("an upgrade changed the administrator's document")
	}
	if out := tool("-q", "gatepost"); !strings.HasPrefix(out, "gatepost-0.2-1") {
		t.Errorf("installed is %s", out)
	}
	nodeps("-e", "gatepost")
	if !gone(filepath.Join(root, "usr/bin/gatepost")) || read(t, document+".rpmsave") != "hostname = \"mx.example.org\"\n" {
		t.Error("removing takes the program, and sets the administrator's document aside")
	}
}

// sameUnits holds the units of a tree against those of rootfs, which others of our tests look at.
func sameUnits(t *testing.T, root string) {
	t.Helper()
	list := regexp.MustCompile(`(?m)^gatepost\S+$`).FindAllString(read(t, filepath.Join(repository, "cmd/gatepost-package/units")), -1)
	if len(list) < 5 {
		t.Fatalf("the list of units is %q", list)
	}
	for _, name := range append(list, "../../sysusers.d/gatepost.conf") {
		if read(t, filepath.Join(root, "usr/lib/systemd/system", name)) != read(t, filepath.Join(repository, "rootfs/usr/lib/systemd/system", name)) {
			t.Errorf("%s is not that of rootfs", name)
		}
	}
}

// enabled are the links that start something of ours.
func enabled(t *testing.T, root string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*/gatepost*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = strings.TrimPrefix(all[i], filepath.Join(root, "etc/systemd/system")+"/")
	}
	return all
}

// is looks at mode and owners, in digits.
func is(t *testing.T, path, mode, owner, group string) {
	t.Helper()
	if got := strings.TrimSpace(run(t, "stat", "-c", "0%a %u %g", path)); got != mode+" "+owner+" "+group {
		t.Errorf("%s is %s, want %s %s %s", path, got, mode, owner, group)
	}
}

// run runs a program to its end, in the order that it says things, and returns all of it.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &out)
	}
	return out.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write makes a file with its folders; with no mode, a file that is there keeps its own.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if mode == 0 {
		mode = 0o600
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return err != nil && err.(*os.PathError).Err == syscall.ENOENT
}
