package control

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
)

// asked has a field of every kind and place.
type asked struct {
	ID      string        `path:"id" json:"-" doc:"which"`
	Version string        `header:"If-Match" json:"-" doc:"that it has"`
	Limit   int           `json:"limit" doc:"how many" default:"10"`
	Rcpts   []string      `json:"rcpt" doc:"whose"`
	Since   time.Time     `json:"since" doc:"from when on"`
	Older   time.Duration `json:"older" doc:"at least"`
	Score   float64       `json:"score" doc:"at least"`
	All     bool          `json:"all" doc:"of all"`
	Client  netip.Addr    `json:"client" doc:"of whom"`
	Maybe   *int          `json:"maybe" doc:"if at all"`
}

// TestRequestIsRead asks operations with values of all kinds, some of them strange: what is read is what was asked for, both by
// a query and by a body.
func TestRequestIsRead(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		var got *asked
		o := Define(Operation{Name: "ask", Method: method, Path: "/x/{id}/y", Doc: "Ask", Right: access.LogRead}, func(_ context.Context, in *asked) (bool, error) {
			got = in
			return true, nil
		})
		s := &Surface{Operations: []Operation{o}, Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "a", Role: access.Owner}, nil }}
		server := httptest.NewServer(s.Handler(""))
		defer server.Close()
		c := &Client{http: server.Client(), root: server.URL}
		texts := []string{"a", "a/b", "a b", "ä&c=d", "%2F", "?", "#", "a+b", "..x", "\"", `"q"`, "K7Q29-FXM3T-BN5C", "*@example.org", "<>"}
		text := func() string { return texts[rand.IntN(len(texts))] }
		for range 200 {
			in := &asked{ID: text(), Limit: rand.IntN(3), Older: time.Duration(rand.IntN(3)) * time.Minute, Score: float64(rand.IntN(30)) / 8, All: rand.IntN(2) == 0}
			for range rand.IntN(3) {
				in.Rcpts = append(in.Rcpts, text())
			}
			if rand.IntN(2) == 0 {
				in.Version, in.Since, in.Client = "v1.2", time.Unix(rand.Int64N(1e9), 5e6).UTC(), netip.AddrFrom4([4]byte{192, 0, 2, 1})
				in.Maybe = new(rand.IntN(2))
			}
			var out bool
			if err := c.Ask(t.Context(), &o, in, &out); err != nil || !reflect.DeepEqual(in, got) {
				t.Fatalf("%s: %+v, read %+v, %v", method, in, got, err)
			}
		}
		for _, id := range []string{"", ".", ".."} {
			if _, err := o.Request(&asked{ID: id}); err == nil {
				t.Errorf("%q is asked for", id)
			}
		}
		if _, err := o.Request(asked{}); err == nil {
			t.Error("what is no In is taken")
		}
	}
}

// TestRemote shows what a client of an API demands and tells: TLS with a certificate that is verified, a token that no
// redirect gets, a file as it is, and a problem as the daemon worded it.
func TestRemote(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	type id struct {
		ID string `path:"id" json:"-" doc:"which"`
	}
	file := Define(Operation{Name: "file", Method: "GET", Path: "/file/{id}", Doc: "Ask", Right: access.LogRead}, func(_ context.Context, in *id) (*File, error) {
		if in.ID != "7" {
			return nil, &Fault{Status: 404, Message: "there is none", Hint: "look elsewhere"}
		}
		return &File{Name: "m.eml", Type: "message/rfc822", Data: []byte("<x>\r\n")}, nil
	})
	s := &Surface{Operations: []Operation{file}, Who: func(r *http.Request) (access.Actor, error) {
		if r.Header.Get("Authorization") != "Bearer t1" || r.Header.Get(byField) != "" {
			return access.Actor{}, &Fault{Status: 401, Message: "who are you"}
		}
		return access.Actor{Name: "anna", Role: access.Owner}, nil
	}}
	mux := http.NewServeMux()
	mux.Handle("/", s.Handler("/api/v1"))
	mux.Handle("/api/v1/file/away", http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	mux.Handle("/api/v1/file/odd", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); w.Write([]byte("<html>")) }))
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	remote := func(token string, ca []byte) *Client {
		c, err := NewRemote(Remote{Server: server.URL, Token: token, CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		c.By = "root"
		return c
	}
	var f File
	if err := remote("t1", ca).Ask(t.Context(), &file, &id{"7"}, &f); err != nil || f.Name != "m.eml" || f.Type != "message/rfc822" || !bytes.Equal(f.Data, []byte("<x>\r\n")) {
		t.Errorf("%+v, %v", f, err)
	}
	for id0, want := range map[string]string{"8": "there is none; look elsewhere", "away": "307", "odd": "502 Bad Gateway"} {
		if err := remote("t1", ca).Ask(t.Context(), &file, &id{id0}, &f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id0, err)
		}
	}
	if err := remote("t2", ca).Ask(t.Context(), &file, &id{"7"}, &f); err == nil || err.Error() != "who are you" {
		t.Errorf("a wrong token: %v", err)
	}
	if err := remote("t1", nil).Ask(t.Context(), &file, &id{"7"}, &f); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	for _, bad := range []Remote{{Server: "http://mx.example.org", Token: "t"}, {Server: "mx.example.org", Token: "t"}, {Server: "https://a:b@mx.example.org", Token: "t"},
		{Server: "https://mx.example.org/api", Token: "t"}, {Server: "https://mx.example.org", Token: ""}, {Server: "https://mx.example.org", Token: "a\nb"}, {Server: "https://mx.example.org", Token: "t", CA: []byte("x")}} {
		if _, err := NewRemote(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
