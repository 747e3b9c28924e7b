package doctor

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

var operator = access.Actor{Name: "otto", Role: access.Operator}

// over is a desk whose doctor is a script, and what it was called with.
func over(t *testing.T, script string) (*control.Surface, *Desk, *[]string) {
	t.Helper()
	var called []string
	d := &Desk{Config: "/etc/x", Groups: []string{"dns", "disk"}, Command: func(ctx context.Context, args ...string) *exec.Cmd {
		called = args
		return exec.CommandContext(ctx, "/bin/sh", "-c", script)
	}}
	s := &control.Surface{Operations: d.Operations()}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s, d, &called
}

// found has the doctor look, and waits for the end.
func found(t *testing.T, s *control.Surface, in api.DoctorRun) *api.DoctorLook {
	t.Helper()
	if out, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor run", &in); err != nil || !out.Running {
		t.Fatalf("%+v, %v", out, err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if out, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor last", &struct{}{}); err != nil || !out.Running {
			return out
		}
	}
	t.Fatal("it does not end")
	return nil
}

// TestLook keeps what the process finds, whatever it finds, and however it ends.
func TestLook(t *testing.T) {
	const line = `{"id":"dns.resolver","verdict":"ok","saw":"answers"}`
	for name, c := range map[string]struct {
		script string
		lines  int
		error  string // begins with
	}{
		"all well":      {"echo '" + line + "'", 1, ""},
		"not all well":  {"echo '" + line + "'; echo '{\"id\":\"a.b\",\"verdict\":\"fail\",\"saw\":\"x\"}'; exit 1", 2, ""},
		"a mistake":     {"echo 'gatepost doctor: no such thing' >&2; exit 2", 0, "gatepost doctor: no such thing (exit status 2)"},
		"nothing":       {"exit 1", 0, "(exit status 1)"},
		"killed":        {"echo '" + line + "'; kill -9 $$", 1, "(signal: killed)"},
		"garbage":       {"echo '" + line + "'; echo '{\"id\":'", 1, "what it found is cut off"},
		"without end":   {"yes '" + line + "' | head -c 6000000", mostLines, "what it found is cut off"},
		"complains":     {"yes wrong | head -c 100000 >&2; exit 2", 0, "wrong; wrong"},
		"unknown words": {`echo '{"id":"a.b","verdict":"perhaps","saw":"x\u001b[31m"}'`, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, _ := over(t, c.script)
			got := found(t, s, api.DoctorRun{})
			if len(got.Lines) != c.lines || !strings.HasPrefix(got.Error, c.error) || c.error == "" && got.Error != "" || len(got.Error) > 2*maxText || got.Ended.IsZero() || got.By != "otto" {
				t.Errorf("%d lines, %.200q, %+v", len(got.Lines), got.Error, got.Ended)
			}
			if name == "unknown words" && (got.Lines[0].Verdict != "unknown" || strings.ContainsRune(got.Lines[0].Saw, 0x1b)) {
				t.Errorf("%+v", got.Lines[0])
			}
		})
	}
	s, _, _ := over(t, "")
	s.Operations[1] = (&Desk{Command: func(ctx context.Context, _ ...string) *exec.Cmd { return exec.CommandContext(ctx, "/nowhere") }}).Operations()[1]
	if out, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor run", &api.DoctorRun{}); err != nil || !out.Running {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestOneLook shows that one looks at a time, that a look which hangs is ended with all that it started, and who may have one.
func TestOneLook(t *testing.T) {
	s, d, called := over(t, "sleep 600")
	d.most = 200 * time.Millisecond
	if out, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor last", &struct{}{}); err != nil || !out.Began.IsZero() || out.Lines == nil {
		t.Errorf("before the first: %+v, %v", out, err)
	}
	if _, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor run", &api.DoctorRun{Domain: "example.org", Only: []string{"dns", "disk"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor run", &api.DoctorRun{}); controltest.Status(err) != 409 {
		t.Errorf("a second look: %v", err)
	}
	for out := (*api.DoctorLook)(nil); out == nil || out.Running; {
		out, _ = controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor last", &struct{}{})
		if !out.Running && !strings.HasPrefix(out.Error, "it took longer than 200ms") {
			t.Errorf("%+v", out)
		}
	}
	if want := []string{"doctor", "--json", "--all", "--config", "/etc/x", "--domain", "example.org", "--only", "dns,disk"}; !slices.Equal(*called, want) {
		t.Errorf("%q", *called)
	}
	for field, in := range map[string]api.DoctorRun{"domain": {Domain: "--config"}, "only": {Only: []string{"all"}}} {
		if _, err := controltest.Ask[*api.DoctorLook](t.Context(), s, operator, "doctor run", &in); controltest.Status(err) != 400 || err.(*control.Fault).Field != field {
			t.Errorf("%+v: %v", in, err)
		}
	}
	auditor := access.Actor{Role: access.Auditor}
	if _, err := controltest.Ask[*api.DoctorLook](t.Context(), s, auditor, "doctor run", &api.DoctorRun{}); controltest.Status(err) != 403 {
		t.Error("an auditor has it looked at")
	}
	if _, err := controltest.Ask[*api.DoctorLook](t.Context(), s, auditor, "doctor last", &struct{}{}); err != nil {
		t.Error(err)
	}
}

// TestTell shows that a look which found something, or did not come to its end, is told by the exit code as well.
func TestTell(t *testing.T) {
	for name, c := range map[string]struct {
		look api.DoctorLook
		code int
	}{
		"none yet":      {api.DoctorLook{}, cli.Done},
		"all well":      {api.DoctorLook{Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Lines: []api.DoctorLine{{ID: "a.b", Verdict: "ok"}, {ID: "a.c", Verdict: "warn"}}}, cli.Done},
		"one fails":     {api.DoctorLook{Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Lines: []api.DoctorLine{{ID: "a.b", Verdict: "fail"}}}, cli.Found},
		"cannot be run": {api.DoctorLook{Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Error: "it cannot be run"}, cli.Found},
	} {
		var out bytes.Buffer
		e := cli.Env{Out: &out, Err: &out}
		if code := tell(e, cli.NewFlags(e, "doctor last"), "doctor last", &c.look, nil); code != c.code {
			t.Errorf("%s: exit %d\n%s", name, code, &out)
		}
	}
}
