package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"gatepost/gateway"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/store"
)

// holders are the files below the state folder in which a text stands, in any case, as it is.
func holders(t *testing.T, dir, text string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(bytes.ToLower(data), []byte(text)) {
			out = append(out, filepath.Base(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seedOldLog puts a transaction of two days ago into the message log of a daemon that is not started yet, and closes its day.
func seedOldLog(t *testing.T, w *world, from, to string) {
	t.Helper()
	dir := filepath.Join(lab.StateDir(w.dir), "log")
	at := time.Now().UTC().Add(-47 * time.Hour).Truncate(time.Millisecond) // never a day that is not over, whenever this runs
	address := func(text string) (a gateway.Address) {
		must(t, a.UnmarshalText([]byte(text)))
		return a
	}
	id := gateway.ID(uint64(at.UnixMilli())<<20 | 7)
	e := &gateway.Event{Kind: gateway.TransactionEvent, Subject: "of old", Record: &gateway.Record{ID: id, Session: id - 1, Time: at, From: address(from),
		HeaderFrom: from, Rcpts: []gateway.RecordRcpt{{To: address(to), Code: 250}}}}
	for range 2 { // the second one closes the day as it begins
		l, err := store.Open(store.Options{Dir: dir})
		must(t, err)
		if e != nil {
			if !l.Write(e) {
				t.Fatal("no room")
			}
			e = nil
		} else {
			awaitClosed(t, filepath.Join(dir, "log-"+at.Format(time.DateOnly)+".db"))
		}
		must(t, l.Close(labtest.Context(t)))
	}
}

// awaitClosed waits until a day has its index.
func awaitClosed(t *testing.T, name string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+name+"?mode=ro&_pragma=busy_timeout(5000)")
	must(t, err)
	defer db.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var events, blocks int
		if err := db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM block)").Scan(&events, &blocks); err == nil && events == 1 && blocks == 0 {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%d events, %d blocks, %v", events, blocks, err)
		}
	}
}

// TestPrivacy: what is kept of a sender and of a recipient is exported, and erased, by the daemon in its sandbox; others' stays; no
// file of the state folder has the address afterwards; and the audit log says that it was done, by whom and why, and not of whom,
// but for those who know the address.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keptSetup())
	seedOldLog(t, w, "old@example.org", "eve@served.test")
	w.start(t)
	w.spamd.On("REPORT", keptVerdict())
	w.awaitMetric(t, "gatepost_control_data_up", 1)
	kept := w.quarantined(t, "bob@served.test", "eve@served.test")
	for _, to := range []string{"bob@served.test", "eve@served.test"} {
		if r := w.hello(t).deliverFrom("carl@example.org", to, "hello"); !strings.HasPrefix(r.last(), "250") {
			t.Fatal(r.last())
		}
	}
	export := func(address string) map[string]int {
		t.Helper()
		out, _ := w.command(t, 0, "privacy", "export", "--address", address, "--reason", "ticket 12")
		var j struct {
			Running bool
			Parts   []struct {
				Part    string
				Found   int
				Error   string
				Records []json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(out), &j); err != nil || j.Running {
			t.Fatalf("%v: %s", err, out)
		}
		found := map[string]int{}
		for _, p := range j.Parts {
			if found[p.Part] = p.Found; p.Error != "" || len(p.Records) != p.Found {
				t.Errorf("%+v", p)
			}
		}
		return found
	}
	if f := export("Eve@served.test"); f["quarantine"] != 2 || f["message log"] < 3 || f["recipients"] != 1 {
		t.Errorf("of eve: %v", f)
	}
	if f := export("nobody@served.test"); f["quarantine"]+f["message log"]+f["recipients"]+f["spool"] != 0 {
		t.Errorf("of nobody: %v", f)
	}
	if _, said := w.command(t, 2, "privacy", "erase", "--address", "eve@served.test"); !strings.Contains(said, "--yes") {
		t.Error(said)
	}
	w.command(t, 1, "privacy", "erase", "--address", "served.test", "--yes")
	if out, _ := w.command(t, 0, "privacy", "erase", "--address", "eve@served.test", "--reason", "ticket 13", "--yes"); strings.Contains(out, "FAIL") || !strings.Contains(out, "ok   message log") {
		t.Error(out)
	}
	if f := export("eve@served.test"); f["message log"] != 0 || f["recipients"] != 0 || f["quarantine"] != 0 {
		t.Errorf("of eve afterwards: %v", f)
	}
	if out, _ := w.command(t, 0, "quarantine", "show", kept); !strings.Contains(out, "bob@served.test") {
		t.Errorf("the copy of another went too: %s", out)
	}
	if out, _ := w.command(t, 0, "privacy", "erase", "--address", "alice@example.org", "--yes"); strings.Contains(out, "FAIL") {
		t.Error(out)
	}
	w.command(t, 1, "quarantine", "show", kept)
	for address, want := range map[string]int{"eve@served.test": 1, "alice@example.org": 1, "bob@served.test": 0, "carl@example.org": 0, "erased@served.test": 0, "old@example.org": 0} {
		w.command(t, want, "log", "search", "--since", "10d", "--limit", "50", map[bool]string{true: "--to", false: "--from"}[strings.HasSuffix(address, "served.test")], address)
	}
	out, _ := w.command(t, 0, "audit", "list", "--operation", "privacy erase", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.Contains(out, "ticket 13") || strings.Contains(out, "eve@") || strings.Contains(out, "alice@") {
		t.Errorf("audit: %s", out)
	}
	var erasures []string
	for _, l := range lines {
		var e struct{ Object, Error string }
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		if e.Error == "" {
			erasures = append(erasures, e.Object)
		}
	}
	if len(erasures) != 2 || slices.ContainsFunc(erasures, func(o string) bool { return !strings.HasPrefix(o, "~") }) {
		t.Errorf("objects %q", erasures)
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(holders(t, lab.StateDir(w.dir), "carl@example.org")) == 0 {
		t.Error("what is not erased is not found either: this test looks at nothing")
	}
	for _, address := range []string{"eve@served.test", "alice@example.org"} {
		if in := holders(t, lab.StateDir(w.dir), address); len(in) > 0 {
			t.Errorf("%s still stands in %q", address, in)
		}
	}
}
