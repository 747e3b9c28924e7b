package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pythonReads prints for each file what Python's email package makes of it: the type, the name and the decoded content of each
// part that has no parts, one JSON list a file.
const pythonReads = `
import sys, json, hashlib, email, email.policy
for name in sys.argv[1:]:
    msg = email.message_from_bytes(open(name, 'rb').read(), policy=email.policy.default)
    out = []
    for p in msg.walk():
        if p.is_multipart():
            continue
        try:
            content = p.get_payload(decode=True) or b''
        except Exception as e:
            content = repr(e).encode()
        try:
            file = p.get_filename() or ''
        except Exception as e:
            file = repr(e)
        out.append('%s %s %s' % (p.get_content_type(), hashlib.sha256(content.replace(b'\r\n', b'\n').rstrip(b'\r\n')).hexdigest()[:12], file))
    print(json.dumps(out))
`

// sumOf is how content is compared: whatever its line ends are, and without those at its end, where programs differ and nothing hides.
func sumOf(b []byte) string {
	sum := sha256.Sum256(bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r\n"), []byte{'\n'}), "\r\n"))
	return hex.EncodeToString(sum[:])[:12]
}

// ours is what the tree says of a message in the words of pythonReads, without what is doubtful.
func ours(t *testing.T, tree *Tree, only func(p *Part) bool) (lines, sums []string) {
	for i := range tree.Parts {
		p := &tree.Parts[i]
		if !p.Leaf || p.Doubt || only != nil && !only(p) {
			continue
		}
		b, err := io.ReadAll(tree.Open(i))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", p.Type, sumOf(b), p.Name()))
		if len(bytes.TrimRight(b, "\r\n")) > 0 {
			sums = append(sums, sumOf(b))
		}
	}
	return lines, sums
}

// explained are the differences that docs/mime.md explains: program and case.
func explained(t *testing.T) map[string]string {
	b, err := os.ReadFile("../../docs/mime.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for program := range strings.SplitSeq(cells[2], ",") {
			out[strings.TrimSpace(program)+" "+strings.Trim(cells[1], " `")] = cells[3]
		}
	}
	return out
}

// TestAgreement reads the corpus with Python's email package, ripmime and munpack. Where they see other parts than the tree
// has, docs/mime.md says why; a difference that it does not have is a fault, and so is one that is no more.
func TestAgreement(t *testing.T) {
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "python3", append([]string{"-c", pythonReads}, names...)...).Output()
	if err != nil {
		t.Fatal("python3 is needed: ", err)
	}
	python := strings.Split(strings.TrimSpace(string(out)), "\n")
	known, seen := explained(t), map[string]bool{}
	differs := func(program, name, detail string) {
		key := program + " " + name
		seen[key] = true
		if known[key] == "" {
			t.Errorf("%s reads %s differently, and docs/mime.md does not say why:\n%s", program, name, detail)
		}
	}
	for i, file := range names {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tree := mustWalk(t, b, DefaultLimits())
		lines, _ := ours(t, tree, nil)
		var theirs []string
		if err := json.Unmarshal([]byte(python[i]), &theirs); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lines, theirs) {
			differs("Python", name, "  "+strings.Join(theirs, "\n  ")+"\nhere\n  "+strings.Join(lines, "\n  "))
		}
		_, files := ours(t, tree, func(p *Part) bool { return !isText(p.Type) || len(p.Names) > 0 })
		// All that is in the tree, texts as well: a program may write them out. And all that is beyond doubt.
		all, sure := map[string]bool{}, map[string]bool{}
		for i := range tree.Parts {
			b, _ := io.ReadAll(tree.Open(i))
			all[sumOf(b)] = true
			sure[sumOf(b)] = sure[sumOf(b)] || !tree.Parts[i].Doubt
		}
		for program, got := range map[string]map[string]bool{
			"ripmime": unpacked(t, "ripmime", file, "-i", "FILE", "-d", "DIR", "--no-ole"),
			"munpack": unpacked(t, "munpack", file, "-q", "-f", "-C", "DIR", "FILE"),
		} {
			var detail string
			for _, sum := range files {
				if !got[sum] {
					detail += "  it does not see " + sum + "\n"
				}
			}
			for sum := range got {
				if !sure[sum] {
					detail += "  only it sees " + sum + "\n"
				}
				if key := program + " " + name; !all[sum] && !strings.Contains(known[key], "not in the tree") {
					t.Errorf("%s: %s is in no part of the tree\n%s", key, sum, tree)
				}
			}
			if detail != "" {
				differs(program, name, detail+tree.String())
			}
		}
	}
	for key := range known {
		if !seen[key] {
			t.Errorf("docs/mime.md explains that %s differs, and it does not", key)
		}
	}
}

// unpacked are the sums of the files that a program unpacks of a message.
func unpacked(t *testing.T, program, file string, args ...string) map[string]bool {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "message") // with the line ends of files, which munpack needs
	if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte("\r\n"), []byte{'\n'}), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range args {
		args[i] = strings.NewReplacer("DIR", dir, "FILE", path).Replace(args[i])
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	if err := cmd.Run(); err != nil {
		if _, ended := err.(*exec.ExitError); !ended {
			t.Fatal(program+" is needed: ", err)
		}
	}
	out := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".desc") || !e.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimRight(b, "\r\n")) > 0 {
			out[sumOf(b)] = true
		}
	}
	return out
}
