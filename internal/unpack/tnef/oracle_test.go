package tnef

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestYTNEF: the attachments that ytnef takes out are those that we enter, by content.
func TestYTNEF(t *testing.T) {
	tool, err := exec.LookPath("ytnef")
	if err != nil {
		t.Fatal("ytnef is missing: scripts/install")
	}
	compared := 0
	for name, b := range generated() {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		into := filepath.Join(dir, "out")
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = exec.Command(tool, "-f", into, file).Run() // it fails on what is cut, and has written by then what it has
		ours := map[string]bool{}
		for _, o := range look(t, plenty(), name, b).Objects {
			ours[o.SHA256] = true
		}
		files, err := os.ReadDir(into)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			content, err := os.ReadFile(filepath.Join(into, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(content)
			if !ours[hex.EncodeToString(sum[:])] {
				t.Errorf("%s: %s, %d octets, is not seen: %q", name, f.Name(), len(content), content)
			}
			compared++
		}
	}
	if compared < 3 {
		t.Errorf("only %d files were compared", compared)
	}
}
