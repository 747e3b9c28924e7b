package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"gatepost/internal/access"
)

// TestUpload sends bodies: as they are, with fields in the query; too large; refused before they were read; and broken off.
func TestUpload(t *testing.T) {
	type named struct {
		Name string `json:"name" doc:"what it is" required:"true"`
	}
	var got []byte
	var readErr error
	ended := make(chan struct{}, 16) // one for each body that was read
	o := DefineUpload(Operation{Name: "put", Method: http.MethodPost, Path: "/put", Doc: "Put it", Right: access.ApplianceChange, Body: 8 << 20, Time: time.Minute},
		func(_ context.Context, in *named, body io.Reader) (string, error) {
			if in.Name == "refused" {
				return "", &Fault{Status: http.StatusConflict, Message: "not this one"}
			}
			defer func() { ended <- struct{}{} }()
			got, readErr = io.ReadAll(body)
			if readErr != nil {
				return "", &Fault{Status: http.StatusBadRequest, Message: "it is cut off"}
			}
			return in.Name, nil
		})
	var who access.Actor
	var mu sync.Mutex // a server goes on for a while after its client gave up
	audited := map[string]string{}
	s := &Surface{Operations: []Operation{o}, Who: func(*http.Request) (access.Actor, error) { return who, nil },
		Audit: func(_ context.Context, e Entry) {
			mu.Lock()
			defer mu.Unlock()
			audited[e.Operation] = e.Error
		}}
	told := func() string {
		mu.Lock()
		defer mu.Unlock()
		return audited["put"]
	}
	read := func() {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("the body was never read")
		}
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler(""))
	defer server.Close()
	c := &Client{http: server.Client(), root: server.URL}
	who = access.Actor{Name: "a", Role: access.Owner}
	large := bytes.Repeat([]byte("0123456789abcdef"), 6<<16) // 6 MiB: more than sockets hold
	var out string
	if err := c.Upload(t.Context(), &o, &named{"x"}, bytes.NewReader(large), &out); err != nil || out != "x" || !bytes.Equal(got, large) {
		t.Errorf("%q, %v, %d octets", out, err, len(got))
	}
	read()
	fault := func(in *named, body io.Reader) (int, string) {
		err := c.Upload(t.Context(), &o, in, body, &out)
		f, ok := errors.AsType[*Fault](err)
		if !ok {
			t.Errorf("%v is no answer", err)
			return 0, ""
		}
		return f.Status, f.Message
	}
	if code, text := fault(&named{"refused"}, bytes.NewReader(large)); code != http.StatusConflict || text != "not this one" || told() != "not this one" {
		t.Errorf("%d %s, audited %q", code, text, told())
	}
	if code, _ := fault(&named{"x"}, bytes.NewReader(append(large, large...))); code != http.StatusBadRequest {
		t.Errorf("too large: %d", code)
	}
	read()
	if _, ok := errors.AsType[*http.MaxBytesError](readErr); !ok {
		t.Errorf("too large: %v", readErr)
	}
	broken := errors.New("the file cannot be read")
	if err := c.Upload(t.Context(), &o, &named{"x"}, io.MultiReader(bytes.NewReader(large), iotest.ErrReader(broken)), &out); !errors.Is(err, broken) {
		t.Errorf("broken off: %v", err)
	}
	read()
	who.Role = access.Operator
	if code, _ := fault(&named{"x"}, bytes.NewReader([]byte("x"))); code != http.StatusForbidden {
		t.Errorf("an operator: %d", code)
	}
	who.Role = access.Owner
	if _, err := s.Call(access.With(t.Context(), who), "put", &named{"x"}); err == nil {
		t.Error("nothing was sent, and it is taken")
	}
	if out, err := s.Call(WithBody(access.With(t.Context(), who), bytes.NewReader([]byte("of a page"))), "put", &named{"y"}); err != nil || out != "y" || string(got) != "of a page" {
		t.Errorf("%v, %v, %q", out, err, got)
	}
	plain := Define(Operation{Name: "ask", Method: http.MethodGet, Path: "/ask", Doc: "Ask", Right: access.LogRead}, func(context.Context, *named) (string, error) { return "", nil })
	if err := c.Upload(t.Context(), &plain, &named{"x"}, bytes.NewReader(nil), &out); err == nil {
		t.Error("one that takes none is sent one")
	}
}
