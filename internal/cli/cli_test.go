package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/control"
)

// TestFlags shows that options stand before and behind arguments, and what is told of a mistake.
func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"a --json b":         "[a b] true /etc/gatepost",
		"--config X a":       "[a] false X",
		"":                   "[] false /etc/gatepost",
		"a b c":              `gatepost queue list: "c" is too much; gatepost queue list --help shows its options`,
		"--nonsense":         "gatepost queue list: flag provided but not defined: -nonsense; gatepost queue list --help shows its options",
		"a --config":         "gatepost queue list: flag needs an argument: -config; gatepost queue list --help shows its options",
		"a -- --json b --x":  "gatepost queue list: flag provided but not defined: -x; gatepost queue list --help shows its options",
		"--json=perhaps a b": `gatepost queue list: invalid boolean value "perhaps" for -json: parse error; gatepost queue list --help shows its options`,
	} {
		var told bytes.Buffer
		e := Env{Out: &told, Err: &told}
		f := NewFlags(e, "queue list")
		rest, ok := f.Read(e, strings.Fields(args), 2)
		if ok {
			fmt.Fprint(&told, rest, f.JSON, " ", f.Config)
		}
		if got := strings.TrimSpace(strings.Replace(told.String(), "]true", "] true", 1)); strings.Replace(got, "]false", "] false", 1) != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}

// TestOne shows that a command that needs an argument gets it, and what is told where there is none, or more than it.
func TestOne(t *testing.T) {
	for args, want := range map[string]string{
		"a --json": "a true",
		"":         "gatepost alarm show: name an alarm\n",
		"a b":      "gatepost alarm show: \"b\" is too much; gatepost alarm show --help shows its options\n",
	} {
		var told bytes.Buffer
		e := Env{Out: &told, Err: &told}
		f := NewFlags(e, "alarm show")
		if arg, ok := f.One(e, strings.Fields(args), "name an alarm"); ok {
			fmt.Fprint(&told, arg, " ", f.JSON)
		} else if arg != "" {
			t.Errorf("%s: %q of what was refused", args, arg)
		}
		if told.String() != want {
			t.Errorf("%s: %s, want %s", args, told.String(), want)
		}
	}
}

// TestComplain shows which exit code belongs to an error.
func TestComplain(t *testing.T) {
	for want, errs := range map[int][]error{
		Found:       {errors.New("it failed"), &control.Fault{Status: http.StatusConflict, Message: "no", Hint: "wait"}},
		Unreachable: {fmt.Errorf("socket: %w", control.ErrNotRunning)},
		NotAllowed:  {&control.Fault{Status: http.StatusForbidden, Message: "no"}, fmt.Errorf("socket: %w", os.ErrPermission)},
	} {
		for _, err := range errs {
			var told bytes.Buffer
			if got := Complain(Env{Err: &told}, "queue list", err); got != want || told.String() != "gatepost queue list: "+err.Error()+"\n" {
				t.Errorf("%v: %d, want %d; %s", err, got, want, told.String())
			}
		}
	}
}

// TestReply shows an answer to people, to programs, and what is told and returned where there is none.
func TestReply(t *testing.T) {
	type answer struct {
		N int `json:"n"`
	}
	for _, c := range []struct {
		json bool
		err  error
		code int
		want string
	}{{false, nil, Done, "7 shown\n"}, {true, nil, Done, "{\"n\":7}\n"}, {true, control.ErrNotRunning, Unreachable, "gatepost queue show: " + control.ErrNotRunning.Error() + "\n"}} {
		var told bytes.Buffer
		e, out := Env{Out: &told, Err: &told}, &answer{7}
		if c.err != nil {
			out = nil
		}
		code := Reply(e, &Flags{JSON: c.json}, "queue show", out, c.err, func(a *answer) { fmt.Fprintf(&told, "%d shown\n", a.N) })
		if code != c.code || told.String() != c.want {
			t.Errorf("%+v: %d, %s", c, code, told.String())
		}
	}
}

// TestMoment shows how people write a time.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "3d": now.Add(-72 * time.Hour), "2026-11-23": time.Date(2026, 11, 23, 0, 0, 0, 0, time.Local),
		"14:30": time.Date(2026, 11, 26, 14, 30, 0, 0, time.Local), "2026-11-23 14:30": time.Date(2026, 11, 23, 14, 30, 0, 0, time.Local),
	} {
		if got, err := Moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := Moment("yesterday", now); err == nil {
		t.Error("yesterday is a time")
	}
}

// TestShown shows that text of strangers cannot trick a terminal, nor a name a header.
func TestShown(t *testing.T) {
	for in, want := range map[string]string{"plain \u00e9": "plain \u00e9", "a\x1b[31mred": "a?[31mred", "exe\u202efdp.": "exe?fdp.", "a\tb\r\nc": "a b??c", "\xff": "?", "\u200b": "?", "12345678": "1234567..."} {
		if got := Shown(in, map[bool]int{true: 7, false: 100}[in == "12345678"]); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := plain("b\u00f6se\r\nX: y"+strings.Repeat("z", 99), 64); strings.ContainsAny(got, "\r\n\u00f6") || len(got) != 64 {
		t.Errorf("%q", got)
	}
}

// TestAskWithABrokenPolicy: whoever only asks the daemon is not kept from it by a mistake in policy.toml, and is by one in
// gatepost.toml, which says where the daemon is.
func TestAskWithABrokenPolicy(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.toml", "nonsense = [")
	write("gatepost.toml", "[control]\nsocket = \""+filepath.Join(dir, "none.sock")+"\"\n")
	var told bytes.Buffer
	ask := func() error {
		_, err := Call[struct{}](t.Context(), Env{Out: &told, Err: &told}, &Flags{Config: dir}, control.Operation{Name: "status", Method: http.MethodGet, Path: "/health"}, &struct{}{})
		return err
	}
	err := ask()
	if !errors.Is(err, control.ErrNotRunning) || told.Len() > 0 {
		t.Errorf("%v, told %s", err, told.String())
	}
	write("gatepost.toml", "nonsense = [")
	if err := ask(); err == nil || errors.Is(err, control.ErrNotRunning) || !strings.Contains(told.String(), "gatepost.toml:1:") {
		t.Errorf("%v, told %s", err, told.String())
	}
}

// TestRead shows how much of a file is read, where - comes from, and that who is not at the machine names none of its files.
func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		apart bool
		name  string
		want  string
	}{{false, name, "abcd"}, {false, "-", "sent"}, {true, "-", "sent"}, {true, name, ""}, {false, name + ".none", ""}} {
		text, err := Env{In: strings.NewReader("sent here"), Apart: c.apart}.Read(c.name, 3)
		if string(text) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v %s: %q %v", c.apart, c.name, text, err)
		}
	}
}
