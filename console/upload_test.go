package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// served serves a console as browsers see it, by HTTP/1.1 or HTTP/2, and follows no redirect.
func (s *site) served(t *testing.T, http2 bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(s.Console.Handler())
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return server
}

// send sends a form with a file as somebody, with its fields as name, value, and returns the status, where it leads, and the page.
func send(t *testing.T, server *httptest.Server, who, path string, file io.Reader, fields ...string) (status int, to, page string) {
	t.Helper()
	from, into := io.Pipe()
	form := multipart.NewWriter(into)
	go func() {
		for i := 0; i+1 < len(fields); i += 2 {
			_ = form.WriteField(fields[i], fields[i+1])
		}
		name := ""
		if file != nil {
			name = "x.gpu"
		}
		part, err := form.CreateFormFile(fileField, name)
		if err == nil && file != nil {
			_, err = io.Copy(part, file)
		}
		into.CloseWithError(errors.Join(err, form.Close()))
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, from)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	if who != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "session-" + who})
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return 0, "", ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: the answer: %v", path, err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

// TestUpdateByForm sends updates as a browser does: it comes as it is, a refusal reaches who still sends, and of others nothing is read.
func TestUpdateByForm(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 6<<16) // 6 MiB: more than sockets hold
	for _, http2 := range []bool{false, true} {
		s := newSite(t)
		var audited []string
		var got []byte
		o := control.Do("appliance update", "/appliance/update", "Apply it", access.ApplianceChange)
		o.Upload, o.Body, o.Time = true, 8<<20, time.Minute
		s.Surface.Audit = func(_ context.Context, e control.Entry) {
			audited = append(audited, e.Actor.Name+": "+e.Operation+" "+e.Error)
		}
		s.Surface.Operations = append(s.Surface.Operations, control.DefineUpload(o, func(_ context.Context, _ *struct{}, body io.Reader) (*api.Appliance, error) {
			first := make([]byte, 2)
			if _, err := io.ReadFull(body, first); err != nil {
				return nil, err
			}
			if string(first) == "PK" {
				return nil, &control.Fault{Status: http.StatusConflict, Message: "that is no bundle <b>"}
			}
			rest, err := io.ReadAll(body)
			if got = append(first, rest...); err != nil {
				return nil, err
			}
			return &api.Appliance{Running: "1.0", Next: "1.1"}, nil
		}))
		server := s.served(t, http2)
		token := formToken("session-anna")
		if code, to, _ := send(t, server, "anna", "/appliance/update", bytes.NewReader(large), formField, token); code != 303 || to != "/appliance" || sha256.Sum256(got) != sha256.Sum256(large) {
			t.Errorf("%d %q, %d octets came", code, to, len(got))
		}
		got = nil
		refused := slices.Concat([]byte("PK"), large)
		for name, c := range map[string]struct {
			who, token string
			file       io.Reader
			status     int
			said       string
		}{
			"refused":      {"anna", token, bytes.NewReader(refused), 409, "That is no bundle &lt;b&gt;"},
			"no file":      {"anna", token, nil, 400, "No file was chosen"},
			"other token":  {"anna", formToken("session-code"), bytes.NewReader(large), 403, "of another session"},
			"no token":     {"anna", "", bytes.NewReader(large), 403, "of another session"},
			"large fields": {"anna", strings.Repeat("x", maxForm+1), bytes.NewReader(large), 400, "too much in it"},
		} {
			if code, _, page := send(t, server, c.who, "/appliance/update", c.file, formField, c.token); code != c.status || !strings.Contains(page, c.said) {
				t.Errorf("%s: %d %.400s", name, code, page)
			}
		}
		if code, _, page := send(t, server, "code", "/appliance/update", strings.NewReader("x"), formField, formToken("session-code")); code != 403 || !strings.Contains(page, "appliance.change") {
			t.Errorf("an auditor: %d %.400s", code, page)
		}
		if code, to, _ := send(t, server, "", "/appliance/update", strings.NewReader("x"), formField, token); code != 303 || to != "/login" {
			t.Errorf("nobody: %d %q", code, to)
		}
		if want := []string{"anna: appliance update ", "anna: appliance update that is no bundle <b>"}; got != nil || !slices.Equal(audited, want) {
			t.Errorf("read %d octets, audited %q, want %q", len(got), audited, want)
		}
	}
}
