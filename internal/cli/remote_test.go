package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadRemote shows which options stand before a command, that a token comes from a file only, and what is told of a mistake.
func TestReadRemote(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	token, none, long := file("token", "abc123\n"), file("none", "\n"), file("long", strings.Repeat("x", maxToken+1))
	for args, want := range map[string]string{ // what is left, or "!" and what is told
		"":                  "",
		"queue list --json": "queue list --json",
		"--help":            "--help",
		"--server https://mx.example.org --token-file " + token + " queue list":                   "* queue list",
		"--server=https://mx.example.org:8443 --token-file=" + token + " log search --from a --x": "* log search --from a --x",
		"--server https://mx.example.org queue list":                                              "!belong together",
		"--token-file " + token + " queue list":                                                   "!belong together",
		"--server http://mx.example.org --token-file " + token + " queue list":                    "!https://name",
		"--server https://mx.example.org --token-file " + dir + "/gone queue list":                "!--token-file: open",
		"--server https://mx.example.org --token-file " + none + " queue list":                    "!token: there is none",
		"--server https://mx.example.org --token-file " + long + " queue list":                    "!longer than",
		"--server https://mx.example.org --token-file " + token + " --ca-file " + token + " x":    "!no certificate",
		"--token abc queue list": "!not defined: -token",
	} {
		client, rest, err := ReadRemote(strings.Fields(args))
		if said, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), said) || client != nil || strings.Contains(err.Error(), "abc123") {
				t.Errorf("%s: %v, want %s", args, err, said)
			}
			continue
		}
		left, remote := strings.CutPrefix(want, "* ")
		if err != nil || (client != nil) != remote || !slices.Equal(rest, strings.Fields(left)) {
			t.Errorf("%s: %v %v %q", args, err, client != nil, rest)
		}
	}
}
