package main

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"gatepost/appliance/update"
	"gatepost/internal/config"
	"gatepost/internal/store/admin"
)

// TestGoBack: control data that a newer version changed are had in their old form once the appliance went back from it, and not before; what
// cannot be had is told, and tried again.
func TestGoBack(t *testing.T) {
	dir := t.TempDir()
	path, marker := filepath.Join(dir, dataFile), filepath.Join(dir, update.WentBack)
	made := func(path string) {
		t.Helper()
		db, err := admin.Open(t.Context(), admin.Options{Path: path})
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	made(path)
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec("INSERT INTO admin_migration (number, name, applied) VALUES (990, '990-made-up', 1)")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := &daemon{bootstrap: &config.Bootstrap{StateDir: dir}, log: slog.New(slog.NewTextHandler(&log, nil))}
	known := func() bool {
		t.Helper()
		ok, err := admin.Known(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if d.goBack(); known() || log.Len() > 0 {
		t.Fatalf("without a way back: %s", &log)
	}
	if err := os.WriteFile(marker, []byte("9.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.goBack()
	if _, err := os.Stat(marker); err != nil || known() || !strings.Contains(log.String(), "no copy of the form before") || !strings.Contains(log.String(), "9.9") {
		t.Errorf("without a copy: %v, %s", err, &log)
	}
	made(path + ".copy-20260101T000000.000000")
	d.goBack()
	if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) || !known() {
		t.Errorf("with a copy: %v, %s", err, &log)
	}
}
