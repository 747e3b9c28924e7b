package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// TestOperationsAreWhole asks all operations that there are for what a programmer forgets.
func TestOperationsAreWhole(t *testing.T) {
	if err := (&control.Surface{Operations: (&daemon{bootstrap: new(config.Bootstrap)}).operations()}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestWhoAsksByTheSocket shows who somebody is who asks by the socket: what he says, and what the kernel says; and that whoever did
// not come by it is nobody, whatever he says.
func TestWhoAsksByTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var got access.Actor
	who := control.Define(control.Operation{Name: "who", Method: "GET", Path: "/who", Doc: "Say it", Right: access.UsersChange},
		func(ctx context.Context, _ *struct{}) (bool, error) { got = access.Of(ctx); return true, nil })
	s := &control.Surface{Who: bySocket, Operations: []control.Operation{who}}
	go func() { ended <- control.Serve(ctx, l, s.Handler("")) }()
	for said, want := range map[string]string{"anna": "anna (uid ", "": " (uid ", "a\x1b(uid 0)" + strings.Repeat("x", 100): "a"} {
		c := control.NewClient(path)
		c.By = strings.ReplaceAll(said, "\x1b", "?")
		if err := c.Ask(ctx, &who, &struct{}{}, nil); err != nil || !strings.Contains(got.Name, want) || !strings.HasSuffix(got.Name, ")") || len(got.Name) > 90 || got.Via != access.BySocket {
			t.Errorf("%q: %+v, %v", said, got, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/who", nil)
	r.Header.Set("X-Gatepost-By", "root")
	if s.Handler("").ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
		t.Errorf("whoever did not come by the socket: %d %s", w.Code, w.Body)
	}
}
