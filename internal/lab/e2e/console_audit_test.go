package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/api"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// audited looks at the audit log of TestConsolePolicy in the browser (flow 15): each version of the policy has one entry, with who made it,
// what was in force before and what after; the file that is downloaded tells the same; the chain holds, until somebody changes an entry
// behind the daemon's back, which the check names.
func (w *world) audited(t *testing.T, b *labtest.Browser) {
	t.Helper()
	var shown []struct{ Who, What, Object, Before, After string }
	b.Step("audit.entries", map[string]any{"operation": "policy apply", "count": 5, "look": "audit-policy"}, &shown)
	if refused := shown[1]; refused.Who != ownerName || !strings.Contains(refused.What, "refused: ") || !strings.Contains(refused.What, "version 5 is in force") || refused.After != "" {
		t.Errorf("over what another did: %+v", refused)
	}
	var text string
	b.Step("audit.download", nil, &text)
	var all []api.AuditEntry
	for line := range strings.Lines(text) {
		var e api.AuditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	for i := range all {
		if want := int64(len(all) - i); all[i].Number != want {
			t.Fatalf("line %d of the file is entry %d, not %d", i+1, all[i].Number, want)
		}
	}
	var tampered int64
	// Before the first of them the file was in force, which has no number.
	for _, want := range []struct {
		version, before      int
		operation, actor, by string
	}{{2, 0, "policy apply", ownerName, "session"}, {3, 2, "policy apply", "", "socket"}, {4, 3, "policy rollback", ownerName, "session"},
		{5, 4, "policy apply", "second", "session"}, {6, 5, "policy apply", "second", "session"}, {7, 6, "policy undo", "gatepost", "daemon"}} {
		object := fmt.Sprintf("policy version %d", want.version)
		var found []api.AuditEntry
		for _, e := range all {
			if e.Object == object && e.Before != "" {
				found = append(found, e)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s has %d entries of its change: %+v", object, len(found), found)
			continue
		}
		e := found[0]
		if e.Operation != want.operation || want.actor != "" && e.Actor != want.actor || e.Via != want.by || e.Error != "" ||
			!strings.Contains(e.Before, fmt.Sprintf(`"version":%d`, want.before)) || !strings.Contains(e.After, fmt.Sprintf(`":%d,"`, want.version)) {
			t.Errorf("%s: %+v", object, e)
		}
		at := slices.IndexFunc(shown, func(s struct{ Who, What, Object, Before, After string }) bool { return s.Object == object })
		if want.operation == "policy apply" && (at < 0 || shown[at].Who != e.Actor || !strings.Contains(shown[at].Before, e.Before) || !strings.Contains(shown[at].After, e.After)) {
			t.Errorf("%s: the page and the file differ: %+v, %+v", object, shown, e)
		}
		tampered = e.Number
	}
	count := func(operation, object string) (n int) {
		for _, e := range all {
			if e.Operation == operation && e.Object == object && e.Error == "" {
				n++
			}
		}
		return n
	}
	for what, object := range map[string]string{"policy shadow start": "policy shadow", "user add": "second"} {
		if n := count(what, object); n != 1 {
			t.Errorf("%s of %s: %d entries", what, object, n)
		}
	}
	var said string
	b.Step("audit.verify", nil, &said)
	if !strings.Contains(said, "entries hold") || !strings.Contains(said, "keep that where nobody of this machine writes") {
		t.Errorf("the chain: %q", said)
	}
	db, err := sql.Open("sqlite", filepath.Join(lab.StateDir(w.dir), "admin.db")+"?_pragma=busy_timeout(10000)")
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "UPDATE audit SET actor = 'somebody else' WHERE number = ?", tampered)
	must(t, err)
	b.Step("audit.verify", map[string]any{"look": "audit-tampered"}, &said)
	if !strings.Contains(said, fmt.Sprintf("Entry %d does not hold: it was changed", tampered)) {
		t.Errorf("a change behind its back: %q", said)
	}
}
