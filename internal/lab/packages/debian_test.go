//go:build debian

package packages

import (
	"debug/elf"
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var tree = flag.String("debian", "", "a tar of a Debian 12 with systemd, init-system-helpers and lintian")

// TestInDebian builds the packages of both architectures as they would be given to others, installs one in a whole Debian with the
// dpkg and the scripts that are there, starts what can be started without systemd, and has lintian look.
func TestInDebian(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	run(t, "tar", "-C", root, "-xpf", *tree, "--numeric-owner")
	run(t, filepath.Join(repository, "scripts/package"), "--version", "0.1", "--out", out)
	for name, machine := range map[string]elf.Machine{"gatepost_0.1-1_amd64.deb": elf.EM_X86_64, "gatepost_0.1-1_arm64.deb": elf.EM_AARCH64} {
		dir := t.TempDir()
		run(t, "dpkg-deb", "-x", filepath.Join(out, name), dir)
		f, err := elf.Open(filepath.Join(dir, "usr/bin/gatepost"))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine || f.Section(".interp") != nil {
			t.Errorf("the program of %s is for %s, and whether it is static: %v", name, f.Machine, f.Section(".interp") == nil)
		}
		f.Close()
	}
	in := func(args ...string) string {
		t.Helper()
		return run(t, "chroot", append([]string{root}, args...)...)
	}
	run(t, "cp", deb(out, "0.1"), filepath.Join(root, "tmp/gatepost.deb"))
	before := in("find", "/etc", "/usr", "/var/lib", "-path", "/var/lib/dpkg", "-prune", "-o", "-print")
	in("dpkg", "-i", "/tmp/gatepost.deb")
	if got := in("stat", "-c", "%A %U %G", "/etc/gatepost", "/etc/gatepost/gatepost.toml"); got != "drwxr-x--- root gatepost\n-rw-r----- root gatepost\n" {
		t.Errorf("owners and modes: %s", got)
	}
	if got := in("gatepost", "check"); !strings.Contains(got, "can be used") {
		t.Errorf("check says %s", got)
	}
	for _, unit := range []string{"gatepost.service", "gatepost-firewall.service"} {
		in("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/"+unit)
	}
	in("systemd-analyze", "security", "--offline=yes", "--threshold=15", "gatepost.service")
	in("systemctl", "enable", "gatepost.socket", "gatepost.service")
	in("dpkg", "-i", "/tmp/gatepost.deb")
	in("dpkg", "-P", "gatepost")
	after := in("find", "/etc", "/usr", "/var/lib", "-path", "/var/lib/dpkg", "-prune", "-o", "-print")
	known := map[string]bool{}
	for _, path := range strings.Fields(before) {
		known[path] = true
	}
	for _, path := range strings.Fields(after) {
		if !known[path] && !strings.HasSuffix(path, "-") && path != "/etc/.pwd.lock" && !strings.HasPrefix(path, "/var/lib/systemd/deb-systemd-helper") {
			t.Errorf("a purge leaves %s", path)
		}
	}
	// A static program is what Go makes; where the licences of others say Apache, that is said once more.
	t.Log(in("lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error",
		"--suppress-tags", "statically-linked-binary,copyright-file-contains-full-apache-2-license", "/tmp/gatepost.deb"))
}

// TestContainer builds the container by buildah, in an image made of the Debian and the Go that are here, and starts it: it serves as
// its own user, and its health check finds it alive.
func TestContainer(t *testing.T) {
	builder := strings.TrimSpace(run(t, "buildah", "from", "scratch"))
	t.Cleanup(func() { cleanUp(t, "buildah", "rm", builder) })
	root := strings.TrimSpace(run(t, "buildah", "mount", builder))
	run(t, "tar", "-C", root, "-xpf", *tree, "--numeric-owner")
	run(t, "cp", "-a", strings.TrimSpace(run(t, "go", "env", "GOROOT")), filepath.Join(root, "usr/local/go"))
	run(t, "install", "-D", "/etc/ssl/certs/ca-certificates.crt", filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	run(t, "buildah", "config", "--env", "PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin", builder)
	run(t, "buildah", "commit", "--quiet", builder, "gatepost-test-go")
	run(t, "buildah", "bud", "--isolation", "chroot", "--layers=false", "--format", "docker", "--build-arg", "GO=localhost/gatepost-test-go", "--build-arg", "VERSION=0.1",
		"--volume", strings.TrimSpace(run(t, "go", "env", "GOMODCACHE"))+":/root/go/pkg/mod", "--volume", strings.TrimSpace(run(t, "go", "env", "GOCACHE"))+":/root/.cache/go-build",
		"-t", "gatepost-test", repository)
	t.Cleanup(func() { cleanUp(t, "buildah", "rmi", "--force", "gatepost-test", "gatepost-test-go") })
	made := strings.TrimSpace(run(t, "buildah", "from", "localhost/gatepost-test"))
	t.Cleanup(func() { cleanUp(t, "buildah", "rm", made) })
	document := filepath.Join(t.TempDir(), "gatepost.toml")
	write(t, document, "hostname = \"mx.example.org\"\n[[listener]]\nname = \"smtp\"\naddresses = [\"127.0.0.1:0\"]\n[web]\nconsole = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\n", 0o644)
	run(t, "chmod", "644", document)
	daemon := exec.CommandContext(t.Context(), "buildah", "run", "--isolation", "chroot", "--volume", document+":/etc/gatepost/gatepost.toml:ro", made, "--", "/usr/bin/gatepost", "serve")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Signal(syscall.SIGTERM); daemon.Wait() })
	health := []string{"run", "--isolation", "chroot", made, "--", "/usr/bin/gatepost", "status", "--alive"}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		out, err := exec.CommandContext(t.Context(), "buildah", health...).CombinedOutput()
		if err == nil && strings.Contains(string(out), "gatepost 0.1 on mx.example.org") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not alive: %v %s", err, out)
		}
	}
	if got := run(t, "buildah", "inspect", "--format", "{{.Docker.Config.User}} {{.Docker.Config.ExposedPorts}}", made); !strings.HasPrefix(got, "10025:10025 map[2525/tcp:{} 8443/tcp:{}]") {
		t.Errorf("the image says %s", got)
	}
}

// cleanUp cleans up, when the test's own context is over.
func cleanUp(t *testing.T, name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Logf("%s %v: %v %s", name, args, err, out)
	}
}
