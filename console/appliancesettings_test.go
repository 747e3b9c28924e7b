package console

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// settingsSite is one whose appliance answers with what is there, and keeps what it is asked for.
func settingsSite(t *testing.T) (s *site, there *api.ApplianceSettings, files *api.ApplianceFiles, said *[]string) {
	t.Helper()
	s, there, files, said = newSite(t), new(api.ApplianceSettings), &api.ApplianceFiles{Folder: "/files/"}, new([]string)
	add := func(o control.Operation) { s.Surface.Operations = append(s.Surface.Operations, o) }
	do := func(name, path string) control.Operation {
		return control.Do(name, path, "Do it", access.ApplianceChange)
	}
	add(control.Define(control.Look("appliance settings", "/appliance/settings", "Show it", access.ApplianceChange), func(context.Context, *struct{}) (*api.ApplianceSettings, error) { return there, nil }))
	add(control.Define(control.Look("appliance file list", "/appliance/files", "List them", access.ApplianceChange), func(context.Context, *struct{}) (*api.ApplianceFiles, error) { return files, nil }))
	add(control.Define(do("appliance settings try", "/appliance/settings"), func(_ context.Context, in *api.ApplianceSettingsTry) (*api.ApplianceSettings, error) {
		if strings.Contains(in.Text, "bad") {
			return nil, &control.Fault{Status: 422, Field: "text", Message: "gatepost.toml:1:1: bad<i>: unknown key\ngatepost.toml:2:1: another"}
		}
		*said = append(*said, "try "+in.Text)
		return &api.ApplianceSettings{Warnings: []string{"think of it"}}, nil
	}))
	add(control.Define(do("appliance settings confirm", "/appliance/settings/confirm"), func(context.Context, *struct{}) (*api.ApplianceSettings, error) {
		*said = append(*said, "confirm")
		return there, nil
	}))
	type named struct {
		Name string `path:"name" json:"-" doc:"of the file"`
	}
	put := do("appliance file put", "/appliance/files/{name}")
	put.Upload, put.Body, put.Time = true, 1<<20, time.Minute
	add(control.DefineUpload(put, func(_ context.Context, in *named, body io.Reader) (*api.ApplianceFiles, error) {
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, &control.Fault{Status: 413, Message: "the file has more than 64 KiB"}
		}
		*said = append(*said, "put "+in.Name+" "+string(text))
		return &api.ApplianceFiles{Folder: "/files/", Note: "it takes effect later"}, nil
	}))
	add(control.Define(do("appliance file remove", "/appliance/files/{name}/gone"), func(_ context.Context, in *named) (*api.ApplianceFiles, error) {
		*said = append(*said, "remove "+in.Name)
		return files, nil
	}))
	s.handler = s.Console.Handler()
	return s, there, files, said
}

// TestApplianceSettingsPage: a machine that is no appliance, settings in force, on trial and over; owners alone see and change them, what is wrong with a text
// is shown line by line with what was typed, and what comes from outside stays text.
func TestApplianceSettingsPage(t *testing.T) {
	s, there, files, said := settingsSite(t)
	const page = "/appliance/settings"
	there.None = "this machine is no appliance <b>"
	has(t, s.ask("anna", "GET", page, nil), 200, "this machine is no appliance &lt;b&gt;", "!<textarea")
	*there = api.ApplianceSettings{Text: "# </textarea><i>\n", Image: true, Folder: "/files/"}
	has(t, s.ask("anna", "GET", page, nil), 200, "# &lt;/textarea&gt;&lt;i&gt;", "as the image has it", "/files/NAME", "There are none", "!Keep them", "!<i>")
	until := time.Now()
	*there = api.ApplianceSettings{Text: "a", Trial: true, Until: &until}
	files.Files = []api.ApplianceFile{{Name: "key", Octets: 7, SHA256: strings.Repeat("ab", 32), Used: true}, {Name: "spare", Octets: 1}}
	has(t, s.ask("anna", "GET", page, nil), 200, "on trial", "Keep them", ">in use<", `value="spare"`, `!value="key"`, "abababababababab…")
	*there = api.ApplianceSettings{Text: "a", Over: &until, Tried: "what <i> was tried"}
	has(t, s.ask("anna", "GET", page, nil), 200, "were tried and not confirmed", "what &lt;i&gt; was tried", "!Keep them")
	for _, who := range []string{"code", "helper"} {
		has(t, s.ask(who, "GET", page, nil), 403)
		for _, path := range []string{page, page + "/confirm", page + "/remove"} {
			has(t, s.ask(who, "POST", path, formOf(who, "text", "x", "name", "spare", "confirm", "yes")), 403)
		}
	}
	has(t, s.ask("code", "GET", "/appliance", nil), 404) // no other operation here
	has(t, s.ask("anna", "POST", page, formOf("anna", "text", "bad <b>")), 422, "<li><bdi>gatepost.toml:1:1: bad&lt;i&gt;: unknown key</bdi></li><li><bdi>gatepost.toml:2:1: another</bdi></li>", "bad &lt;b&gt;</textarea>", "nothing was changed")
	if len(*said) > 0 {
		t.Errorf("done was %q", *said)
	}
	for path, want := range map[string]string{page: "try x = 1", page + "/confirm": "confirm", page + "/remove": "remove spare"} {
		*said = nil
		if w := s.ask("anna", "POST", path, formOf("anna", "text", "x = 1", "name", "spare", "confirm", "yes")); w.Code != 303 || w.Header().Get("Location") != page || len(*said) != 1 || (*said)[0] != want {
			t.Errorf("%s: %d %s %q", path, w.Code, w.Header().Get("Location"), *said)
		}
	}
	*said = nil
	if has(t, s.ask("anna", "POST", page+"/remove", formOf("anna", "name", "spare")), 200, "Remove the file?"); len(*said) > 0 {
		t.Error("it was removed before that was confirmed")
	}
}

// TestApplianceFileByForm sends a file, and none.
func TestApplianceFileByForm(t *testing.T) {
	s, there, _, said := settingsSite(t)
	there.Text = "a"
	server, token := s.served(t, true), formToken("session-anna")
	const path = "/appliance/settings/file"
	for what, tt := range map[string]struct {
		who, token string
		file       io.Reader
		status     int
		want       string
	}{
		"as it is":     {"anna", token, strings.NewReader("hush"), 303, "put ldap-password hush"},
		"none chosen":  {"anna", token, nil, 400, ""},
		"of another":   {"anna", "x", strings.NewReader("hush"), 403, ""},
		"of no owner":  {"code", formToken("session-code"), strings.NewReader("hush"), 403, ""},
		"far too long": {"anna", token, bytes.NewReader(make([]byte, maxSettingsFile)), 413, ""},
	} {
		*said = nil
		code, _, text := send(t, server, tt.who, path, tt.file, formField, tt.token, "name", " ldap-password ")
		if code != tt.status || strings.Join(*said, "") != tt.want {
			t.Errorf("%s: %d %q %.300s", what, code, *said, text)
		}
	}
}
