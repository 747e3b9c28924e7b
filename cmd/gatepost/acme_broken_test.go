package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/config"
)

// An entry whose key is damaged is told of as that: no time is named at which it would be tried again.
func TestDamagedEntryIsTold(t *testing.T) {
	dir := t.TempDir()
	b := &config.Bootstrap{StateDir: dir, Hostname: "mx.example.org"}
	b.TLS.ACME = []config.TLSACME{{Names: []string{"mx.example.org"}, Challenge: config.ChallengeHTTP, KeyType: "ecdsa"}}
	folder := filepath.Join(certificateFolder(dir), "mx.example.org")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "ecdsa.pem"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{bootstrap: b, parts: &parts{}, log: slog.New(slog.DiscardHandler)}
	if err := d.openACME(); err != nil {
		t.Fatal(err)
	}
	if ok, detail := d.acme.health(); ok || !strings.Contains(detail, "there is no private key in it") {
		t.Errorf("health: %v, %s", ok, detail)
	}
	all := d.acme.missing()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	var page strings.Builder
	all[0].print(&page)
	if !strings.Contains(page.String(), "next try      none is ordered before somebody has looked: ") || strings.Contains(page.String(), "tries failed") {
		t.Errorf("%s", page.String())
	}
}
