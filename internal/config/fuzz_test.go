package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// FuzzDecode wants of any octets: no panic, every problem on a line and column that the file has, its text on one line;
// and what go-toml itself refuses is refused, because the tree is our own.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/refuse/*.toml", "testdata/accept/*.toml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(DefaultBootstrap()))
	f.Add([]byte(DefaultPolicy(testSections())))
	f.Add([]byte("[[a]]\n[a.b]\n[[a]]\n[a.b.c]\n[a]\na.b=[{c=[]},1]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, ps := DecodeBootstrap(BootstrapFile, data)
		_, more := DecodePolicy(PolicyFile, data, testSections())
		var plain map[string]any
		if err := toml.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &plain); err != nil && (!ps.Refused() || !more.Refused()) {
			t.Errorf("accepted, but go-toml says %v", err)
		}
		lines := strings.Split(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), "\n")
		for _, p := range append(ps, more...) {
			switch {
			case len(data) > MaxFile:
			case p.Line < 1 || p.Line > len(lines):
				t.Errorf("line %d of %d: %s", p.Line, len(lines), p)
			case p.Column < 1 || p.Column > 1+utf8.RuneCountInString(lines[p.Line-1]):
				t.Errorf("column %d of %q: %s", p.Column, lines[p.Line-1], p)
			case p.Message == "" || strings.ContainsAny(p.String(), "\r\n\x00\x1b"):
				t.Errorf("text %q", p.String())
			}
		}
	})
}
