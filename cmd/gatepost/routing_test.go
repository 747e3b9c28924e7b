package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// TestRoutingCases runs every testdata/routing/NN-name.txt: a comment that says what it shows, and parts that begin with a
// line "-- NAME --":
//
//	policy     policy.toml; a line "include common" stands for the routes and domains of common.toml there
//	aliases    the file of aliases
//	refused    what check says: the documents are not used
//	ADDRESS, ADDRESS   what gatepost route says of them
//
// Paths of the test are written FOLDER.
func TestRoutingCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/routing/*.txt")
	if len(files) < 15 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runRoutingCase(t, string(text))
		})
	}
}

func runRoutingCase(t *testing.T, text string) {
	folder := t.TempDir()
	plain := func(s string) string { return strings.ReplaceAll(s, folder, "FOLDER") }
	common, err := os.ReadFile("testdata/routing/common.toml")
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	for i, part := range strings.Split(text, "\n-- ") {
		if i == 0 {
			continue
		}
		name, body, _ := strings.Cut(part, " --\n")
		body = strings.ReplaceAll(strings.TrimRight(body, "\n")+"\n", "FOLDER", folder)
		var out, told bytes.Buffer
		switch name {
		case "policy":
			body = strings.Replace(body, "include common\n", string(common), 1)
			write(t, filepath.Join(folder, "policy.toml"), body)
			write(t, filepath.Join(folder, "gatepost.toml"), "hostname = \"mx.example.org\"\nstate_dir = \""+folder+"\"\n")
		case "aliases":
			write(t, filepath.Join(folder, "aliases"), body)
		case "refused":
			code := run(t.Context(), cli.Env{Out: &out, Err: &told, Sections: sections}, []string{"check", "--config", folder})
			if code != cli.Found || plain(told.String()) != plain(body) {
				t.Errorf("check: exit %d\n%swant\n%s", code, plain(told.String()), plain(body))
			}
			asked = true
		default:
			run(t.Context(), cli.Env{Out: &out, Err: &told, Sections: sections}, append([]string{"route", "--config", folder}, strings.Split(name, ", ")...))
			if got := plain(out.String() + told.String()); got != plain(body) {
				t.Errorf("route %s:\n%swant\n%s", name, got, plain(body))
			}
			asked = true
		}
	}
	if !asked {
		t.Error("asks nothing")
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
