package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/sshd"
)

// allOperations are those of a daemon, which cannot be asked.
func allOperations() []control.Operation {
	return (&daemon{bootstrap: new(config.Bootstrap)}).operations()
}

// TestSSHNamesNoFile runs each command that is offered by SSH with the names of files in each place where a word may stand: none is
// read, none is written, none is asked for, and no document of the gateway is either.
func TestSSHNamesNoFile(t *testing.T) {
	const secret = "S3CRET-of-the-machine"
	dir := t.TempDir()
	there, made := filepath.Join(dir, "there"), filepath.Join(dir, "made")
	if err := os.WriteFile(there, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	ours := os.Stdin // of the daemon, which is nobody's who comes by SSH
	t.Cleanup(func() { os.Stdin = ours })
	var mu sync.Mutex
	var asked bytes.Buffer
	nobody := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		asked.Write(body)
		asked.WriteString(r.URL.String())
		w.WriteHeader(http.StatusTeapot)
		_ = json.NewEncoder(w).Encode(&control.Fault{Status: http.StatusTeapot, Message: "asked"})
	})
	groups := offered(allOperations())
	option := regexp.MustCompile(`--[a-z-]+`)
	n := 0
	for _, c := range commandsOf(groups) {
		if strings.Contains(c.Args, "--config") {
			t.Errorf("%s offers --config", c.Words)
		}
		var rest [][]string
		for _, name := range []string{there, made, "-"} {
			rest = append(rest, []string{name}, []string{name, name}, []string{name, "--config", dir}, []string{"--config", there})
			for _, o := range append(slices.Compact(option.FindAllString(c.Args, -1)), "--out", "--token-file", "--server", "--ca-file", "--output", "--file") {
				rest = append(rest, []string{o, name}, []string{o + "=" + name}, []string{name, o, name}, []string{o, name, "1"})
			}
		}
		for _, args := range append(rest, nil, []string{"--days", "1"}) {
			stdin, err := os.Open(there)
			if err != nil {
				t.Fatal(err)
			}
			os.Stdin = stdin
			var out bytes.Buffer
			e := cli.Env{Out: &out, Err: &out, In: strings.NewReader("in"), Apart: true, Sections: sections, Remote: control.NewLocal(nobody, access.Actor{Name: "olga", Role: access.Owner, Via: access.BySSH}, slog.New(slog.DiscardHandler))}
			dispatch(t.Context(), e, groups, append(strings.Fields(c.Words), args...))
			stdin.Close()
			n++
			if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, "no such file") {
				t.Errorf("%s %q: %s", c.Words, args, text)
			}
			if slices.Contains(args, "--config") && c.Words != "version" && !strings.Contains(out.String(), "not defined: -config") && !strings.Contains(out.String(), "flag provided but not defined") {
				t.Errorf("%s %q: %s", c.Words, args, out.String())
			}
		}
	}
	if strings.Contains(asked.String(), secret) {
		t.Error("a file was sent")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if n < 5000 || !strings.Contains(asked.String(), "/queue") {
		t.Errorf("%d tries, asked %.300s", n, asked.String())
	}
}

// TestSSHOffers shows which commands there are by SSH, and what is told of others.
func TestSSHOffers(t *testing.T) {
	groups := offered(allOperations())
	words := map[string]bool{}
	for _, c := range commandsOf(groups) {
		words[c.Words] = true
	}
	for name, want := range map[string]bool{"queue list": true, "quarantine release": true, "policy apply": true, "status": true, "trace": true, "log search": true, "user list": true, "ssh key list": true, "version": true,
		"serve": false, "check": false, "doctor": false, "import postfix": false, "backup create": false, "backup restore": false, "unpack": false, "mime": false, "dkim key make": false, "config default": false,
		"appliance serve-network": false, "appliance do-reset": false, "appliance settings try": true, "appliance file list": true,
		"appliance file put": false, "appliance update": false, "appliance reset": false, "log follow": false, "ssh key add": false, "token add": false} {
		if words[name] != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"help":               {0, "  queue list"},
		"":                   {0, "  queue list"},
		"help queue":         {0, "queue retry"},
		"queue":              {2, "queue retry"},
		"help queue list":    {0, "gatepost queue list [--route R]"},
		"queue list --help":  {0, "[--route R]"},
		"serve":              {2, "gatepost serve: it works at the machine, and not by SSH"},
		"unpack /etc/passwd": {2, "works at the machine"},
		"import postfix":     {2, "works at the machine"},
		"token add x":        {2, "works at the machine"},
		"nonsense":           {2, `there is no command "nonsense"`},
		"sh -c id":           {2, `there is no command "sh -c"`},
		"version":            {0, "gatepost "},
		"queue list x":       {2, `"x" is too much`},
	} {
		var out bytes.Buffer
		code := dispatch(t.Context(), cli.Env{Out: &out, Err: &out, Apart: true}, groups, strings.Fields(args))
		if code != want.code || !strings.Contains(out.String(), want.text) || strings.Contains(out.String(), "--config") || strings.Contains(out.String(), "--server") {
			t.Errorf("%q: %d, %s", args, code, out.String())
		}
	}
}

