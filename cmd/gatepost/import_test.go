package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// importsUnder are the Postfix configurations that the importer's own tests hold against golden files.
const importsUnder = "../../internal/importer/testdata/postfix"

// TestImportPostfix shows that what an import writes is what check takes, whatever it was made from, and that it overwrites
// nothing.
func TestImportPostfix(t *testing.T) {
	dirs, err := os.ReadDir(importsUnder)
	if err != nil || len(dirs) < 6 {
		t.Fatal(err, len(dirs))
	}
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "made")
			code, report, errOut := gatepost(t, "import", "postfix", "--config-dir", filepath.Join(importsUnder, d.Name()), "--out", out)
			if code != cli.Done || !strings.Contains(report, " taken, ") {
				t.Fatalf("exit %d: %s%s", code, report, errOut)
			}
			kept, err := os.ReadFile(filepath.Join(out, "report.txt"))
			if err != nil || string(kept) != report {
				t.Errorf("the report that was kept is another: %v", err)
			}
			code, _, errOut = gatepost(t, "import", "postfix", "--config-dir", filepath.Join(importsUnder, d.Name()), "--out", out)
			if code != cli.Usage || !strings.Contains(errOut, "is there already") {
				t.Errorf("a second import: exit %d: %s", code, errOut)
			}
			code, lines, errOut := gatepost(t, "import", "postfix", "--config-dir", filepath.Join(importsUnder, d.Name()), "--out", out+"2", "--json")
			if code != cli.Done || !strings.HasPrefix(lines, `{"status":`) {
				t.Errorf("exit %d: %s%s", code, lines, errOut)
			}
		})
	}
}

func TestImportUsage(t *testing.T) {
	for args, want := range map[string]string{
		"import postfix":                              "name the folder",
		"import postfix --out X --use both":           "--use is",
		"import postfix --out X --expires today":      "--expires is",
		"import postfix --out X --expires 2001-01-01": "--expires is",
		"import pmg --out X":                          "name the backup",
		"lists import --csv X":                        "name the list and the file",
		"lists import --csv X --out Y --kind grey":    "--kind is",
		"import postfix --out X more":                 "is too much",
	} {
		if code, _, errOut := gatepost(t, strings.Fields(args)...); code != cli.Usage || !strings.Contains(errOut, want) {
			t.Errorf("%s: exit %d: %s", args, code, errOut)
		}
	}
	if code, _, errOut := gatepost(t, "import", "postfix", "--out", t.TempDir(), "--config-dir", "/nonexistent"); code != cli.Found {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// TestImportLists shows that each list of the importer's tests becomes entries that policy.toml takes.
func TestImportLists(t *testing.T) {
	names, err := filepath.Glob("../../internal/importer/testdata/lists/*.csv")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		out := filepath.Join(t.TempDir(), "entries.toml")
		args := []string{"lists", "import", "--csv", name, "--out", out, "--kind", "block"}
		if code, report, errOut := gatepost(t, args...); code != cli.Done || !strings.Contains(report, " taken, ") {
			t.Errorf("%s: exit %d: %s%s", name, code, report, errOut)
		}
		if code, _, errOut := gatepost(t, args...); code != cli.Found || !strings.Contains(errOut, "exists") {
			t.Errorf("%s: a second time: exit %d: %s", name, code, errOut)
		}
	}
	unsaid := filepath.Join(t.TempDir(), "entries.toml")
	code, report, errOut := gatepost(t, "lists", "import", "--csv", "../../internal/importer/testdata/lists/05-no-kind.csv", "--out", unsaid)
	if _, err := os.Stat(unsaid); code != cli.Found || !strings.Contains(report, "--kind block") || !strings.Contains(errOut, "was not written") || err == nil {
		t.Errorf("a list of which nothing is taken: exit %d: %s%s", code, report, errOut)
	}
	if code, _, errOut := gatepost(t, "import", "pmg", names[0], "--out", filepath.Join(t.TempDir(), "x")); code != cli.Found || !strings.Contains(errOut, "gzip") {
		t.Errorf("a list as a backup: exit %d: %s", code, errOut)
	}
	if code, _, errOut := gatepost(t, "lists", "import", "--csv", "/dev/zero", "--out", filepath.Join(t.TempDir(), "x")); code != cli.Found || !strings.Contains(errOut, "no regular file") {
		t.Errorf("a device: exit %d: %s", code, errOut)
	}
}

// TestImportPMG shows that check takes what the importer's tests hold a backup against.
func TestImportPMG(t *testing.T) {
	const want = "../../internal/importer/testdata/pmg/want"
	dir := t.TempDir()
	for _, name := range []string{"gatepost.toml", "policy.toml"} {
		text, err := os.ReadFile(filepath.Join(want, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errOut := gatepost(t, "check", "--config", dir); code != cli.Done {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
