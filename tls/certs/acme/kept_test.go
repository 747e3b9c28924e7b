package acme

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"gatepost/tls/certs"
)

// TestKeptChangesNothing: what is kept is read as a Manager has it, and reading makes neither keys nor folders.
func TestKeptChangesNothing(t *testing.T) {
	dir := t.TempDir()
	e := Entry{Names: []string{"mx.example.org"}, Keys: Both}
	if shown, next, err := Kept(dir, &e); err != nil || len(shown)+len(next) != 0 {
		t.Errorf("of a new entry: %d, %d, %v", len(shown), len(next), err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("made: %v", list)
	}
	m := &Manager{Authority: &Authority{Dir: dir}, Dir: dir, Entries: []Entry{e}, Show: func(string, []*tls.Certificate) {}, Log: slog.New(slog.DiscardHandler)}
	m.Load()
	shown, next, err := Kept(dir, &e)
	if err != nil || len(shown) != 0 || len(next) != 4 {
		t.Fatalf("before the first certificate: %d, %d, %v", len(shown), len(next), err)
	}
	for _, k := range m.PublicKeys() {
		found := 0
		for _, public := range next {
			if certs.SameKey(public, k.Current) || certs.SameKey(public, k.Next) {
				found++
			}
		}
		if found != 2 {
			t.Errorf("%s: %d of two keys", k.Kind, found)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, e.folder(), "rsa.pem"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Kept(dir, &e); err == nil {
		t.Error("junk is a key")
	}
}
