package packages

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// TestContainerfile holds what the Containerfile names against what is there: the program's commands, the files, the ports of its
// document; and that it runs as nobody, with nothing around it.
func TestContainerfile(t *testing.T) {
	program, err := lab.BuildPlain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(repository, "Containerfile"))
	all := func(instruction string) (out []string) {
		for _, m := range regexp.MustCompile(`(?m)^`+instruction+` (.*)$`).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		return out
	}
	if from := all("FROM"); !slices.Equal(from, []string{"${GO} AS build", "scratch"}) {
		t.Errorf("it is made from %q", from)
	}
	if args := all("ARG"); len(args) == 0 || !strings.HasPrefix(args[0], "GO=golang:"+goVersion(t)) {
		t.Errorf("it is built in %q, and go.mod asks for %s", args, goVersion(t))
	}
	if user := all("USER"); !slices.Equal(user, []string{"10025:10025"}) || strings.Count(text, "chown 10025:10025 /image/var/lib/gatepost") != 1 {
		t.Errorf("the user is %q", user)
	}
	if volume := all("VOLUME"); !slices.Equal(volume, []string{"/var/lib/gatepost"}) {
		t.Errorf("the volume is %q", volume)
	}
	folder := filepath.Join(repository, "cmd/gatepost-package/container")
	if !strings.Contains(text, "cp cmd/gatepost-package/container/gatepost.toml /image/etc/gatepost/gatepost.toml") {
		t.Error("it has no document")
	}
	ports := map[string]bool{}
	for _, m := range regexp.MustCompile(`:(\d+)"`).FindAllStringSubmatch(read(t, filepath.Join(folder, "gatepost.toml")), -1) {
		ports[m[1]] = true
	}
	for port := range strings.FieldsSeq(strings.Join(all("EXPOSE"), " ")) {
		if !ports[port] {
			t.Errorf("port %s is nobody's", port)
		}
		delete(ports, port)
	}
	if len(ports) > 0 {
		t.Errorf("ports %v are not exposed", ports)
	}
	if out := run(t, program, "check", "--config", folder); !strings.Contains(out, "can be used") {
		t.Errorf("check says %s", out)
	}
	health := regexp.MustCompile(`CMD \["/usr/bin/gatepost", "(\w+)", "(--\w+)"\]`).FindStringSubmatch(text)
	if health == nil || !strings.Contains(run(t, program, health[1], "--help"), health[2]) {
		t.Errorf("the program has no %q", health)
	}
	if command := all("CMD"); !slices.Equal(command, []string{`["serve"]`}) || !slices.Equal(all("ENTRYPOINT"), []string{`["/usr/bin/gatepost"]`}) {
		t.Errorf("it starts %q", command)
	}
}

// goVersion is the one that go.mod asks for, without the last number.
func goVersion(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, filepath.Join(repository, "go.mod")))
	if m == nil {
		t.Fatal("go.mod asks for no Go")
	}
	return m[1]
}
