package console

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestBackupsPage: no target that is well, one that fails, one that is too old, a backup under way; owners make and download, others look; what
// servers and names of files say stays text.
func TestBackupsPage(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("anna", "GET", "/backups", nil), 404)
	const name = "gatepost-mx.example.org-20261127T160000Z.age"
	answer, did := &api.Backups{Keep: 14}, ""
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Look("backup status", "/backups", "Show them", access.SystemRead), func(context.Context, *struct{}) (*api.Backups, error) { return answer, nil }),
		control.Define(control.Do("backup start", "/backups", "Make one", access.ApplianceChange), func(context.Context, *struct{}) (*api.Backups, error) { did = "start"; return answer, nil }),
		control.Define(control.Do("backup fetch", "/backups/fetch", "Fetch one", access.ApplianceChange), func(_ context.Context, in *api.BackupFetch) (*control.File, error) {
			did = in.Target + " " + in.Name
			return &control.File{Name: in.Name, Type: "application/octet-stream", From: io.NopCloser(strings.NewReader("age")), Size: 3}, nil
		}))
	s.handler = s.Console.Handler()
	has(t, s.ask("anna", "GET", "/backups", nil), 200, "by hand only", "Nobody could open a backup", "There are none", "!Make one now", "!One is being made")
	answer = &api.Backups{Every: 24 * time.Hour, Next: time.Now().Add(time.Hour), Opens: "keys", With: []string{"log", "quarantine"}, Keep: 14, Missed: []string{"/mnt/<u>: no"},
		Targets: []api.BackupTarget{{Name: "disk", Where: "/mnt/backups", Good: time.Now().Add(-90 * time.Minute), Octets: 5e6}, {Name: "<b>nas", Where: "sftp://x", Error: "shows <i>"},
			{Name: "cloud", Where: "https://x", Good: time.Now().Add(-49 * time.Hour)}},
		Files: []api.BackupFile{{Target: "disk", Name: name, Host: "mx.example.org", Time: time.Now(), Octets: 5e6}}}
	has(t, s.ask("anna", "GET", "/backups", nil), 200, "every 24h0m0s", "the next", "1h30m0s old", "5.0 MB", ">well<", ">fails<", "shows &lt;i&gt;", ">too old<", "&lt;b&gt;nas", "log, quarantine", "not on this machine", "Make one now",
		">Download<", "&lt;u&gt;", "!<b>nas", "!<i>", "!<u>", "!Nobody could")
	has(t, s.ask("code", "GET", "/backups", nil), 200, name, "!Make one now", "!Download")
	has(t, s.ask("helper", "GET", "/backups", nil), 403)
	has(t, s.ask("code", "POST", "/backups", formOf("code")), 403)
	has(t, s.ask("code", "POST", "/backups/fetch", formOf("code", "target", "disk", "name", name)), 403)
	if did != "" {
		t.Errorf("it did %s", did)
	}
	if w := s.ask("anna", "POST", "/backups", formOf("anna")); w.Code != 303 || did != "start" {
		t.Errorf("%d, %q", w.Code, did)
	}
	w := s.ask("anna", "POST", "/backups/fetch", formOf("anna", "target", "disk", "name", name))
	if has(t, w, 200, "age"); did != "disk "+name || w.Header().Get("Content-Disposition") != `attachment; filename="`+name+`"` {
		t.Errorf("%q, %q", did, w.Header())
	}
	answer.Began = time.Now()
	has(t, s.ask("anna", "GET", "/backups", nil), 200, "One is being made", "!Make one now")
}
