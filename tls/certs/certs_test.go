package certs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSelfSignedIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, made, err := SelfSigned(dir, "mx.example.org")
	if err != nil || !made {
		t.Fatal(made, err)
	}
	again, made, err := SelfSigned(dir, "mx.example.org")
	if err != nil || made || !again.Leaf.Equal(first.Leaf) {
		t.Errorf("made anew: %v, %v", made, err)
	}
	if info, _ := os.Stat(filepath.Join(dir, "self-signed.key")); info.Mode().Perm() != 0o600 {
		t.Errorf("the key can be read by others: %v", info.Mode())
	}
	if _, made, _ := SelfSigned(dir, "other.example.org"); !made {
		t.Error("a certificate for another name was kept")
	}
	os.WriteFile(filepath.Join(dir, "self-signed.key"), []byte("damaged"), 0o600)
	if _, made, err := SelfSigned(dir, "other.example.org"); !made || err != nil {
		t.Errorf("damaged: %v, %v", made, err)
	}
	if _, _, err := SelfSigned(filepath.Join(dir, "gone"), "mx.example.org"); err == nil {
		t.Error("no error without the folder")
	}
}

func TestFallbackIsShownWhileThereIsNoOther(t *testing.T) {
	own, _, err := SelfSigned(t.TempDir(), "mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := SelfSigned(t.TempDir(), "mx.example.net")
	if err != nil {
		t.Fatal(err)
	}
	var s Set
	sources := func(want ...string) {
		t.Helper()
		var got []string
		for _, o := range s.All() {
			got = append(got, o.Source)
		}
		if !slices.Equal(got, want) {
			t.Errorf("shown: %q, want %q", got, want)
		}
	}
	sources()
	s.Fallback("own", own)
	sources("own")
	s.Put("acme", other, other)
	sources("acme", "acme")
	s.Put("file", own)
	s.Put("acme", other) // it keeps its place
	sources("acme", "file")
	s.Put("acme")
	s.Put("file")
	sources("own")
}
