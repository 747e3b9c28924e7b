package console

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// restorer stands in for the daemon that takes a backup.
type restorer struct {
	now  api.Restore
	file []byte
	key  string
}

func (x *restorer) operations() []control.Operation {
	do := func(name, path string) control.Operation {
		o := control.Do(name, path, "Do it", access.ApplianceChange)
		o.Time = time.Minute
		return o
	}
	out := func() (*api.Restore, error) { now := x.now; return &now, nil }
	upload := do("restore upload", "/restore/upload")
	upload.Body = 8 << 20
	to := func(state string) func(context.Context, *struct{}) (*api.Restore, error) {
		return func(context.Context, *struct{}) (*api.Restore, error) { x.now.State = state; return out() }
	}
	return []control.Operation{
		control.Define(control.Look("restore status", "/restore", "Show it", access.ApplianceChange), func(context.Context, *struct{}) (*api.Restore, error) { return out() }),
		control.DefineUpload(upload, func(_ context.Context, in *api.RestoreSize, body io.Reader) (_ *api.Restore, err error) {
			x.file, err = io.ReadAll(body)
			x.now.State, x.now.Size = "received", in.Size
			return &x.now, err
		}),
		control.Define(do("restore verify", "/restore/verify"), func(_ context.Context, in *api.RestoreKey) (*api.Restore, error) {
			if x.key = in.Key; in.Key != "right" {
				return nil, &control.Fault{Status: 400, Message: "this key does not open it <b>", Hint: "give another", Field: "key"}
			}
			x.now = api.Restore{State: "verified", Host: "old<i>.example", Version: "1.4", Parts: []string{"keys"}, Files: 3, Inside: 5000, Left: []string{"Redis <b>"}, Keeps: "/etc/gatepost"}
			return out()
		}),
		control.Define(do("restore start", "/restore/start"), to("restores")), control.Define(do("restore discard", "/restore/discard"), to("none")),
	}
}

// TestRestorePage: a backup is uploaded with its key, opened by another, shown, thrown away and restored; the key is on no page; nobody
// but an owner comes in, and nobody once a domain is served.
func TestRestorePage(t *testing.T) {
	s, inForce, _ := beginSite(t, "")
	has(t, s.ask("anna", "GET", "/begin/restore", nil), 404)
	x := &restorer{now: api.Restore{State: "none", Most: 5 << 30}}
	s.Surface.Operations = append(s.Surface.Operations, x.operations()...)
	s.handler = s.Console.Handler()
	server := s.served(t, true)
	get := func() (page string) {
		t.Helper()
		w := s.ask("anna", "GET", "/begin/restore", nil)
		has(t, w, 200)
		return w.Body.String()
	}
	has(t, s.ask("anna", "GET", "/begin", nil), 200, `href="/begin/restore"`)
	has(t, s.ask("anna", "GET", "/begin/restore", nil), 200, `enctype="multipart/form-data"`, `data-refresh="2"`, "There is room for", "!Restore and restart")
	token := formToken("session-anna")
	file := bytes.Repeat([]byte("backup"), 1<<19)
	sends := func(path string, body io.Reader, status int, want string, fields ...string) {
		t.Helper()
		if code, to, page := send(t, server, "anna", path, body, append([]string{formField, token}, fields...)...); code != status || !strings.Contains(to+page, want) || strings.Contains(page, "secret-key") {
			t.Errorf("%s: %d %s %.500s", path, code, to, page)
		}
	}
	sends("/begin/restore", bytes.NewReader(file), 400, "The key is missing")
	sends("/begin/restore", nil, 400, "no file was chosen", "key", "right")
	if x.file != nil {
		t.Error("a file was taken without a key")
	}
	sends("/begin/restore", bytes.NewReader(file), 400, "this key does not open it &lt;b&gt;", "key", "secret-key")
	if !bytes.Equal(x.file, file) || x.now.Size < int64(len(file)) && x.now.Size != 0 {
		t.Errorf("%d octets came, of %d", len(x.file), x.now.Size)
	}
	if page := get(); !strings.Contains(page, "was not opened yet") || !strings.Contains(page, `action="/begin/restore/key"`) || strings.Contains(page, `name="file"`) {
		t.Error(page)
	}
	x.now = api.Restore{State: "receives", Octets: 3000, Size: 9000}
	if page := get(); !strings.Contains(page, "3.0 kB of 9.0 kB") || !strings.Contains(page, `<progress value="3000" max="9000"`) {
		t.Error(page)
	}
	sends("/begin/restore/key", nil, 303, "/begin/restore", "key", "", "keyfile", "\nright\n")
	has(t, s.ask("anna", "GET", "/begin/restore", nil), 200, "old&lt;i&gt;.example", "1.4", "keys", "Redis &lt;b&gt;", "/etc/gatepost", "Restore and restart", "!<i>")
	if w := s.ask("anna", "POST", "/begin/restore/discard", formOf("anna")); w.Code != 303 || x.now.State != "none" {
		t.Errorf("%d %s", w.Code, x.now.State)
	}
	if w := s.ask("anna", "GET", "/begin/restore/start", nil); w.Code != 303 || w.Header().Get("Location") != "/begin/restore" {
		t.Errorf("%d", w.Code)
	}
	has(t, s.ask("code", "GET", "/begin/restore", nil), 403)
	has(t, s.ask("code", "POST", "/begin/restore/start", formOf("code")), 403)
	has(t, s.ask("anna", "POST", "/begin/restore/start", url.Values{}), 403, "of another session")
	has(t, s.ask("anna", "POST", "/begin/restore/start", formOf("anna")), 200, "The gateway restarts by itself", `href="/"`)
	*inForce = policyFile
	for _, path := range []string{"/begin/restore", "/begin/restore/start"} {
		has(t, s.ask("anna", "GET", path, nil), 404)
	}
	has(t, s.ask("anna", "POST", "/begin/restore/start", formOf("anna")), 404)
	sends("/begin/restore/key", nil, 404, "", "key", "right")
}