// sshKeys are two public keys of nobody, as ssh-keygen writes them.
const (
	firstSSHKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAe3KsT4TCnazP6PpKvGLj79UhEzT4mqtVe9vnzu0AU first"
	anySSHClient = "192.0.2.9"
)

// TestSSHDoor shows whom the door lets in, what it tells the audit log, what a guest may by the rights he has at that moment, and when
// he may stay no longer.
func TestSSHDoor(t *testing.T) {
	users, err := accounts.New(accounts.Options{Store: &storetest.Memory{}, Key: make([]byte, accounts.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	root := access.Actor{Name: "root", Role: access.Owner, Via: access.BySocket}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, role := range map[string]access.Role{"olga": access.Owner, "anna": access.Operator} {
		_, _, err := users.Add(t.Context(), root, accounts.Profile{Name: name, Role: role})
		must(err)
	}
	k, err := users.AddSSHKey(t.Context(), root, "anna", "", firstSSHKey)
	must(err)
	var audited []string
	change := control.Define(control.Do("drain", "/drain", "Drain", access.SystemChange), func(ctx context.Context, _ *struct {
		After string `json:"after" doc:"after"`
	}) (*struct{}, error) {
		control.Changed(ctx, control.Change{Object: "it"})
		return &struct{}{}, nil
	})
	list := control.Define(control.Look("who", "/who", "Who", access.Own), func(ctx context.Context, _ *struct{}) (*access.Actor, error) {
		a := access.Of(ctx)
		return &a, nil
	})
	s := &control.Surface{Operations: []control.Operation{change, list}, Log: slog.New(slog.DiscardHandler), Audit: func(_ context.Context, e control.Entry) {
		audited = append(audited, strings.Join([]string{e.Actor.Name, string(e.Actor.Via), e.Actor.Address.String(), e.Operation, e.Error}, " "))
	}}
	h := newSSHDoor(users, s)
	h.groups = []cli.Group{{Commands: []cli.Command{{Words: "drain", Run: func(ctx context.Context, e cli.Env, _ []string) int {
		_, err := cli.Call[struct{}](ctx, e, cli.NewFlags(e, "drain"), change, &struct {
			After string `json:"after" doc:"after"`
		}{})
		if err != nil {
			return cli.Complain(e, "drain", err)
		}
		return cli.Done
	}}}}}
	from := netip.MustParseAddr(anySSHClient)
	if h.Knows(t.Context(), "olga", k.Data, from) != nil || h.Knows(t.Context(), "anna", k.Data[1:], from) != nil || h.Knows(t.Context(), "nobody", k.Data, from) != nil {
		t.Fatal("whose key it is not")
	}
	g := h.Knows(t.Context(), "Anna", k.Data, from)
	if g == nil || !h.Entered(t.Context(), g) || !g.Still(t.Context()) {
		t.Fatal("her own key")
	}
	run := func(words ...string) (int, string) {
		var out bytes.Buffer
		return g.Run(t.Context(), &sshd.Command{Words: words, In: strings.NewReader(""), Out: &out, Err: &out}), out.String()
	}
	if code, said := run("drain"); code != cli.Done {
		t.Error(code, said)
	}
	if code, said := run("--server", "https://x.example", "drain"); code != cli.Usage || !strings.Contains(said, "stands before the command") {
		t.Error(code, said)
	}
	_, _, err = users.Change(t.Context(), root, "anna", "", func(p accounts.Profile) (accounts.Profile, error) { p.Role = access.Auditor; return p, nil })
	must(err)
	if code, said := run("drain"); code != cli.NotAllowed || !strings.Contains(said, "system.change") || !g.Still(t.Context()) {
		t.Error("demoted:", code, said)
	}
	_, _, err = users.Disable(t.Context(), root, "anna", true)
	must(err)
	if g.Still(t.Context()) || h.Knows(t.Context(), "anna", k.Data, from) != nil {
		t.Error("disabled")
	}
	if code, said := run("drain"); code != cli.Found {
		t.Error("disabled:", code, said)
	}
	_, _, err = users.Disable(t.Context(), root, "anna", false)
	must(err)
	_, err = users.RemoveSSHKey(t.Context(), root, k.ID)
	must(err)
	_, err = users.AddSSHKey(t.Context(), root, "anna", "", firstSSHKey)
	must(err)
	if g.Still(t.Context()) {
		t.Error("the key was removed, and added again")
	}
	g.Left()
	h.Failed("anna", from)
	h.Failed("hunter2", from)
	want := []string{"anna ssh 192.0.2.9 login ", "anna ssh 192.0.2.9 drain ", "anna ssh 192.0.2.9 drain drain needs the right system.change; roles that have it: owner, operator", "anna ssh 192.0.2.9 logout ",
		"anna ssh 192.0.2.9 login failed key", " ssh 192.0.2.9 login failed key"}
	if !slices.Equal(audited, want) {
		t.Errorf("%q", audited)
	}
	for i := range 20 {
		if !h.Try("anna", from) {
			if i < 3 {
				t.Errorf("held after %d tries", i)
			}
			return
		}
	}
	t.Error("nobody is held")
}
