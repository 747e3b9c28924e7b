// Package doctor is how the daemon has gatepost doctor look at it: in a process of its own, so that whatever the look meets costs the
// daemon nothing, bounded in time and in what it may say. The last result is kept in memory.
//
// What is looked at stands in internal/doctor. No RFC applies here.
package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/smtpwire"
)

// Bounds of a look.
const (
	mostTime  = 60 * time.Second
	mostSaid  = 4 << 20 // octets of what it found
	mostWrong = 4 << 10 // octets of what it complains of
	mostLines = 20000
	maxText   = 2000
)

func lastQuestion() control.Operation {
	return control.Operation{Name: "doctor last", Method: http.MethodGet, Path: "/doctor", Doc: "Show what the doctor found when he looked last", Right: access.SystemRead}
}

func runQuestion() control.Operation {
	return control.Operation{Name: "doctor run", Method: http.MethodPost, Path: "/doctor", Doc: "Have the doctor look at everything from outside in, in the background", Right: access.SystemChange}
}

// Desk is what the operations work with. It is made once.
type Desk struct {
	// Command is the process, given the arguments behind gatepost; it ends with the context.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	Config  string // path of the configuration
	Groups  []string

	most time.Duration // that a look may take; 0: mostTime

	mu      sync.Mutex
	last    api.DoctorLook
	running *api.DoctorLook
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(lastQuestion(), d.show), control.Define(runQuestion(), d.run)}
}

func (d *Desk) show(context.Context, *struct{}) (*api.DoctorLook, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now(), nil
}

// now is the last look, and whether another is under way. d.mu is held.
func (d *Desk) now() *api.DoctorLook {
	out := d.last
	if out.Lines == nil {
		out.Lines = []api.DoctorLine{}
	}
	if d.running != nil {
		out.Running, out.Began, out.By = true, d.running.Began, d.running.By
	}
	return &out
}

// run begins a look, unless one is under way.
func (d *Desk) run(ctx context.Context, in *api.DoctorRun) (*api.DoctorLook, error) {
	args := []string{"doctor", "--json", "--all"}
	if d.Config != "" {
		args = append(args, "--config", d.Config)
	}
	look := &api.DoctorLook{Began: time.Now(), By: access.Of(ctx).Name, Only: in.Only}
	if in.Domain != "" {
		name, err := smtpwire.ParseDomain(in.Domain)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Field: "domain", Message: fmt.Sprintf("domain: %q is no domain", gateway.CleanText(in.Domain, 80))}
		}
		look.Domain = name
		args = append(args, "--domain", name)
	}
	for _, g := range in.Only {
		if !slices.Contains(d.Groups, g) {
			return nil, &control.Fault{Status: http.StatusBadRequest, Field: "only", Message: fmt.Sprintf("only: there is no group %q", gateway.CleanText(g, 40)), Hint: "one of: " + strings.Join(d.Groups, ", ")}
		}
	}
	if len(in.Only) > 0 {
		args = append(args, "--only", strings.Join(in.Only, ","))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "a look is under way, since " + d.running.Began.UTC().Format(time.TimeOnly) + " UTC", Hint: "it takes a minute at most", Retry: 10 * time.Second}
	}
	d.running = look
	control.Changed(ctx, control.Change{Object: "doctor", After: in})
	go d.look(look, args)
	return d.now(), nil
}

// look runs the process, and keeps what it found.
func (d *Desk) look(l *api.DoctorLook, args []string) {
	most := cmp.Or(d.most, mostTime)
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	cmd := d.Command(ctx, args...)
	said, wrong := &bounded{most: mostSaid}, &bounded{most: mostWrong}
	cmd.Stdout, cmd.Stderr = said, wrong
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with all that it started
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	l.Lines, l.Error = read(said)
	status, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		l.Error = fmt.Sprintf("it took longer than %s, and was ended", most)
	case err == nil, ended && status.ExitCode() == 1 && len(l.Lines) > 0: // 1: something is not well
	case ended:
		l.Error = gateway.CleanText(strings.TrimSpace(strings.ReplaceAll(strings.TrimSpace(wrong.String()), "\n", "; ")+" ("+err.Error()+")"), maxText)
	default:
		l.Error = gateway.CleanText("it cannot be run: "+err.Error(), maxText)
	}
	l.Ended = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.running = *l, nil
}

// read reads the lines that the process wrote, one object each. The error is what is missing of them.
func read(said *bounded) (out []api.DoctorLine, trouble string) {
	in := json.NewDecoder(&said.Buffer)
	for in.More() && len(out) < mostLines {
		var l api.DoctorLine
		if in.Decode(&l) != nil {
			trouble = "what it found is cut off"
			break
		}
		l.Saw = gateway.CleanText(l.Saw, maxText)
		if l.Verdict != "ok" && l.Verdict != "warn" && l.Verdict != "fail" {
			l.Verdict = "unknown"
		}
		out = append(out, l)
	}
	if said.cut || len(out) == mostLines && in.More() {
		trouble = "what it found is cut off"
	}
	return out, trouble
}

// bounded keeps the first octets of what is written, and takes the rest.
type bounded struct {
	bytes.Buffer
	most int
	cut  bool
}

// Write is that of io.Writer; it never fails, so that whoever writes comes to an end.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.most-b.Len())
	b.cut = b.cut || n < len(p)
	b.Buffer.Write(p[:n])
	return len(p), nil
}
