package main

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// TestRemoteCommands has commands ask the API of another host: what they show is what that says to the token's rights; what works on
// this machine only says so, and what nobody answers has its exit code.
func TestRemoteCommands(t *testing.T) {
	dir := t.TempDir()
	l, err := store.Open(store.Options{Dir: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	id := gateway.ID(time.Now().Add(-time.Minute).UnixMilli())<<20 | 1
	r := &gateway.Record{ID: id, Session: id, Time: id.Time().UTC(), From: spoolAddress("ann@x.example"), Rcpts: []gateway.RecordRcpt{{To: spoolAddress("bob@example.org")}}}
	l.Write(&gateway.Event{Kind: gateway.TransactionEvent, Record: r, Subject: "hello"})
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &control.Surface{Operations: maillog.New(l.Reader(), maillog.NewTail(l)).Operations(), Who: func(r *http.Request) (access.Actor, error) {
		if r.Header.Get("Authorization") != "Bearer t1" {
			return access.Actor{}, &control.Fault{Status: http.StatusUnauthorized, Message: "nobody is logged in"}
		}
		return access.Actor{Name: "anna", Role: access.HelpDesk, Domains: []string{"example.org"}, Via: access.ByToken}, nil
	}}
	server := httptest.NewTLSServer(s.Handler("/api/v1"))
	defer server.Close()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	ca := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	good, wrong := file("good", "t1\n"), file("wrong", "t2\n")
	ask := func(server, token, words string) []string {
		return append([]string{"--server", server, "--ca-file", ca, "--token-file", token}, strings.Fields(words)...)
	}
	for _, c := range []struct {
		args []string
		code int
		want string // in what is shown or told
	}{
		{ask(server.URL, good, "log search --from ann@x.example --json"), cli.Done, `"subject":"hello"`},
		{ask(server.URL, good, "log search --from other@x.example"), cli.Found, ""},
		{ask(server.URL, good, "trace "+id.String()), cli.Done, "bob@example.org"},
		{ask(server.URL, good, "trace "+(id+1).String()), cli.Found, "nothing is known"},
		{ask(server.URL, wrong, "trace "+id.String()), cli.NotAllowed, "nobody is logged in"},
		{ask(server.URL, good, "check"), cli.Usage, "works on this machine"},
		{ask(server.URL, good, "serve"), cli.Usage, "works on this machine"},
		{ask("https://127.0.0.1:1", good, "queue list"), cli.Unreachable, "cannot be asked"},
		{[]string{"--server", server.URL, "queue", "list"}, cli.Usage, "belong together"},
	} {
		code, out, errOut := gatepost(t, c.args...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("%q: %d, want %d, %s%s", c.args, code, c.code, out, errOut)
		}
	}
	if !asksOperation("queue list") || asksOperation("check") || asksOperation("log follow") {
		t.Error("which commands ask operations")
	}
	d := &daemon{bootstrap: new(config.Bootstrap)}
	named := map[string]bool{}
	for _, o := range d.operations() {
		named[o.Name] = true
	}
	for _, word := range []string{"status", "trace", "log search", "queue retry", "quarantine release", "greylist list", "reputation show", "recipients show", "reports list", "tls status", "user list"} {
		if !named[word] {
			t.Errorf("%s is no operation", word)
		}
	}
}
